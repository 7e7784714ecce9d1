"""How much of a picture lies in frequencies that a smaller copy of it cannot carry."""

import numpy as np

from srcnn_mlflow.imaging import Plane

# In cycles a pixel; half the Nyquist frequency, where a copy half as wide and high ends.
CUT_OFF = 0.25


def high_frequency_share(plane: Plane) -> float:
    """The share of a plane's energy at frequencies that halving its sides removes.

    With F the two-dimensional discrete Fourier transform of `w (x - m)`, it is the sum of |F|²
    where |u| > 1/4 or |v| > 1/4 cycles a pixel, divided by the sum of |F|² everywhere. The Hann
    window w keeps the jump between opposite edges from counting as detail (Harris, 1978), and m
    is the mean under that window, so that brightness counts for nothing. White noise has 3/4, the
    share of the frequency plane; photographs have a few hundredths and less.

    Args:
        plane: uint8 of shape (height, width), at least one pixel.

    Returns:
        0..1; 0 for a plane of one grey level.
    """
    if plane.min() == plane.max():
        return 0.0
    height, width = plane.shape
    rows, columns = (np.hanning(side + 2)[1:-1] for side in (height, width))
    mean = rows @ plane @ columns / (rows.sum() * columns.sum())
    energy = np.abs(np.fft.rfft2((plane - mean) * rows[:, None] * columns)) ** 2
    # Of a real signal's spectrum rfft2 gives one half; but for the ends, the other mirrors it.
    energy[:, 1 : (width + 1) // 2] *= 2
    low_rows = np.abs(np.fft.fftfreq(height)) <= CUT_OFF
    low_columns = np.fft.rfftfreq(width) <= CUT_OFF
    high = energy[~low_rows].sum() + energy[np.ix_(low_rows, ~low_columns)].sum()
    return float(high / energy.sum())
