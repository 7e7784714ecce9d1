"""Python's search for garbage, left out where none arises."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_search() -> Iterator[None]:
    """Let Python not look for garbage among what is made meanwhile.

    It looks again and again while objects are made, however few of them are any: of a hundred
    thousand that all stay it takes seconds.
    """
    was_searching = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_searching:
            gc.enable()
