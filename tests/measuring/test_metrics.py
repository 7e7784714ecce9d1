import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from srcnn_mlflow.measuring.metrics import bias, compare, mse, psnr, ssim, structural
from tests.photographs import CAMERA

planes = arrays(np.uint8, st.tuples(st.integers(12, 30), st.integers(12, 30)))


@given(planes)
def test_a_plane_equals_itself(plane: np.ndarray) -> None:
    assert mse(plane, plane) == 0
    assert bias(plane, plane) == 0
    assert psnr(plane, plane) == math.inf
    assert ssim(plane, plane) == pytest.approx(1)


def test_known_values() -> None:
    black = np.zeros((20, 20), np.uint8)
    white = np.full((20, 20), 255, np.uint8)
    one = np.ones((20, 20), np.uint8)
    assert mse(black, white) == 255**2
    assert psnr(black, white) == 0
    assert bias(black, white) == 255
    assert bias(white, black) == -255
    # One grey level everywhere: 20 log10(255).
    assert psnr(black, one) == pytest.approx(48.1308, abs=1e-4)


def test_ssim_of_two_flat_planes_is_the_luminance_term() -> None:
    first, second = np.full((15, 15), 100, np.uint8), np.full((15, 15), 150, np.uint8)
    constant = (0.01 * 255) ** 2
    expected = (2 * 100 * 150 + constant) / (100**2 + 150**2 + constant)
    assert ssim(first, second) == pytest.approx(expected, rel=1e-9)


@given(planes, st.integers(0, 2**32 - 1), st.integers(0, 3))
def test_psnr_agrees_with_scikit_image(plane: np.ndarray, seed: int, border: int) -> None:
    other = np.random.default_rng(seed).integers(0, 256, plane.shape, dtype=np.uint8)
    inside = tuple(slice(border, side - border) for side in plane.shape)
    if np.array_equal(plane[inside], other[inside]):
        return
    expected = peak_signal_noise_ratio(  # type: ignore[no-untyped-call]
        plane[inside], other[inside], data_range=255
    )
    assert psnr(plane, other, border) == pytest.approx(expected, abs=1e-9)


def test_ssim_agrees_with_the_formula_of_the_paper() -> None:
    generator = np.random.default_rng(0)
    x = generator.integers(0, 256, (40, 50)).astype(np.uint8)
    y = np.clip(x + generator.normal(0, 20, x.shape), 0, 255).astype(np.uint8)

    def blur(plane: np.ndarray) -> np.ndarray:
        blurred: np.ndarray = gaussian_filter(plane.astype(float), sigma=1.5, radius=5)
        return blurred

    mean_x, mean_y = blur(x), blur(y)
    variance_x = blur(x.astype(float) ** 2) - mean_x**2
    variance_y = blur(y.astype(float) ** 2) - mean_y**2
    covariance = blur(x.astype(float) * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    whole = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)
    )
    assert ssim(x, y) == pytest.approx(whole[5:-5, 5:-5].mean(), abs=1e-9)


def test_the_border_is_left_out() -> None:
    plane = np.full((30, 30), 90, np.uint8)
    framed = plane.copy()
    framed[0], framed[-1], framed[:, 0], framed[:, -1] = 0, 0, 0, 0
    assert psnr(plane, framed, border=1) == math.inf
    assert psnr(plane, framed) < 20


def test_unless_it_is_told_otherwise_every_pixel_counts() -> None:
    plane = np.full((20, 30), 90, np.uint8)
    other = plane.copy()
    other[0, 7] = 150
    assert mse(plane, other) == 60**2 / 600
    assert bias(plane, other) == 60 / 600
    assert psnr(plane, other) == pytest.approx(10 * math.log10(255**2 / 6))
    assert ssim(plane, other) == ssim(plane, other, 0) < 1
    assert compare(plane, other).ssim == ssim(plane, other)


@given(planes, st.integers(0, 2**32 - 1), st.integers(0, 3))
def test_bias_is_the_difference_of_the_means(plane: np.ndarray, seed: int, border: int) -> None:
    other = np.random.default_rng(seed).integers(0, 256, plane.shape, dtype=np.uint8)
    inside = tuple(slice(border, side - border) for side in plane.shape)
    expected = other[inside].mean() - plane[inside].mean()
    assert bias(plane, other, border) == pytest.approx(expected, abs=1e-9)
    assert bias(other, plane, border) == -bias(plane, other, border)
    assert bias(plane, other, border) ** 2 <= mse(plane, other, border) + 1e-9


def test_planes_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(10, 10\) and \(10, 11\)"):
        mse(np.zeros((10, 10), np.uint8), np.zeros((10, 11), np.uint8))
    with pytest.raises(ValueError, match="cannot compare"):
        mse(np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8), border=2)


def test_a_comparison_has_the_numbers_of_the_single_functions() -> None:
    generator = np.random.default_rng(3)
    plane, other = generator.integers(0, 256, (2, 40, 50)).astype(np.uint8)
    found = compare(plane, other, border=3)
    assert found.mse == mse(plane, other, border=3)
    assert found.psnr == psnr(plane, other, border=3)
    assert found.ssim == ssim(plane, other, border=3)
    assert found.bias == bias(plane, other, border=3)
    assert compare(plane, plane).psnr == math.inf


def test_mirrored_edges_are_those_of_torchmetrics() -> None:
    """Its value is that of torchmetrics 1.9.0, structural_similarity_index_measure in float64."""
    target = CAMERA[100:124, 200:224].astype(np.float64)
    result = np.rint(target[::-1] * 0.3 + target * 0.7)
    assert structural(target, result, mirror=True) == pytest.approx(0.8826792622184, abs=1e-12)


def test_the_choices_of_ssim_are_those_of_scikit_image() -> None:
    target = CAMERA[:60, :70]
    result = np.roll(target, 1, axis=1)
    expected = structural_similarity(target, result)  # type: ignore[no-untyped-call]
    found = structural(target, result, gaussian=False, sample_covariance=True)
    assert found == pytest.approx(expected, abs=1e-14)
    assert structural(target, result) == ssim(target, result)
