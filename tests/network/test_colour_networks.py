"""Networks on three planes: bicubic where they add nothing, and right on every kind of picture."""

import importlib.util
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from srcnn_mlflow.machine.errors import ModelError
from srcnn_mlflow.network import standalone
from srcnn_mlflow.network.architecture import CHANNELS, Architecture
from srcnn_mlflow.network.onnx_export import build_onnx, read_layers, save_onnx
from srcnn_mlflow.network.upscaler import Upscaler
from srcnn_mlflow.pictures.imaging import enlarge_plane
from srcnn_mlflow.pictures.pairs import make_small
from srcnn_mlflow.pictures.picture import Picture
from tests.conftest import textured_pixels
from tests.network.test_network import random_weights
from tests.photographs import ASTRONAUT, CAMERA

IN_COLOUR = pytest.mark.parametrize("channels", ["rgb", "ycbcr"])
PHOTOGRAPH = ASTRONAUT[90:150, 180:250]


def network_on(channels: str, strength: float = 1.0) -> Upscaler:
    """A residual 9-1-5 whose correction has a strength; without any it is bicubic itself."""
    network = Architecture("9-1-5", channels=channels)
    factor = np.float32(strength)
    weights = {name: value * factor for name, value in random_weights(network).items()}
    return Upscaler(build_onnx(weights, network, 2))


@pytest.mark.parametrize(
    ("name", "channels", "weights"),
    # The paper's c = 3: 9*9*3*64 + 64, 5*5*64*32 + 32 or 64*32 + 32, 5*5*32*3 + 3.
    [("9-5-5", "rgb", 69_251), ("9-1-5", "rgb", 20_099), ("9-1-5", "ycbcr", 20_099)],
)
def test_the_number_of_weights_is_that_of_three_planes(
    name: str, channels: str, weights: int, tmp_path: Path
) -> None:
    network = Architecture(name, channels=channels)
    assert network.planes == 3
    assert network.filters[-1] == 3
    save_onnx(tmp_path / "n.onnx", random_weights(network), network, 2)
    assert read_layers(tmp_path / "n.onnx") == (name, weights)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("pixels", [PHOTOGRAPH, CAMERA[:60, 100:170]], ids=["colour", "grey"])
def test_a_network_on_rgb_that_adds_nothing_is_bicubic_to_the_pixel(
    scale: int, pixels: np.ndarray
) -> None:
    network = Architecture(channels="rgb")
    nothing = {name: np.zeros_like(value) for name, value in random_weights(network).items()}
    _, small, bicubic = make_small(pixels, scale)
    made = Upscaler(build_onnx(nothing, network, scale)).upscale_pixels(small)
    assert np.array_equal(made, bicubic)


def test_a_network_on_ycbcr_that_adds_nothing_is_bicubic_but_for_ties() -> None:
    _, small, bicubic = make_small(PHOTOGRAPH, 2)
    made = network_on("ycbcr", 0.0).upscale_pixels(small)
    differing = np.abs(made.astype(int) - bicubic)
    # A level that lies exactly between two may fall to either.
    assert differing.max() <= 1
    assert (differing > 0).mean() < 0.02


@IN_COLOUR
def test_its_planes_are_those_it_says(channels: str) -> None:
    """A step of the last layer's biases alone is a step of red, or of luma."""
    network = Architecture("9-1-5", channels=channels)
    weights = {name: np.zeros_like(value) for name, value in random_weights(network).items()}
    weights["conv3.bias"][0] = 21.9 / 255
    picture = np.full((9, 8, 3), (60, 90, 120), np.uint8)
    made = Upscaler(build_onnx(weights, network, 2)).upscale_pixels(picture)
    step = (22, 0, 0) if channels == "rgb" else (25.5, 25.5, 25.5)
    assert np.abs(made[8, 8] - np.add((60, 90, 120), step)).max() <= 0.5


