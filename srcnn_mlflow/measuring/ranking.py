"""Where pictures stand: the best and worst of two rankings, and how far the rankings agree."""

from collections.abc import Sequence

import pandas as pd

EXTREMES = 5


def extreme_count(pictures: int) -> int:
    """How many pictures count as best and as worst: five, or half of them where they are fewer."""
    return min(EXTREMES, pictures // 2)


def shared_extremes(
    first: Sequence[float], second: Sequence[float]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Find the pictures that are among the best, and among the worst, in both of two rankings.

    Args:
        first: a score of every picture; higher is better.
        second: another score of the same pictures.

    Returns:
        The positions of the pictures best in both, and of those worst in both, each from the
        highest to the lowest first score. Of equal scores the earlier picture stands higher.
    """
    count = extreme_count(len(first))
    rankings = [_rank(scores) for scores in (first, second)]
    best, worst = (
        tuple(one for one in rankings[0][part] if one in rankings[1][part])
        for part in (slice(count), slice(len(first) - count, None))
    )
    return best, worst


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's rank correlation, where equal values share the mean of their ranks.

    Args:
        first: one value a picture.
        second: another value of the same pictures.

    Returns:
        -1..1; None where either does not vary, so that there is no ranking.

    >>> rank_correlation([1, 2, 3], [10, 30, 20])
    0.5
    """
    if len(set(first)) < 2 or len(set(second)) < 2:
        return None
    return float(pd.Series(first).rank().corr(pd.Series(second).rank()))


def _rank(scores: Sequence[float]) -> list[int]:
    return sorted(range(len(scores)), key=lambda one: scores[one], reverse=True)
