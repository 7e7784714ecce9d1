"""Checkpoints: what was saved comes back, or an error does."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from srcnn_mlflow.machine.errors import TrainingError, WriteError
from srcnn_mlflow.training.checkpoint import load_checkpoint, save_checkpoint
from tests.conftest import largest_file

ARRAYS: dict[str, NDArray[Any]] = {
    "model:conv1.weight": np.random.default_rng(0).random((4, 1, 3, 3), np.float32),
    "model:conv1.bias": np.zeros(4, np.float32),
    "optimizer:0/1/step": np.full(1, 7, np.float32),
}
FACTS = {"epoch": 3, "val_psnr": 31.5, "parameters": {"lr": 0.001, "dataset": "samples"}}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("checkpoint") / "state.safetensors"
    save_checkpoint(path, ARRAYS, FACTS)
    return path.read_bytes()


def check_saved_or_refused(path: Path, content: bytes) -> bool:
    """Load some content; it must be refused, or be what was saved. Gives whether it is."""
    path.write_bytes(content)
    try:
        arrays, facts = load_checkpoint(path)
    except TrainingError:
        return False
    assert facts == FACTS
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        assert np.array_equal(arrays[name], array)
    return True


def test_a_checkpoint_gives_back_what_it_was_given(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "best.safetensors"
    save_checkpoint(path, ARRAYS, FACTS)
    assert check_saved_or_refused(tmp_path / "copy", path.read_bytes())
    assert [one.name for one in path.parent.iterdir()] == ["best.safetensors"]


def test_any_flipped_bit_is_noticed(whole: bytes, tmp_path: Path) -> None:
    header = 8 + int.from_bytes(whole[:8], "little")
    loaded = 0
    for place in range(len(whole)):
        for bit in range(8) if place % 7 == 0 else (place % 8,):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << bit
            loaded += check_saved_or_refused(tmp_path / "flipped", bytes(flipped))
            # JSON allows for a few spellings of one text, such as a tab for a space.
            assert loaded == 0 or place < header
    assert loaded < 10


@settings(max_examples=60, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_checkpoint_cut_short_is_refused(
    tmp_path_factory: pytest.TempPathFactory, whole: bytes, share: float
) -> None:
    path = tmp_path_factory.getbasetemp() / "short"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(TrainingError, match="short is not a usable checkpoint"):
        load_checkpoint(path)


def test_a_missing_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"missing\.safetensors is not a usable checkpoint"):
        load_checkpoint(tmp_path / "missing.safetensors")


@pytest.mark.parametrize("metadata", [None, {"srcnn_mlflow": json.dumps(FACTS)}])
def test_a_file_without_a_checksum_is_refused(
    tmp_path: Path, metadata: dict[str, str] | None
) -> None:
    save_file(ARRAYS, tmp_path / "other", metadata=metadata)
    with pytest.raises(TrainingError, match=r"not a usable checkpoint: it has no '\w+'"):
        load_checkpoint(tmp_path / "other")


@pytest.mark.parametrize(
    "changed",
    [
        {"conv1.weight": ARRAYS["model:conv1.weight"]},
        {"model:conv1.weight": ARRAYS["model:conv1.weight"].reshape(2, 2, 3, 3)},
        {"model:conv1.weight": ARRAYS["model:conv1.weight"].view(np.int32)},
    ],
)
def test_the_same_bytes_under_another_name_shape_or_type_are_refused(
    tmp_path: Path, changed: dict[str, NDArray[Any]]
) -> None:
    path = tmp_path / "state.safetensors"
    save_checkpoint(path, {"model:conv1.weight": ARRAYS["model:conv1.weight"]}, FACTS)
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    save_file(changed, path, metadata=metadata)
    with pytest.raises(TrainingError, match="its content has changed since it was written"):
        load_checkpoint(path)


def test_a_failed_write_leaves_the_former_checkpoint(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    path.write_bytes(whole)
    with largest_file(400), pytest.raises(WriteError, match="no file may be so large here"):
        save_checkpoint(path, {"large": np.zeros(1000)}, {})
    assert path.read_bytes() == whole
    assert [one.name for one in tmp_path.iterdir()] == ["state.safetensors"]
