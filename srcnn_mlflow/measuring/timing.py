"""How long things take on this machine."""

import statistics
import time
from collections.abc import Callable, Sequence

ROUNDS = 5


def median_seconds(tasks: Sequence[Callable[[], object]]) -> list[float]:
    """Time tasks in turn, so that whatever else slows the machine slows them alike.

    Every task runs once to warm up, and then once a round.

    Args:
        tasks: called without arguments.

    Returns:
        The median of each, in seconds.
    """
    for task in tasks:
        task()
    rounds = [[_seconds(task) for task in tasks] for _ in range(ROUNDS)]
    return [statistics.median(times) for times in zip(*rounds, strict=True)]


def _seconds(task: Callable[[], object]) -> float:
    start = time.perf_counter()
    task()
    return time.perf_counter() - start
