"""Let one process at a time do what two would spoil."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from srcnn_mlflow.errors import WriteError
from srcnn_mlflow.faults import reason_of
from srcnn_mlflow.progress import Say


@contextmanager
def one_at_a_time(path: Path, what: str, say: Say) -> Iterator[None]:
    """Hold a lock while the block runs; a process that is killed gives its lock back.

    Args:
        path: the file that is locked; it is made, and stays.
        what: completes "waiting for another process that ...".
        say: told where this process has to wait.

    Raises:
        WriteError: the file cannot be made or locked.
    """
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _acquire(lock, what, say)
    except OSError as error:
        raise WriteError(f"cannot write {path}: {reason_of(error, path.parent)}") from error
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, what: str, say: Say) -> None:
    try:
        lock.acquire(blocking=False)
    except Timeout:
        say(f"waiting for another process that {what}")
        lock.acquire()
