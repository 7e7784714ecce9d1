import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from srcnn_mlflow.machine.errors import ImageError
from srcnn_mlflow.machine.text import printable
from srcnn_mlflow.measuring.metrics import psnr, ssim
from srcnn_mlflow.pictures.decoding import open_image, open_picture
from srcnn_mlflow.pictures.imaging import (
    bleed,
    crop_image,
    downscale,
    flatten,
    luma,
    mod_crop,
    to_eight_bit,
    upscale,
)
from srcnn_mlflow.pictures.picture_files import picture_files
from tests.conftest import textured_pixels


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture
def colour() -> Image.Image:
    return Image.fromarray(textured_pixels(40, 50, 1))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_lossless_formats_keep_every_pixel(colour: Image.Image, kind: str) -> None:
    opened = open_image(encoded(colour, kind))
    assert opened.mode == "RGB"
    assert np.array_equal(np.asarray(opened), np.asarray(colour))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_formats_come_close(colour: Image.Image, kind: str) -> None:
    opened = np.asarray(open_image(encoded(colour, kind, quality=95))).astype(int)
    assert np.abs(opened - np.asarray(colour)).mean() < 8


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_honoured(colour: Image.Image, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = open_image(encoded(colour, "PNG", exif=exif))
    pixels = np.asarray(colour)
    # The EXIF standard's eight cases, as what a viewer does with the stored rows and columns.
    expected = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.swapaxes(0, 1),
        6: np.rot90(pixels, -1),
        7: pixels[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(pixels),
    }[orientation]
    assert np.array_equal(np.asarray(upright), expected)


def test_grey_stays_grey() -> None:
    grey = Image.fromarray(textured_pixels(20, 20, 2)[..., 0])
    assert open_image(encoded(grey)).mode == "L"
    assert open_image(encoded(grey.convert("1"))).mode == "L"


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_down(kind: str) -> None:
    deep = np.array([[0, 128, 129], [257, 32896, 65535]], np.uint16)
    opened = open_image(encoded(Image.fromarray(deep), kind))
    assert opened.mode == "L"
    assert np.asarray(opened).tolist() == [[0, 0, 1], [1, 128, 255]]


def test_palette_becomes_colour(colour: Image.Image) -> None:
    palette = colour.quantize(16)
    opened = open_image(encoded(palette))
    assert np.array_equal(np.asarray(opened), np.asarray(palette.convert("RGB")))


def test_palette_with_transparency_keeps_it(colour: Image.Image) -> None:
    opened = open_image(encoded(colour.quantize(16), transparency=3))
    assert opened.mode == "RGBA"
    assert set(np.unique(np.asarray(opened)[..., 3])) <= {0, 255}


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_is_kept_until_it_is_laid_on_white(mode: str) -> None:
    image = Image.new(mode, (12, 12), (0, 0) if mode == "LA" else (10, 20, 30, 0))
    opened = open_image(encoded(image))
    assert opened.mode == mode
    assert np.asarray(flatten(opened)).min() == 255


def test_cmyk_becomes_the_colour_a_viewer_shows() -> None:
    cyan = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    pixels = np.asarray(open_image(encoded(cyan, "JPEG", quality=100)))
    assert pixels.shape == (16, 16, 3)
    assert np.abs(pixels.astype(int) - [0, 255, 255]).max() < 6


def test_bleeding_leaves_what_is_visible_and_fills_the_rest_from_it() -> None:
    plane = np.zeros((30, 31), np.float32)  # what is hidden is black
    plane[8:22, 8:22], plane[8:22, 8:12] = 255, 90
    alpha = np.zeros_like(plane)
    alpha[8:22, 8:22] = 1
    bled = bleed(plane, alpha)
    assert np.array_equal(bled[8:22, 8:22], plane[8:22, 8:22])
    assert bled[4:26, 15:].min() > 200
    assert bled.min() >= 89.99
    assert bled.max() <= 255.01


@given(st.integers(0, 1000), st.integers(1, 40), st.integers(1, 40), st.integers(0, 255))
def test_bleeding_of_one_colour_is_that_colour(
    seed: int, height: int, width: int, level: int
) -> None:
    visible = np.random.default_rng(seed).random((height, width)) < 0.1
    visible[0, 0] = True
    plane = np.where(visible, level, 99).astype(np.float32)
    bled = bleed(plane, visible.astype(np.float32))
    assert np.allclose(bled, level, atol=1e-3)


def test_nothing_visible_leaves_everything() -> None:
    plane = textured_pixels(9, 7, 3)[..., 0].astype(np.float32)
    assert np.array_equal(bleed(plane, np.zeros_like(plane)), plane)
    assert np.array_equal(bleed(plane, np.ones_like(plane)), plane)


def test_a_damaged_exif_entry_does_not_spoil_the_picture(colour: Image.Image) -> None:
    contents = bytearray(encoded(colour, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0"))
    assert open_image(bytes(contents)).size == colour.size


@pytest.mark.parametrize("seed", range(30))
def test_no_damage_ends_in_anything_but_a_picture_or_an_image_error(
    colour: Image.Image, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    exif = Image.Exif()
    exif.update({0x0112: 6, 0x011A: 72.5, 0x010F: "maker", 0x8769: {0x829A: 0.01}})
    contents = bytearray(encoded(colour, ["JPEG", "WEBP", "PNG"][seed % 3], exif=exif))
    for position in generator.integers(0, min(len(contents), 400), 4):
        contents[position] = generator.integers(256)
    # Any other exception than ImageError fails the test.
    with contextlib.suppress(ImageError):
        assert open_image(bytes(contents)).mode in ("L", "LA", "RGB", "RGBA")


def test_a_colour_profile_stays_with_the_picture(colour: Image.Image) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert open_picture(encoded(colour, icc_profile=profile)).metadata.profile == profile


@pytest.mark.parametrize(
    ("contents", "says"),
    [
        (b"", "is empty"),
        (b"hello, I am a text file", "is not a PNG"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "is not a PNG|cannot be read"),
        (b"GIF89a" + bytes(30), "is not a PNG"),
    ],
)
def test_what_is_no_picture_is_refused(tmp_path: Path, contents: bytes, says: str) -> None:
    path = tmp_path / "odd name ü.png"
    path.write_bytes(contents)
    with pytest.raises(ImageError, match=says) as error:
        open_image(path)
    assert "odd name ü.png" in str(error.value)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
def test_a_truncated_picture_is_refused(colour: Image.Image, kind: str) -> None:
    contents = encoded(colour, kind)
    with pytest.raises(ImageError, match=r"cannot be read|is not a"):
        open_image(contents[: len(contents) // 2])


@pytest.mark.parametrize("pixels", [np.zeros((4, 4), np.float32), np.zeros((4, 4), np.int32)])
def test_numbers_without_an_eight_bit_meaning_are_refused(pixels: np.ndarray) -> None:
    with pytest.raises(ImageError, match="8 or 16 bits"):
        open_image(encoded(Image.fromarray(pixels), "TIFF"))


def test_too_many_pixels_are_refused_before_decoding(colour: Image.Image) -> None:
    with pytest.raises(ImageError, match="50x40, 2,000 pixels; the most allowed is 1,999"):
        open_image(encoded(colour)[:100], max_pixels=1999)


def test_a_decompression_bomb_is_refused() -> None:
    with pytest.raises(ImageError, match="the most allowed"):
        open_image(encoded(Image.new("1", (20_000, 20_000))))


@pytest.mark.parametrize(
    ("rgb", "expected"),
    # BT.601 by hand: white 235, black 16, and the three coefficients rounded.
    [
        ((255, 255, 255), 235),
        ((0, 0, 0), 16),
        ((255, 0, 0), 81),
        ((0, 255, 0), 145),
        ((0, 0, 255), 41),
        ((10, 200, 99), 129),
    ],
)
def test_luma_of_known_colours(rgb: tuple[int, int, int], expected: int) -> None:
    assert luma(Image.new("RGB", (1, 1), rgb))[0, 0] == expected


@given(st.integers(0, 2**32 - 1))
def test_luma_agrees_with_the_formula_in_floats(seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    exact = 16 + pixels.astype(float) @ [65.481, 128.553, 24.966] / 255
    assert np.abs(luma(Image.fromarray(pixels)) - exact).max() <= 0.5 + 1e-9


def test_a_grey_picture_is_its_own_luma() -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(luma(Image.fromarray(grey)), grey)


@given(st.integers(2, 30), st.integers(2, 30), st.sampled_from([2, 3, 4]))
def test_mod_crop_keeps_the_top_left(height: int, width: int, scale: int) -> None:
    plane = np.arange(height * width, dtype=np.uint32).reshape(height, width).astype(np.uint8)
    if min(height, width) < scale:
        with pytest.raises(ImageError, match="too small"):
            mod_crop(plane, scale)
        return
    cropped = mod_crop(plane, scale)
    assert cropped.shape == (height // scale * scale, width // scale * scale)
    assert np.array_equal(cropped, plane[: cropped.shape[0], : cropped.shape[1]])
    assert np.array_equal(np.asarray(crop_image(Image.fromarray(plane), scale)), cropped)


@given(st.integers(0, 255), st.sampled_from([2, 3, 4]))
def test_a_flat_plane_stays_flat(value: int, scale: int) -> None:
    plane = np.full((24, 36), value, np.uint8)
    small = downscale(plane, scale)
    assert small.shape == (24 // scale, 36 // scale)
    assert np.all(small == value)
    assert np.allclose(upscale(small, scale), value, atol=1e-4)


def cubic(x: np.ndarray, a: float = -0.5) -> np.ndarray:
    x = np.abs(x)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


def resize_matrix(size: int, target: int) -> np.ndarray:
    """Keys' cubic convolution as a matrix: antialiased when shrinking, renormalised at edges."""
    ratio = size / target
    stretch = max(ratio, 1)
    centres = (np.arange(target) + 0.5) * ratio
    weights = cubic((np.arange(size) + 0.5 - centres[:, None]) / stretch)
    matrix: np.ndarray = weights / weights.sum(axis=1, keepdims=True)
    return matrix


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic_agrees_with_its_definition(scale: int) -> None:
    plane = textured_pixels(24, 36, 3)[..., 0]
    small = resize_matrix(24, 24 // scale) @ plane @ resize_matrix(36, 36 // scale).T
    assert np.abs(downscale(plane, scale) - np.clip(small, 0, 255)).max() <= 0.501
    low = downscale(plane, scale)
    large = resize_matrix(24 // scale, 24) @ low @ resize_matrix(36 // scale, 36).T
    assert np.abs(upscale(low, scale) - np.clip(large, 0, 255)).max() < 1e-3


@pytest.mark.parametrize(
    ("scale", "published_psnr", "published_ssim"),
    [(2, 33.66, 0.9299), (3, 30.39, 0.8682), (4, 28.42, 0.8104)],
)
def test_bicubic_on_set5_is_what_the_field_publishes(
    shared: Callable[[str], Path], scale: int, published_psnr: float, published_ssim: float
) -> None:
    scores = []
    for path in picture_files(shared("Set5")):
        original = mod_crop(luma(open_image(path)), scale)
        bicubic = to_eight_bit(upscale(downscale(original, scale), scale))
        scores.append((psnr(original, bicubic, scale), ssim(original, bicubic, scale)))
    mean_psnr, mean_ssim = np.mean(scores, axis=0)
    assert mean_psnr == pytest.approx(published_psnr, abs=0.015)
    assert mean_ssim == pytest.approx(published_ssim, abs=0.0005)


def test_names_are_shown_on_one_line_and_can_be_encoded() -> None:
    assert printable("grüße 猫 😀.png") == "grüße 猫 😀.png"
    assert printable("a\nb\x1b[31m\udcff\u202e.png") == r"a\nb\x1b[31m\udcff\u202e.png"


def test_picture_files_are_listed_by_their_endings(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpeg", ".hidden.png", "notes.txt", "c.webp"):
        (tmp_path / name).touch()
    (tmp_path / "broken.png").symlink_to("nowhere")
    assert [path.name for path in picture_files(tmp_path)] == [
        *("a.jpeg", "b.PNG", "broken.png", "c.webp"),
    ]