@IN_COLOUR
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_every_kind_of_picture_keeps_its_bands_depth_and_transparency(
    channels: str, mode: str, depth: type[np.uint8] | type[np.uint16]
) -> None:
    white = np.iinfo(depth).max
    bands = 1 if mode.startswith("L") else 3
    pixels: np.ndarray = textured_pixels(24, 32, 5)[..., :bands] * depth(white // 255)
    if mode.endswith("A"):
        alpha: np.ndarray = np.linspace(0, white, 32).astype(depth)
        pixels = np.dstack([pixels, np.broadcast_to(alpha, (24, 32))])
    picture = Picture(pixels)
    made = network_on(channels).upscale_picture(picture)
    assert made.pixels.dtype == depth
    assert made.pixels.shape == (48, 64, picture.bands)
    bicubic = network_on(channels, 0.0).upscale_picture(picture)
    usual = network_on("y", 0.0).upscale_picture(picture)
    # What a network on luma makes of transparency, this one makes of it.
    if mode.endswith("A"):
        assert np.array_equal(made.pixels[..., -1], usual.pixels[..., -1])
    for band in range(picture.colours):
        levels = picture.pixels[..., band] / np.float32(white // 255)
        expected = np.clip(enlarge_plane(levels.astype(np.float32), picture.alpha, 2), 0, 255)
        found = bicubic.pixels[..., band] / (white / 255)
        assert np.abs(found - expected).max() <= 0.501


@IN_COLOUR
def test_sixteen_bits_are_not_rounded_to_eight_on_the_way(channels: str) -> None:
    deep = Picture((textured_pixels(24, 32, 6).astype(np.uint16) * 257 + 77).clip(0, 65_535))
    made = network_on(channels).upscale_picture(deep)
    inside = (made.pixels > 0) & (made.pixels < 65_535)
    assert (made.pixels % 257 != 0)[inside].mean() > 0.9


@IN_COLOUR
def test_grey_is_seen_as_red_green_and_blue_alike(channels: str) -> None:
    grey = CAMERA[:40, 100:150]
    model = network_on(channels)
    in_colour = model.upscale_pixels(np.dstack([grey] * 3)).astype(int)
    weighted = in_colour @ np.array([65.481, 128.553, 24.966]) / 219
    assert np.abs(model.upscale_pixels(grey) - weighted).max() <= 1.0
    assert np.array_equal(model.upscale_luma(grey), model.upscale_pixels(grey))
    assert np.array_equal(
        np.asarray(model.upscale_image(Image.fromarray(grey))), model.upscale_pixels(grey)
    )


def test_channels_stand_in_the_file_and_files_without_them_are_of_luma() -> None:
    for channels in CHANNELS:
        network = Architecture("9-1-5", channels=channels)
        content = build_onnx(random_weights(network), network, 3)
        about = {one.key: one.value for one in onnx.load_from_string(content).metadata_props}
        assert about.get("channels") == (None if channels == "y" else channels)
        assert Upscaler(content).channels == channels


def test_a_file_whose_channels_do_not_fit_is_refused_in_one_line(tmp_path: Path) -> None:
    for named, made_for in (("cmyk", "rgb"), ("rgb", "y"), ("y", "ycbcr")):
        network = Architecture("9-1-5", channels=made_for)
        model = onnx.load_from_string(build_onnx(random_weights(network), network, 2))
        others = [one for one in model.metadata_props if one.key != "channels"]
        del model.metadata_props[:]
        said = onnx.StringStringEntryProto(key="channels", value=named)
        model.metadata_props.extend([*others, said])
        onnx.save(model, tmp_path / "odd.onnx")
        message = rf"odd\.onnx takes {network.planes} plane\(s\) and says that they are '{named}'"
        with pytest.raises(ModelError, match=message) as refused:
            Upscaler(tmp_path / "odd.onnx")
        assert "\n" not in str(refused.value)


def test_unknown_channels_are_refused() -> None:
    with pytest.raises(ModelError, match="unknown channels 'lab'; choose from y, ycbcr, rgb"):
        replace(Architecture(), channels="lab")


@IN_COLOUR
@pytest.mark.parametrize("tile", [13, 512])
def test_the_exported_script_gives_the_same_pixels(
    channels: str, tile: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Architecture("9-1-5", channels=channels)
    weights = random_weights(network)
    script = shutil.copy(standalone.__file__, tmp_path / "srcnn_x2.py")
    save_onnx(tmp_path / "srcnn-x2.onnx", weights, network, 2)
    spec = importlib.util.spec_from_file_location("exported", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "TILE", tile)
    for name, pixels in (("colour", PHOTOGRAPH), ("grey", CAMERA[:31, 100:143])):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        module.main([str(tmp_path / f"{name}.png"), str(tmp_path / "result.png")])
        expected = Upscaler(tmp_path / "srcnn-x2.onnx").upscale_pixels(pixels)
        found = np.asarray(Image.open(tmp_path / "result.png"))
        assert found.shape == expected.shape
        differing = np.abs(found.astype(int) - expected)
        # Other tiles, other sums: a level between two may fall to either.
        assert differing.max() <= (0 if tile == 512 else 1)
        assert (differing > 0).mean() < 0.001
