"""What several seeds of a training tell: how far they scatter, and what is more than that."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

# A difference is beyond the noise of seeds where noise would give it more rarely than this.
RISK = 0.05
BEYOND, WITHIN, TOO_FEW = "beyond", "within", "too few seeds"
RULE = (
    "A difference to the first setting is beyond the noise of seeds where Welch's t test, "
    f"two-sided, is below {100 * RISK:g} % after Holm's correction for the number of settings, and "
    "within it otherwise; below two seeds of either nothing can be told."
)


@dataclass(frozen=True)
class Spread:
    """What the seeds of a setting gave.

    Attributes:
        values: one a seed, in dB; at least one.
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Their average."""
        return float(np.mean(self.values))

    @property
    def deviation(self) -> float | None:
        """Their standard deviation, of a sample (n - 1); None for a single seed."""
        return None if len(self.values) < 2 else float(np.std(self.values, ddof=1))

    def __str__(self) -> str:
        """As a table shows it.

        >>> str(Spread((32.5, 32.6))), str(Spread((32.5,)))
        ('32.550 ± 0.071', '32.500')
        """
        scatter = "" if self.deviation is None else f" ± {self.deviation:.3f}"
        return f"{self.mean:.3f}{scatter}"


@dataclass(frozen=True)
class Difference:
    """How far a setting is from the first one.

    Attributes:
        mean: of the one less that of the other, in dB.
        probability: with which noise alone gives as much, corrected for the number of settings;
            None where there are too few seeds.
    """

    mean: float
    probability: float | None

    @property
    def verdict(self) -> str:
        """`beyond` the noise of seeds, `within` it, or `too few seeds`."""
        if self.probability is None:
            return TOO_FEW
        return BEYOND if self.probability < RISK else WITHIN

    def __str__(self) -> str:
        """As a table shows it.

        >>> str(Difference(0.0834, 0.01)), str(Difference(-0.2, None))
        ('+0.083 beyond', '-0.200 too few seeds')
        """
        return f"{self.mean:+.3f} {self.verdict}"


def differences_to(first: Spread, others: Sequence[Spread]) -> list[Difference]:
    """Compare settings with the first one.

    Args:
        first: of the setting that the others are compared with.
        others: one a setting.

    Returns:
        One a setting; at most RISK of tables without any difference have one that is beyond noise.
    """
    raw = [welch(other.values, first.values) for other in others]
    corrected = iter(holm([one for one in raw if one is not None]))
    return [
        Difference(other.mean - first.mean, None if one is None else next(corrected))
        for other, one in zip(others, raw, strict=True)
    ]


def welch(ones: Sequence[float], others: Sequence[float]) -> float | None:
    """The two-sided probability of means as far apart as these, were there no difference.

    Welch, "The generalization of Student's problem when several different population variances are
    involved", 1947; degrees of freedom after Satterthwaite, 1946.

    Args:
        ones: a sample.
        others: another one, whose variance may differ.

    Returns:
        From 0 to 1; None where a sample has fewer than two values. Of samples that do not scatter
        at all, 1 where they are the same, and else 0.
    """
    if min(len(ones), len(others)) < 2:
        return None
    squares = [float(np.var(sample, ddof=1)) / len(sample) for sample in (ones, others)]
    together, distance = sum(squares), float(np.mean(ones) - np.mean(others))
    # What does not scatter has no variance but that of rounding.
    if math.sqrt(together) <= 1e-12 * abs(float(np.mean(ones))):
        return 1.0 if math.isclose(ones[0], others[0], rel_tol=1e-11) else 0.0
    freedom = together**2 / sum(
        square**2 / (len(sample) - 1)
        for square, sample in zip(squares, (ones, others), strict=True)
    )
    return float(2 * stdtr(freedom, -abs(distance) / math.sqrt(together)))


def holm(probabilities: Sequence[float]) -> list[float]:
    """Correct probabilities for their number, so that one rarely errs among all of them.

    Holm, "A simple sequentially rejective multiple test procedure", 1979.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected = [0.0] * len(probabilities)
    largest = 0.0
    order = sorted(range(len(probabilities)), key=lambda place: probabilities[place])
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * probabilities[place]))
        corrected[place] = largest
    return corrected
