"""How far a mean would move on other pictures of the kind."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

CONFIDENCE = 0.95

Interval = tuple[float, float]


def mean_interval(values: Sequence[float]) -> Interval | None:
    """The interval of Student's t for a mean over pictures, at 95 %.

    It is about pictures of this kind: how far the mean would move with others, not how well it was
    measured.

    Args:
        values: one a picture.

    Returns:
        Its two ends; None for less than two values.
    """
    if len(values) < 2:
        return None
    spread = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    half = float(stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2)) * spread
    mean = float(np.mean(values))
    return mean - half, mean + half
