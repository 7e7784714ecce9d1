"""What one plane changed of another: how much, in which colour, and where most."""

import numpy as np
from numpy.typing import NDArray

from srcnn_mlflow.pictures.imaging import Plane

DIFFERENCE_GAIN = 15

Pixels = NDArray[np.uint8]

# From black over red to yellow: red rises in the first half, green in the second.
_RISE = 2 * np.arange(256)
_RAMPS = np.stack([_RISE, _RISE - 255, 0 * _RISE], axis=1)
_BLACK_RED_YELLOW = np.clip(_RAMPS, 0, 255).astype(np.uint8)


def difference(srcnn: Plane, bicubic: Plane, gain: int = DIFFERENCE_GAIN) -> NDArray[np.float64]:
    """How far two planes are apart, many times enlarged, in 0..1 for the black-red-yellow map.

    Args:
        srcnn: uint8 (height, width).
        bicubic: the same shape.
        gain: how many times.
    """
    change = np.abs(srcnn.astype(np.float64) - bicubic.astype(np.float64))
    return np.clip(change * gain / 255, 0, 1)


def coloured(change: NDArray[np.float64]) -> Pixels:
    """A map of 0..1 as black for 0, red for a half and yellow for 1.

    Args:
        change: of any shape.

    Returns:
        uint8, the same shape and (3,): red, green and blue.
    """
    levels = np.minimum(change * 256, 255).astype(np.intp)
    return _BLACK_RED_YELLOW[levels]


def busiest_square(change: NDArray[np.float64], side: int) -> tuple[int, int, int]:
    """Find where a map sums to most.

    Args:
        change: shape (height, width).
        side: of the square; smaller where the map is.

    Returns:
        Top, left and side of the square.
    """
    side = min(side, *change.shape)
    total = np.pad(change.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    sums = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    top, left = np.unravel_index(int(np.argmax(sums)), sums.shape)
    return int(top), int(left), side
