"""How far the best of several models is ahead of the others, on the same pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from srcnn_mlflow.measuring.intervals import Interval, mean_interval

BEYOND, WITHIN = "beyond chance", "within chance"
# What two digits of a decibel still show.
_LEAST_SHOWN = 0.005


@dataclass(frozen=True)
class Lead:
    """By how much a model is ahead of another.

    Attributes:
        other: the one that is behind.
        mean: of the differences in PSNR, picture by picture, in dB.
        interval: in which that mean lies over such pictures, 95 % of the time; None for a single
            picture.
    """

    other: str
    mean: float
    interval: Interval | None

    def __str__(self) -> str:
        """As a clause of a sentence.

        >>> str(Lead("srcnn-x4/1", 0.121, (0.03, 0.21)))
        '0.12 dB above srcnn-x4/1 (95 %: +0.03 to +0.21): beyond chance'
        >>> str(Lead("srcnn-x4/1", 0.001, None))
        'level with srcnn-x4/1'
        """
        ahead = f"{self.mean:.2f} dB above" if self.mean >= _LEAST_SHOWN else "level with"
        if self.interval is None:
            return f"{ahead} {self.other}"
        low, high = self.interval
        told = BEYOND if low > 0 else WITHIN
        return f"{ahead} {self.other} (95 %: {low:+.2f} to {high:+.2f}): {told}"


def describe_leads(psnr: Mapping[str, Sequence[float]]) -> str:
    """Say in a sentence how far the best of some models is ahead of each other one.

    Args:
        psnr: of at least two models, the best first: in dB, one value a picture, the same pictures
            in the same order.

    >>> describe_leads({"b": [30.5, 31.5], "a": [30.0, 30.0]})
    'On these 2 pictures b is 1.00 dB above a (95 %: -5.35 to +7.35): within chance.'
    """
    (best, values), *others = psnr.items()
    leads = [_lead(values, *other) for other in others]
    told = f"{best} is {'; '.join(map(str, leads))}"
    if len(values) == 1:
        return f"On this picture {told}; one alone cannot tell whether that is chance."
    return f"On these {len(values)} pictures {told}."


def _lead(best: Sequence[float], other: str, values: Sequence[float]) -> Lead:
    differences = [one - another for one, another in zip(best, values, strict=True)]
    return Lead(other, float(np.mean(differences)), mean_interval(differences))
