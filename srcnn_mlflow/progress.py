"""One way to show progress: a bar on a terminal, a quiet regular line anywhere else."""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
# Where messages for a person go, one at a time.
Say = Callable[[str], None]

SECONDS_BETWEEN_LINES = 15.0


def say_nothing(_: str) -> None:
    """Where messages go that somebody else, or a run, tells already."""


def progress(items: Iterable[Item], total: int, label: str) -> Iterator[Item]:
    """Pass items through while showing how many of `total` are done, on standard error.

    Of the processes that `torchrun` starts, only the first shows anything.
    """
    if os.environ.get("RANK", "0") != "0":
        yield from items
        return
    if sys.stderr.isatty():
        yield from tqdm(items, total=total, desc=label, leave=False, dynamic_ncols=True)
        return
    start = last = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if done and now - last >= SECONDS_BETWEEN_LINES:
            last = now
            left = (now - start) / done * (total - done)
            print(f"{label}: {done} of {total}, about {left:.0f} s left", file=sys.stderr)
        yield item
