"""Networks in bfloat16: what is rounded, and what must not be."""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import openvino
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from srcnn_mlflow.machine.errors import ModelError
from srcnn_mlflow.measuring.evaluation import score_photos, summarize
from srcnn_mlflow.network.architecture import Architecture
from srcnn_mlflow.network.bfloat16 import ROWS, balanced_rounding, round_to_bfloat16
from srcnn_mlflow.network.onnx_export import build_onnx
from srcnn_mlflow.network.shipped import SHIPPED_NAMES, shipped_network
from srcnn_mlflow.network.upscaler import Upscaler
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.pictures.imaging import FloatPlane, upscale
from srcnn_mlflow.pictures.photos import load_luma
from tests.conftest import sampled
from tests.network.test_network import every_network, identity, random_weights

needs_bfloat16 = pytest.mark.skipif(
    "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"),
    reason="this processor does not multiply bfloat16 in hardware",
)


@pytest.fixture(scope="module")
def bicubic() -> FloatPlane:
    return upscale(load_luma(load_dataset("samples").photos("test")[0])[:90, :100], 2)


@given(st.lists(st.floats(-(2.0**126), 2.0**126, width=32), min_size=1))
def test_rounding_is_that_of_torch(values: list[float]) -> None:
    expected = torch.tensor(values).to(torch.bfloat16).float().numpy()
    assert np.array_equal(round_to_bfloat16(np.array(values)), expected)


def test_whole_grey_levels_are_kept() -> None:
    levels = np.arange(256, dtype=np.float32)
    assert np.array_equal(round_to_bfloat16(levels), levels)


def test_balanced_rounding_is_nearer_than_plain_rounding_on_photographs(
    bicubic: FloatPlane,
) -> None:
    kernels = np.random.default_rng(0).normal(size=(64, 1, 9, 9)).astype(np.float32)
    rounded = balanced_rounding(kernels)
    assert np.array_equal(round_to_bfloat16(rounded), rounded)
    patches = np.lib.stride_tricks.sliding_window_view(bicubic, (9, 9)).reshape(-1, 81)

    def distance(other: np.ndarray) -> float:
        errors = patches @ (other - kernels).reshape(64, 81).T
        return float(np.sqrt(np.mean(errors**2)))

    assert distance(rounded) < distance(round_to_bfloat16(kernels)) / 5


@needs_bfloat16
def test_a_network_that_adds_nothing_gives_bicubic_to_the_last_digit(bicubic: FloatPlane) -> None:
    expected = Upscaler(identity(2)).sharpen(bicubic)
    assert np.array_equal(Upscaler(identity(2), "bfloat16").sharpen(bicubic), expected)


@needs_bfloat16
@every_network
def test_every_chain_gives_nearly_the_same(network: Architecture, bicubic: FloatPlane) -> None:
    model = build_onnx(random_weights(network), network, 2)
    exact, rounded = (Upscaler(model, one).sharpen(bicubic) for one in ("float32", "bfloat16"))
    assert np.abs(exact - rounded).max() < 0.01 * 255


@needs_bfloat16
@pytest.mark.parametrize(("residual", "most"), [(True, 0.03), (False, 0.3)])
def test_a_network_that_gives_its_input_back_is_as_near_as_it_can_be(
    bicubic: FloatPlane, residual: bool, most: float
) -> None:
    # In grey levels. With a residual, all that is rounded is the correction, a tenth of luma here.
    network = Architecture("9-1-5", residual)
    weights = {name: np.zeros_like(array) for name, array in random_weights(network).items()}
    weights["conv1.weight"][:, 0, 4, 4] = 1
    weights["conv2.weight"][:, :, 0, 0] = 1 / 64
    weights["conv3.weight"][0, :, 2, 2] = (0.1 if residual else 1) / 32
    sharp = Upscaler(build_onnx(weights, network, 2), "bfloat16").sharpen(bicubic)
    error = sharp - bicubic * (1.1 if residual else 1)
    assert np.sqrt(np.mean(error**2)) < most


@needs_bfloat16
def test_a_network_without_rows_is_added_up_as_before(bicubic: FloatPlane) -> None:
    model = onnx.load_from_string(shipped_network(2).read_bytes())
    for node in model.graph.node:
        node.input[:] = ["former" if name == ROWS else name for name in node.input]
        node.output[:] = ["former" if name == ROWS else name for name in node.output]
    former = Upscaler(model.SerializeToString(), "bfloat16").sharpen(bicubic)
    now = Upscaler(shipped_network(2), "bfloat16").sharpen(bicubic)
    exact = Upscaler(shipped_network(2)).sharpen(bicubic)
    assert not np.array_equal(former, now)
    for one in (former, now):
        assert np.sqrt(np.mean((one - exact) ** 2)) < 0.2


@needs_bfloat16
def test_threads_do_not_disturb_each_other(bicubic: FloatPlane) -> None:
    upscaler = Upscaler(shipped_network(2), "bfloat16")
    planes = [np.ascontiguousarray(np.roll(bicubic, step, axis=0)) for step in range(8)]
    alone = [upscaler.sharpen(plane) for plane in planes]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(upscaler.sharpen, planes))
    assert all(np.array_equal(*pair) for pair in zip(alone, together, strict=True))


@needs_bfloat16
@pytest.mark.parametrize("name", SHIPPED_NAMES[1:])
@pytest.mark.parametrize("scale", sampled([2, 3, 4]))
def test_what_ships_loses_less_than_a_two_hundredth_of_a_decibel(
    shared: Callable[[str], Path], scale: int, name: str
) -> None:
    photos = load_dataset(str(shared("Set5"))).photos("all")

    def quality(precision: str) -> float:
        upscaler = Upscaler(shipped_network(scale, name), precision)
        scored = score_photos(photos, scale, scale, upscaler.upscale_luma)
        return summarize(score for _, score in scored).srcnn_psnr

    assert quality("bfloat16") > quality("float32") - 0.005


def test_without_openvino_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ModelError, match=r"needs OpenVINO.* pip install srcnn-mlflow\[bfloat16\]"):
        Upscaler(identity(2), "bfloat16")


def test_a_processor_without_bfloat16_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    # Such a processor cannot be had here.
    core = SimpleNamespace(get_property=lambda *_: ["FP32", "INT8"])
    monkeypatch.setattr(openvino, "Core", lambda: core)
    with pytest.raises(ModelError, match="does not multiply bfloat16 in hardware"):
        Upscaler(identity(2), "bfloat16")


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(ModelError, match="'float16' is unknown; give float32 or bfloat16"):
        Upscaler(identity(2), "float16")
