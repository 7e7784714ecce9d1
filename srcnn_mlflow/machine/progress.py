"""One way to show progress: a bar on a terminal, a quiet regular line anywhere else."""

import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

SECONDS_BETWEEN_LINES = 15.0


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
