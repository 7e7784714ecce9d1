"""Architecture, model, export and upscaler: the same network three times, held together."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper
from PIL import Image

from srcnn_mlflow.machine.errors import ModelError
from srcnn_mlflow.network import upscaler as upscaler_module
from srcnn_mlflow.network.architecture import PADDINGS, Architecture
from srcnn_mlflow.network.onnx_export import build_onnx, save_onnx
from srcnn_mlflow.network.shipped import shipped_network
from srcnn_mlflow.network.upscaler import Upscaler, tiles
from srcnn_mlflow.pictures.imaging import bicubic_image, luma, to_eight_bit, upscale
from srcnn_mlflow.training.colour import from_ycbcr, to_ycbcr
from srcnn_mlflow.training.model import Srcnn, count_weights
from tests.conftest import textured_pixels

# The paper's two; a longer one of other widths, with its widest kernel at the end; two layers.
CHAINS = ("9-5-5", "9-1-5", "5-1-3-7:12-8-6", "3-1:5")

# By chain; the last two on three planes.
ON_CHANNELS = (*((name, "y") for name in CHAINS), ("9-1-5", "rgb"), ("5-1-3-7:12-8-6", "ycbcr"))

every_network = pytest.mark.parametrize(
    "network",
    [
        Architecture(name, residual, padding, channels)
        for name, channels in ON_CHANNELS
        for residual in (True, False)
        for padding in PADDINGS
    ],
    ids=str,
)


def random_weights(network: Architecture) -> dict[str, np.ndarray]:
    torch.manual_seed(3)
    return {key: value.numpy() for key, value in Srcnn(network, "plain").state_dict().items()}


def identity(scale: int) -> bytes:
    """A residual network that adds nothing: bicubic itself."""
    network = Architecture()
    weights = {key: np.zeros_like(value) for key, value in random_weights(network).items()}
    return build_onnx(weights, network, scale)


@pytest.mark.parametrize(
    ("name", "weights"), [("9-5-5", 57_281), ("9-1-5", 8_129), ("vdsr", 665_921)]
)
def test_the_number_of_weights_is_the_papers(name: str, weights: int) -> None:
    assert count_weights(Srcnn(Architecture(name))) == weights


@pytest.mark.parametrize(("name", "halo"), [("9-5-5", 8), ("9-1-5", 6)])
def test_the_halo_is_how_far_the_network_looks(name: str, halo: int) -> None:
    network = Architecture(name)
    assert network.halo == halo
    model = Srcnn(network, "plain")
    picture = torch.rand(1, 1, 41, 41, requires_grad=True)
    output = model(picture)
    output[0, 0, output.shape[2] // 2, output.shape[3] // 2].backward()
    assert picture.grad is not None
    seen = picture.grad[0, 0].abs().sum(0).nonzero()
    assert 20 - int(seen.min()) == int(seen.max()) - 20 == halo


@pytest.mark.parametrize("seed", range(5))
def test_a_residual_network_begins_near_bicubic(seed: int) -> None:
    torch.manual_seed(seed)
    picture = torch.rand(1, 1, 40, 40)
    model = Srcnn(Architecture())
    assert (model(picture) - model.crop_target(picture)).abs().mean() < 0.1


@every_network
def test_layers_put_together_by_hand_compute_what_the_network_computes(
    network: Architecture,
) -> None:
    torch.manual_seed(4)
    model = Srcnn(network, "plain")
    picture = torch.rand(2, network.planes, 37, 45)
    layers = [part for layer in model.layers for part in (layer, torch.nn.ReLU())]
    expected = torch.nn.Sequential(*layers[:-1])(picture)
    if network.residual:
        expected = expected + model.crop_target(picture)
    output = model(picture)
    assert output.shape == expected.shape
    assert (output - expected).abs().max() < 1e-5
    target = torch.rand_like(output)
    names = [name for name, _ in model.named_parameters()]
    given, wanted = (
        torch.autograd.grad((result - target).square().sum(), list(model.parameters()))
        for result in (output, expected)
    )
    for name, one, other in zip(names, given, wanted, strict=True):
        assert (one - other).norm() < 1e-4 * other.norm(), name


@every_network
def test_export_computes_what_torch_computes(network: Architecture) -> None:
    weights = random_weights(network)
    session = onnxruntime.InferenceSession(build_onnx(weights, network, 2))
    picture = np.random.default_rng(0).random((2, network.planes, 37, 45), np.float32)
    (source,) = session.get_inputs()
    assert source.name == ("luma" if network.channels == "y" else "rgb")
    (exported,) = session.run(None, {source.name: picture})
    model = Srcnn(network)
    model.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()})
    halo = network.halo if network.padding == "none" else 0
    # Without padding in training, an exported network repeats the edge once, in front.
    padded = np.pad(picture, ((0, 0), (0, 0), (halo, halo), (halo, halo)), mode="edge")
    with torch.no_grad():
        given_planes = torch.from_numpy(padded)
        if network.channels == "ycbcr":
            expected = from_ycbcr(model(to_ycbcr(given_planes))).numpy()
        else:
            expected = model(given_planes).numpy()
    assert exported.shape == picture.shape
    assert np.abs(exported - expected).max() < 1e-5


@every_network
def test_tiles_have_no_seam(network: Architecture, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Upscaler(build_onnx(random_weights(network), network, 2))
    planes = textured_pixels(70, 90, 1).transpose(2, 0, 1).astype(np.float32)
    for bicubic in [planes[0], *([planes] if network.planes == 3 else [])]:
        monkeypatch.setattr(upscaler_module, "TILE", 1000)
        whole = model.sharpen(bicubic)
        assert whole.shape == bicubic.shape
        for tile in (16, 33):
            monkeypatch.setattr(upscaler_module, "TILE", tile)
            assert np.abs(model.sharpen(bicubic) - whole).max() / 255 < 1e-5


@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 9), st.integers(1, 40))
def test_tiles_cover_a_plane_once_and_see_the_halo(
    height: int, width: int, halo: int, side: int
) -> None:
    counted = np.zeros((height, width), int)
    place = np.arange(height * width).reshape(height, width)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(upscaler_module, "TILE", side)
        for window, inside, tile in tiles((height, width), halo):
            counted[tile] += 1
            assert np.array_equal(place[window][inside], place[tile])
            rows, columns = (
                range(max(0, area.start - halo), min(end, area.stop + halo))
                for area, end in zip(tile, counted.shape, strict=True)
            )
            assert np.array_equal(place[window], place[np.ix_(rows, columns)])
    assert (counted == 1).all()


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (1, 50), (7, 3), (40, 31)])
def test_any_size_is_enlarged(scale: int, size: tuple[int, int]) -> None:
    plane = textured_pixels(*size, seed=4)[..., 0]
    enlarged = Upscaler(identity(scale)).upscale_luma(plane)
    assert np.array_equal(enlarged, to_eight_bit(upscale(plane, scale)))


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_colour_and_transparency_are_kept(mode: str) -> None:
    pixels = textured_pixels(20, 30, 5)
    image = Image.fromarray(pixels).convert(mode)
    if mode.endswith("A"):
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    enlarged = Upscaler(identity(2)).upscale_image(image)
    assert enlarged.mode == mode
    assert enlarged.size == (60, 40)
    found, bicubic = (np.asarray(one).astype(int) for one in (enlarged, bicubic_image(image, 2)))
    assert np.abs(found - bicubic)[..., -1].max() <= 1
    # Of colours that can hardly be seen, Pillow has few levels.
    visible = found[..., -1:] / 255 if mode.endswith("A") else 1
    assert np.abs((found - bicubic) * visible).max() <= 3


def test_the_luma_of_a_colour_picture_is_what_the_network_says() -> None:
    network = Architecture()
    model = Upscaler(build_onnx(random_weights(network), network, 2))
    image = Image.fromarray((textured_pixels(24, 24, 6) // 3 + 80).astype(np.uint8))
    expected = model.upscale_luma(luma(image)).astype(int)
    inside = (expected > 90) & (expected < 160)  # where no channel is clipped
    assert inside.sum() > 100
    assert np.abs(luma(model.upscale_image(image)).astype(int) - expected)[inside].max() <= 2


def brightening(levels: float) -> Upscaler:
    """Bicubic, and so many grey levels of luma lighter."""
    network = Architecture()
    weights = {key: np.zeros_like(value) for key, value in random_weights(network).items()}
    weights["conv3.bias"][:] = levels / 255
    return Upscaler(build_onnx(weights, network, 2))


def test_a_step_of_luma_is_more_of_each_colour() -> None:
    # Luma goes from 16 to 235 where colours go from 0 to 255.
    image = Image.new("RGB", (8, 9), (20, 60, 100))
    enlarged = np.asarray(brightening(100).upscale_image(image))
    assert set(map(tuple, enlarged.reshape(-1, 3).tolist())) == {(136, 176, 216)}


def test_a_sharpened_plane_stays_within_its_range() -> None:
    plane = np.full((5, 6), 200, np.float32)
    assert brightening(55.75).sharpen(plane).max() == 255
    assert brightening(-300).sharpen(plane).min() == 0
    assert brightening(10).sharpen(plane) == pytest.approx(210, abs=1e-3)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_files_of_networks_on_luma_are_to_the_byte_as_they_were(scale: int) -> None:
    """The files that ship were written before there were channels."""
    path = shipped_network(scale, "shipped-9-1-5")
    constants = onnx.load(path).graph.initializer
    weights = {one.name: numpy_helper.to_array(one) for one in constants if "conv" in one.name}
    assert build_onnx(weights, Architecture("9-1-5"), scale) == path.read_bytes()


def test_the_scale_is_read_from_the_file(tmp_path: Path) -> None:
    network = Architecture("9-1-5")
    save_onnx(tmp_path / "model.onnx", random_weights(network), network, 3)
    assert Upscaler(tmp_path / "model.onnx").scale == 3


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no model file"):
        Upscaler(tmp_path / "missing.onnx")
    (tmp_path / "noise.onnx").write_bytes(b"noise")
    with pytest.raises(ModelError, match=r"noise\.onnx is not a usable ONNX model"):
        Upscaler(tmp_path / "noise.onnx")
    foreign = onnx.load_from_string(identity(2))
    del foreign.metadata_props[:]
    onnx.save(foreign, str(tmp_path / "foreign.onnx"))
    with pytest.raises(ModelError, match="was not written by srcnn-mlflow"):
        Upscaler(tmp_path / "foreign.onnx")
    shutil.rmtree(tmp_path)


def test_in_bfloat16_the_output_keeps_the_fine_steps_of_luma() -> None:
    torch.manual_seed(0)
    model = Srcnn(Architecture(residual=False), "plain")
    luma = torch.rand(2, 1, 40, 40)
    with torch.autocast("cpu", torch.bfloat16):
        output = model(luma)
    assert output.dtype == torch.float32
    # Rounded to bfloat16, the values of a picture would fall together.
    assert len(output.unique()) > 0.99 * output.numel()
