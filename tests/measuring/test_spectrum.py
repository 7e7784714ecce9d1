"""What of a picture lies above half the Nyquist frequency."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from srcnn_mlflow.measuring.spectrum import high_frequencies
from srcnn_mlflow.pictures.imaging import Plane, to_eight_bit
from tests.conftest import textured_pixels

sides = st.integers(1, 40)
seeds = st.integers(0, 2**32 - 1)


def sine(across: float, down: float, amplitude: float = 100) -> Plane:
    """A wave of so many cycles a pixel."""
    rows, columns = np.mgrid[0:96, 0:127]
    wave = 128 + amplitude * np.sin(2 * np.pi * (across * columns + down * rows))
    return to_eight_bit(wave)


def noise(height: int, width: int, seed: int) -> Plane:
    return np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)


@pytest.mark.parametrize(("across", "down"), [(0.35, 0.0), (0.0, 0.3), (0.05, 0.4), (0.45, 0.1)])
def test_a_wave_above_the_cut_off_is_high_altogether(across: float, down: float) -> None:
    found = high_frequencies(sine(across, down))
    assert found.share == pytest.approx(1, abs=1e-3)
    # The root mean square of a sine.
    assert found.level == pytest.approx(100 / math.sqrt(2), rel=0.01)


@pytest.mark.parametrize(("across", "down"), [(0.2, 0.0), (0.0, 0.15), (0.2, 0.2), (0.03, 0.01)])
def test_a_wave_below_the_cut_off_is_not_high_at_all(across: float, down: float) -> None:
    assert high_frequencies(sine(across, down)).share == pytest.approx(0, abs=1e-3)


def test_of_two_waves_the_share_is_the_energy_of_the_upper() -> None:
    lower, upper = sine(0.1, 0.0, 80).astype(int), sine(0.4, 0.0, 40).astype(int)
    found = high_frequencies((lower + upper - 128).astype(np.uint8))
    assert found.share == pytest.approx(40**2 / (40**2 + 80**2), abs=2e-3)
    assert found.level == pytest.approx(40 / math.sqrt(2), rel=0.01)


@pytest.mark.parametrize("size", [(200, 300), (201, 299)])
def test_white_noise_has_its_share_of_the_frequency_plane(size: tuple[int, int]) -> None:
    found = high_frequencies(noise(*size, seed=1))
    assert found.share == pytest.approx(0.75, abs=0.02)
    deviation = math.sqrt((256**2 - 1) / 12)
    assert found.level == pytest.approx(deviation * math.sqrt(0.75), rel=0.02)


def test_a_ramp_does_not_count_its_edge_as_detail() -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (64, 1))
    assert high_frequencies(ramp).share < 1e-4


@given(sides, sides, st.integers(0, 255))
def test_one_grey_level_has_none(height: int, width: int, grey: int) -> None:
    found = high_frequencies(np.full((height, width), grey, np.uint8))
    assert (found.share, found.level) == (0, 0)


@given(sides, sides, seeds)
@example(3, 3, 708)
def test_it_agrees_with_the_whole_spectrum(height: int, width: int, seed: int) -> None:
    plane = noise(height, width, seed)
    if plane.min() == plane.max():
        return
    window = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1])
    mean = np.average(plane, weights=window)
    energy = np.abs(np.fft.fft2(window * (plane - mean))) ** 2
    down, across = np.meshgrid(np.fft.fftfreq(height), np.fft.fftfreq(width), indexing="ij")
    high = energy[(np.abs(across) > 0.25) | (np.abs(down) > 0.25)].sum()
    found = high_frequencies(plane)
    assert found.share == pytest.approx(high / energy.sum(), abs=1e-9)
    assert found.level == pytest.approx(
        np.sqrt(high / (plane.size * np.square(window).sum())), abs=1e-9
    )
    assert 0 <= found.share <= 1


@given(seeds)
def test_brightness_and_direction_count_for_nothing(seed: int) -> None:
    plane = textured_pixels(41, 52, seed)[..., 0] // 2
    found = high_frequencies(plane)
    for same in (plane + 100, 255 - plane, plane.T, plane[::-1], plane[:, ::-1]):
        other = high_frequencies(np.ascontiguousarray(same))
        assert other.share == pytest.approx(found.share, rel=1e-9)
        assert other.level == pytest.approx(found.level, rel=1e-9)
