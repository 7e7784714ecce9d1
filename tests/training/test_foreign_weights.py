"""Weights from elsewhere: what can be understood is taken, the rest is one sentence of our own."""

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from srcnn_mlflow.machine.errors import ModelError
from srcnn_mlflow.network.architecture import Architecture
from srcnn_mlflow.training.foreign_weights import read_state_dict
from srcnn_mlflow.training.model import Srcnn

State = dict[str, Tensor]


def state_of(name: str = "9-5-5") -> State:
    torch.manual_seed(0)
    return Srcnn(Architecture(name, residual=False, padding="zero"), "plain").state_dict()


def saved(folder: Path, what: Any, **how: Any) -> Path:
    torch.save(what, folder / "weights.pth", **how)
    return folder / "weights.pth"


@pytest.mark.parametrize("name", ["9-5-5", "9-1-5", "9-1-1-5:64-32-16", "5-3:7"])
@pytest.mark.parametrize("zipped", [True, False])
def test_the_common_layout_is_read(tmp_path: Path, name: str, zipped: bool) -> None:
    state = state_of(name)
    path = saved(tmp_path, state, _use_new_zipfile_serialization=zipped)
    weights, network = read_state_dict(path)
    assert network == Architecture(name, residual=False, padding="zero")
    assert {key: value.tolist() for key, value in weights.items()} == {
        key: value.tolist() for key, value in state.items()
    }


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"params": state},
        lambda state: {"params_ema": state, "params": {"other": torch.zeros(1)}},
        lambda state: {"model": {"state_dict": state}, "optimizer": {"lr": 0.1}},
        lambda state: {f"module.{key}": value for key, value in state.items()},
        lambda state: {"net": {f"module.{key}": value for key, value in state.items()}},
        lambda state: {**state, "epoch": 7},
        lambda state: {key: torch.nn.Parameter(value) for key, value in state.items()},
    ],
)
def test_what_programs_wrap_weights_in_is_taken_off(
    tmp_path: Path, wrap: Callable[[State], Any]
) -> None:
    state = state_of()
    weights, _ = read_state_dict(saved(tmp_path, wrap(state)))
    assert {key: value.tolist() for key, value in weights.items()} == {
        key: value.tolist() for key, value in state.items()
    }


@pytest.mark.parametrize("kind", [torch.float64, torch.float16, torch.bfloat16])
def test_other_real_numbers_become_float32(tmp_path: Path, kind: torch.dtype) -> None:
    state = {key: value.to(kind) for key, value in state_of().items()}
    weights, _ = read_state_dict(saved(tmp_path, state))
    for key, value in weights.items():
        assert value.dtype == "float32"
        assert value.tolist() == state[key].float().tolist()


class Attack:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch attacked",)


@pytest.mark.parametrize(
    "by", [torch.save, lambda what, path: path.write_bytes(pickle.dumps(what))]
)
def test_code_in_a_weights_file_is_never_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: Callable[[Any, Path], object]
) -> None:
    monkeypatch.chdir(tmp_path)
    by({"conv1.weight": Attack()}, tmp_path / "weights.pth")
    with pytest.raises(ModelError, match="cannot be read as plain weights"):
        read_state_dict(tmp_path / "weights.pth")
    assert not (tmp_path / "attacked").exists()


def spoiled(state: State, value: float) -> State:
    state["conv2.bias"][3] = value
    return state


