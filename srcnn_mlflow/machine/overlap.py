"""Read, compute and write many things, each step while the others are at the next or the last.

Whoever may leave one of these generators unfinished closes it (`contextlib.closing`), which waits
for its threads. One that is left to Python's search for garbage is closed in whatever thread that
runs in, which then may wait for itself: where a thread begins, no other can end.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

from srcnn_mlflow.machine.errors import SrcnnError
from srcnn_mlflow.machine.processors import available_cores

Item = TypeVar("Item")
Read = TypeVar("Read")
Computed = TypeVar("Computed")
Written = TypeVar("Written")


def overlapped(
    items: Iterable[Item],
    read: Callable[[Item], Read],
    compute: Callable[[Read], Computed],
    write: Callable[[Computed], Written],
    writers: int,
) -> Generator[tuple[Item, "Future[Written]"], None, None]:
    """Take items through three steps, while the next is read and the last are written.

    The calling thread computes, and may be interrupted there; what is being written then is
    finished. At most one item is read ahead, and `writers` of them are written at a time.

    Args:
        items: one after another.
        read: makes of an item what is computed with.
        compute: makes of this what is written; tried again, when nothing else is being written,
            where memory is short.
        write: makes of this the outcome.
        writers: at least one.

    Yields:
        Each item in its order, with its outcome or the error of one of its steps.
    """
    writing: deque[tuple[Item, Future[Written]]] = deque()
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(writers) as writer:
        for item, ahead in _one_ahead(items, lambda one: reader.submit(read, one)):
            try:
                computed = _computed(compute, ahead.result(), [one for _, one in writing])
                outcome = writer.submit(write, computed)
                del computed  # the writer's alone
            except Exception as error:
                outcome = Future()
                if isinstance(error, MemoryError | SrcnnError):
                    # Its frames hold the picture that memory is short of.
                    error.__context__ = None
                    error = error.with_traceback(None)
                outcome.set_exception(error)
            writing.append((item, outcome))
            while len(writing) > writers or (writing and writing[0][1].done()):
                yield _waited_for(writing.popleft())
        while writing:
            yield _waited_for(writing.popleft())


def computed_ahead(
    items: Iterable[Item], compute: Callable[[Item], Computed], ahead: int
) -> Generator[Computed, None, None]:
    """Compute something of each item in threads, in order, with only a few in memory at any time.

    Threads, not processes: decoding, resizing and arithmetic all leave the interpreter's lock, and
    nothing need be copied from one process to another.

    Args:
        items: one after another.
        compute: called in a thread.
        ahead: how many are computed, or wait for it, while the caller is at one.
    """
    running: deque[Future[Computed]] = deque()
    with ThreadPoolExecutor(available_cores()) as pool:
        for item in items:
            running.append(pool.submit(compute, item))
            if len(running) > ahead:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def _one_ahead(
    items: Iterable[Item], submit: Callable[[Item], "Future[Read]"]
) -> Iterator[tuple[Item, "Future[Read]"]]:
    last: tuple[Item, Future[Read]] | None = None
    for item in items:
        new = (item, submit(item))
        if last is not None:
            yield last
        last = new
    if last is not None:
        yield last


def _computed(
    compute: Callable[[Read], Computed], taken: Read, writing: "list[Future[Written]]"
) -> Computed:
    try:
        return compute(taken)
    except MemoryError:
        wait(writing)
        return compute(taken)


def _waited_for(one: "tuple[Item, Future[Written]]") -> "tuple[Item, Future[Written]]":
    wait([one[1]])
    return one
