"""Transparent pictures: what cannot be seen changes nothing that can."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from srcnn_mlflow.network.shipped import shipped_network
from srcnn_mlflow.network.upscaler import Upscaler
from srcnn_mlflow.pictures.imaging import enlarge, enlarge_plane
from srcnn_mlflow.pictures.picture import Picture, Pixels
from tests.conftest import textured_pixels

SCALES = (2, 3, 4)
# Of 8 bits: transparent, hardly, half, nearly and fully opaque.
ALPHAS = (0, 1, 64, 128, 254, 255)


def enlargements(picture: Picture, scale: int) -> list[Pixels]:
    """What bicubic interpolation and the network make of a picture."""
    network = Upscaler(shipped_network(scale))
    return [enlarge(picture, scale).pixels, network.upscale_picture(picture).pixels]


def patch(colour: tuple[int, ...], around: tuple[int, ...], deep: bool) -> Picture:
    """An opaque square with hard edges, and what lies around it."""
    pixels = np.full((24, 25, len(around)), around, np.uint16)
    pixels[8:17, 7:18] = (*colour, 255)
    return Picture(pixels * np.uint16(257) if deep else pixels.astype(np.uint8))


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("colour", [(200, 30, 90), (180,)])
def test_one_colour_keeps_its_level_at_any_edge(
    colour: tuple[int, ...], alpha: int, scale: int, deep: bool
) -> None:
    for pixels in enlargements(patch(colour, (*colour, alpha), deep), scale):
        seen = pixels[pixels[..., -1] > (np.iinfo(pixels.dtype).max >> 4)][:, :-1]
        unit = 257 if deep else 1
        assert np.abs(seen.astype(int) - np.array(colour) * unit).max() <= (unit if deep else 0)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("scale", SCALES)
def test_a_transparent_rim_takes_nothing_of_the_colour_that_it_hides(mode: str, scale: int) -> None:
    """As a user's PNG is: white around, hidden, and a dark figure with a hard edge."""
    pixels = np.full((40, 40, len(mode)), 255, np.uint8)
    pixels[..., -1] = 0
    pixels[10:30, 10:30] = (*[60] * (len(mode) - 1), 255)
    image = Image.fromarray(pixels)
    found = np.asarray(Upscaler(shipped_network(scale)).upscale_image(image))
    assert set(found[found[..., -1] == 255][:, :-1].ravel()) == {60}
    found = enlarge(Picture.of(image), scale).pixels
    assert set(found[found[..., -1] == 255][:, :-1].ravel()) == {60}


@pytest.mark.parametrize("scale", SCALES)
def test_what_can_hardly_be_seen_hardly_counts(scale: int) -> None:
    for pixels in enlargements(patch((200, 30, 90), (0, 255, 0, 1), deep=False), scale):
        opaque = pixels[pixels[..., -1] == 255][:, :-1].astype(int)
        assert np.abs(opaque - (200, 30, 90)).max() <= 1


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("alpha", ALPHAS)
def test_an_even_transparency_changes_no_colour(alpha: int, scale: int) -> None:
    photo = textured_pixels(20, 24, 3)
    opaque = enlargements(Picture(photo), scale)
    veiled = Picture(np.dstack([photo, np.full(photo.shape[:2], alpha, np.uint8)]))
    for expected, found in zip(opaque, enlargements(veiled, scale), strict=True):
        assert (found[..., 3] == alpha).all()
        assert np.array_equal(found[..., :3], expected)


@given(st.integers(0, 1000), st.sampled_from(SCALES))
def test_a_picture_laid_on_black_and_then_enlarged_is_the_same(seed: int, scale: int) -> None:
    """The bicubic sum of what is seen, wherever anything is."""
    generator = np.random.default_rng(seed)
    plane = generator.integers(0, 256, (9, 11)).astype(np.float32)
    alpha = generator.choice(np.array([0, 16, 128, 254, 255], np.uint8), (9, 11))
    opacity = alpha.astype(np.float32) / 255
    black, visible = (
        enlarge_plane(one.astype(np.float32), None, scale) for one in (plane * opacity, opacity)
    )
    found = enlarge_plane(plane, alpha, scale)
    seen = visible > 1 / 16
    assert np.allclose((found * visible)[seen], black[seen], atol=0.01)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 3)])
def test_small_pictures_with_nothing_to_see(shape: tuple[int, int], deep: bool) -> None:
    pixels = np.zeros((*shape, 4), np.uint16 if deep else np.uint8)
    pixels[..., 1] = 90
    for found in enlargements(Picture(pixels), 2):
        assert found.shape == (2 * shape[0], 2 * shape[1], 4)
        assert (found[..., 3] == 0).all()
