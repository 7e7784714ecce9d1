"""One way to show progress: a bar on a terminal, a quiet regular line anywhere else."""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

SECONDS_BETWEEN_LINES, SECONDS_BETWEEN_LOOKS = 15.0, 0.2
# A bar whose caller says the rest.
_BAR = "{l_bar}{bar}| "


def progress(
    items: Iterable[Item],
    total: int,
    label: str,
    describe: Callable[[int], str] | None = None,
) -> Iterator[Item]:
    """Pass items through while showing how many of `total` are done, on standard error.

    Of the processes that `torchrun` starts, only the first shows anything.

    Args:
        items: to be passed through.
        total: how many they are.
        label: what is being done.
        describe: what there is to say when so many are done, without braces; None for the time
            that is left.
    """
    if os.environ.get("RANK", "0") != "0":
        yield from items
    elif sys.stderr.isatty():
        yield from _under_a_bar(items, total, label, describe)
    else:
        yield from _beside_lines(items, total, label, describe)


def _under_a_bar(
    items: Iterable[Item], total: int, label: str, describe: Callable[[int], str] | None
) -> Iterator[Item]:
    layout = None if describe is None else _BAR
    with tqdm(total=total, desc=label, leave=False, dynamic_ncols=True, bar_format=layout) as bar:
        last = time.monotonic()
        for done, item in enumerate(items):
            if describe is not None and done and time.monotonic() - last >= SECONDS_BETWEEN_LOOKS:
                last = time.monotonic()
                bar.bar_format = _BAR + describe(done)
            yield item
            bar.update()


def _beside_lines(
    items: Iterable[Item], total: int, label: str, describe: Callable[[int], str] | None
) -> Iterator[Item]:
    start = last = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if done and now - last >= SECONDS_BETWEEN_LINES:
            last = now
            left = (now - start) / done * (total - done)
            told = describe(done) if describe else f"about {left:.0f} s left"
            print(f"{label}: {done} of {total}, {told}", file=sys.stderr)
        yield item
