"""Colour conversions: known values, identities, and scikit-image as the independent reference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from skimage.color import rgb2ycbcr, ycbcr2rgb

from srcnn_mlflow.network.upscaler import grey_of
from srcnn_mlflow.pictures.colour import YCBCR, each_plane, luma_plane, ycbcr_conversion
from srcnn_mlflow.pictures.imaging import Plane, luma
from tests.conftest import textured_pixels
from tests.photographs import ASTRONAUT

PIXELS = arrays(np.uint8, (5, 4, 3), elements=st.integers(0, 255))


def planes_of(pixels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32)


def converted(planes: np.ndarray, inverse: bool = False) -> np.ndarray:
    """Levels 0..255 of shape (3, height, width), there or back."""
    matrix, black = ycbcr_conversion(inverse=inverse)
    levels: np.ndarray = 255 * (np.tensordot(matrix, planes / 255, 1) + black[:, None, None])
    return levels


def to_ycbcr(planes: np.ndarray) -> np.ndarray:
    return converted(planes)


def from_ycbcr(planes: np.ndarray) -> np.ndarray:
    return converted(planes, inverse=True)


@pytest.mark.parametrize(
    ("colour", "expected"),
    [
        # ITU-R BT.601, table of the primaries at full level, unrounded.
        ((0, 0, 0), (16, 128, 128)),
        ((255, 255, 255), (235, 128, 128)),
        ((255, 0, 0), (81.481, 90.203, 240)),
        ((0, 255, 0), (144.553, 53.797, 34.214)),
        ((0, 0, 255), (40.966, 240, 109.786)),
    ],
)
def test_known_colours(colour: tuple[int, ...], expected: tuple[float, ...]) -> None:
    planes = np.array(colour, np.float32).reshape(3, 1, 1)
    assert to_ycbcr(planes).ravel().tolist() == pytest.approx(expected, abs=1e-4)


def test_it_is_what_scikit_image_computes_and_so_is_its_inverse() -> None:
    pixels = ASTRONAUT[100:200, 150:300]
    expected = np.asarray(rgb2ycbcr(pixels))
    found = to_ycbcr(planes_of(pixels)).transpose(1, 2, 0)
    assert np.abs(found - expected).max() < 1e-3
    back = np.asarray(ycbcr2rgb(found.astype(np.float64)))
    assert np.abs(from_ycbcr(planes_of(found)).transpose(1, 2, 0) - 255 * back).max() < 1e-3


@given(PIXELS)
def test_there_and_back_is_the_picture_itself(pixels: Plane) -> None:
    planes = planes_of(pixels)
    back = from_ycbcr(to_ycbcr(planes))
    assert np.abs(back - planes).max() < 1e-3
    assert np.array_equal(np.rint(back), planes)


@given(PIXELS)
def test_its_first_plane_is_the_luma_that_is_measured(pixels: Plane) -> None:
    # Rounded, but for what lies between two levels in float32.
    assert np.abs(to_ycbcr(planes_of(pixels))[0] - luma_plane(pixels)).max() < 0.5 + 1e-4


def test_every_plane_stays_in_its_range() -> None:
    corners = np.array(np.meshgrid(*[[0, 255]] * 3), np.float32).reshape(3, 2, 4)
    low, high = (
        end.round(3).tolist()
        for end in (to_ycbcr(corners).min((1, 2)), to_ycbcr(corners).max((1, 2)))
    )
    assert (low, high) == ([16, 16, 16], [235, 240, 240])


@given(arrays(np.float32, (3, 4), elements=st.floats(0, 255, width=32)))
def test_a_grey_stays_itself_to_the_last_bit(plane: np.ndarray) -> None:
    assert np.array_equal(grey_of(np.stack([plane] * 3)), plane)


@given(PIXELS)
def test_grey_is_luma_over_the_full_range(pixels: Plane) -> None:
    planes = planes_of(pixels)
    expected = (to_ycbcr(planes)[0] - 16) * (255 / 219)
    assert np.abs(grey_of(planes) - expected).max() < 1e-3
    assert YCBCR[0].sum() == pytest.approx(219 / 255)


def test_luma_of_pixels_is_that_of_the_picture() -> None:
    pixels = textured_pixels(30, 40, 1)
    assert np.array_equal(luma_plane(pixels), luma(Image.fromarray(pixels)))
    assert np.array_equal(luma_plane(pixels[..., 0]), pixels[..., 0])


def test_each_plane_is_taken_by_itself() -> None:
    pixels = textured_pixels(6, 8, 2)
    halved = each_plane(pixels, lambda plane: plane[::2, ::2])
    assert np.array_equal(halved, pixels[::2, ::2])
    assert np.array_equal(each_plane(pixels[..., 1], lambda plane: plane.T), pixels[..., 1].T)
