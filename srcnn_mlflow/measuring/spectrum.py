"""How much of a picture lies in frequencies that a smaller copy of it cannot carry."""

import math
from dataclasses import dataclass

import numpy as np

from srcnn_mlflow.pictures.imaging import Plane

# In cycles a pixel; half the Nyquist frequency, where a copy half as wide and high ends.
CUT_OFF = 0.25


@dataclass(frozen=True)
class HighFrequencies:
    """What halving a plane's sides removes.

    Attributes:
        share: of the plane's energy, 0..1.
        level: root mean square, in grey levels.
    """

    share: float
    level: float


def high_frequencies(plane: Plane) -> HighFrequencies:
    """Measure what a plane holds above half the Nyquist frequency, across or down.

    With F the two-dimensional discrete Fourier transform of `w (x - m)`, H is the sum of |F|²
    where |u| > 1/4 or |v| > 1/4 cycles a pixel, and T the sum of |F|² everywhere. The share is
    H / T, and the level is the root of H / (N sum w²), with N the number of pixels (Parseval).
    The Hann window w keeps the jump between opposite edges from counting as detail (Harris,
    1978), and m is the mean under that window, so that brightness counts for nothing. White noise
    has a share of 3/4, as much as of the frequency plane; photographs have a few hundredths.

    Args:
        plane: uint8 of shape (height, width), at least one pixel.

    Returns:
        Both 0 for a plane of one grey level.
    """
    if plane.min() == plane.max():
        return HighFrequencies(0.0, 0.0)
    height, width = plane.shape
    rows, columns = (np.hanning(side + 2)[1:-1] for side in (height, width))
    mean = rows @ plane @ columns / (rows.sum() * columns.sum())
    energy = np.abs(np.fft.rfft2((plane - mean) * rows[:, None] * columns)) ** 2
    # Of a real signal's spectrum rfft2 gives one half; but for the ends, the other mirrors it.
    energy[:, 1 : (width + 1) // 2] *= 2
    low_rows = np.abs(np.fft.fftfreq(height)) <= CUT_OFF
    low_columns = np.fft.rfftfreq(width) <= CUT_OFF
    high = energy[~low_rows].sum() + energy[np.ix_(low_rows, ~low_columns)].sum()
    low = energy[np.ix_(low_rows, low_columns)].sum()
    window_energy = (rows @ rows) * (columns @ columns)
    return HighFrequencies(
        # Added up in any other order, the whole may come out smaller than this part of it.
        share=float(high / (high + low)),
        level=math.sqrt(high / (plane.size * window_energy)),
    )