@pytest.mark.parametrize(
    ("what", "says"),
    [
        (spoiled(state_of(), float("nan")), r"conv2\.bias holds a value that is no finite number"),
        (spoiled(state_of(), float("inf")), r"conv2\.bias holds a value that is no finite number"),
        (
            {key: one.double() * 1e300 for key, one in state_of().items()},
            "finite number in float32",
        ),
        (
            {key: one.to(torch.complex64) for key, one in state_of().items()},
            "no plain real",
        ),
        ({key: one.to("meta") for key, one in state_of().items()}, "no plain real"),
        ({**state_of(), "conv1.bias": torch.zeros(64).to_sparse()}, "no plain real"),
        ({"fc.weight": torch.zeros(3, 2)}, r"does not hold SRCNN weights: .* fc\.weight \(3, 2\)$"),
        ({f"layer{n}": torch.zeros(n) for n in range(99)}, r"layer7 \(7,\) and 91 more$"),
        ({**state_of(), "conv4.bias": torch.zeros(1)}, "does not hold SRCNN weights"),
        ({}, "found no tensor"),
        ([1, 2], "holds list, where weights by name belong"),
        (torch.zeros(3), "holds Tensor, where weights by name belong"),
        (None, "holds NoneType, where weights by name belong"),
        (
            torch.nn.Conv2d(1, 1, 3),
            r"could run code .* save the model's state_dict\(\) alone",
        ),
    ],
)
def test_what_torch_saved_and_is_no_srcnn_is_refused(tmp_path: Path, what: Any, says: str) -> None:
    with pytest.raises(ModelError, match=says) as told:
        read_state_dict(saved(tmp_path, what))
    assert len(str(told.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"junk", "of another program"),
        (b"", "it is empty"),
        (b"  <!DOCTYPE html><html><body>404</body></html>", "it is a web page"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:a\nsize 1\n",
            "of Git LFS",
        ),
        (b"hello world\n" * 100, "of another program"),
        (b'{"conv1.weight": 1}', "of another program"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "of another program"),
        (bytes(1000), "of another program"),
        (pickle.dumps(5), "of another program"),
    ],
)
def test_what_is_no_checkpoint_is_told_in_our_own_words(
    tmp_path: Path, content: bytes, says: str
) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=says) as told:
        read_state_dict(path)
    # PyTorch would have people unpickle whatever it does not know.
    assert "weights_only" not in str(told.value)
    assert len(str(told.value).splitlines()) == 1


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_was_cut_is_refused(tmp_path: Path, zipped: bool) -> None:
    path = saved(tmp_path, state_of("9-1-5"), _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    for length in range(0, len(whole), len(whole) // 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelError, match="cannot be read as plain weights"):
            read_state_dict(path)


def test_a_flipped_bit_in_a_value_is_found(tmp_path: Path) -> None:
    path = saved(tmp_path, state_of())
    with zipfile.ZipFile(path) as file:
        largest = max(file.infolist(), key=lambda entry: entry.file_size)
    content = bytearray(path.read_bytes())
    content[largest.header_offset + largest.file_size // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"in it is damaged; fetch it anew"):
        read_state_dict(path)


@pytest.mark.parametrize(("make", "says"), [(False, "it does not exist"), (True, "it is a folder")])
def test_what_is_no_file_is_said(tmp_path: Path, make: bool, says: str) -> None:
    if make:
        (tmp_path / "weights.pth").mkdir()
    with pytest.raises(ModelError, match=says):
        read_state_dict(tmp_path / "weights.pth")


def on_channels(channels: str) -> State:
    network = Architecture("9-1-5", residual=False, padding="zero", channels=channels)
    return Srcnn(network, "plain").state_dict()


@pytest.mark.parametrize("channels", ["y", "rgb", "ycbcr"])
def test_weights_on_three_planes_are_of_the_channels_that_are_given(
    tmp_path: Path, channels: str
) -> None:
    _, network = read_state_dict(saved(tmp_path, on_channels(channels)), channels)
    assert network == Architecture("9-1-5", False, "zero", channels)


@pytest.mark.parametrize(
    ("held", "asked", "planes", "fitting"),
    [
        ("rgb", "y", 3, "ycbcr or rgb"),
        ("y", "rgb", 1, "y"),
        ("y", "ycbcr", 1, "y"),
    ],
)
def test_weights_on_other_planes_than_asked_for_are_refused_by_what_they_hold(
    tmp_path: Path, held: str, asked: str, planes: int, fitting: str
) -> None:
    path = saved(tmp_path, on_channels(held))
    message = (
        f"holds a network on {planes} plane\\(s\\), and not on those of channels={asked}; give "
        f"what it was trained on: channels={fitting}$"
    )
    with pytest.raises(ModelError, match=message):
        read_state_dict(path, asked)
