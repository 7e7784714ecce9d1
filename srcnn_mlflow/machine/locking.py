"""Let one process at a time do what two would spoil."""

import getpass
import hashlib
import logging
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, ReadWriteLock, Timeout

from srcnn_mlflow.machine.errors import WriteError
from srcnn_mlflow.machine.faults import reason_of

logger = logging.getLogger(__name__)


@contextmanager
def one_at_a_time(path: Path, what: str, wait: bool = True) -> Iterator[bool]:
    """Hold a lock while the block runs; a process that is killed gives its lock back.

    Args:
        path: the file that is locked; it is made, and stays.
        what: completes "waiting for another process that ...".
        wait: until nobody else holds it.

    Returns:
        Whether it is held, which it always is after waiting.

    Raises:
        WriteError: the file cannot be made or locked.
    """
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _acquire(lock, what, wait)
    except OSError as error:
        raise WriteError(f"cannot write {path}: {reason_of(error, path.parent)}") from error
    try:
        yield lock.is_locked
    finally:
        lock.release()


def temporary_lock(purpose: str, what: str) -> Path:
    """A file for the processes of this machine to lock, for what is no file of its own.

    Args:
        purpose: a word of the file's name.
        what: is locked, such as an address with a name; only its digest is shown.
    """
    digest = hashlib.sha256(what.encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"srcnn-{purpose}-{_user()}-{digest}.lock"


def _user() -> str:
    """Who asks; containers often have a number that has no name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())


def _acquire(lock: FileLock, what: str, wait: bool) -> None:
    try:
        lock.acquire(blocking=False)
    except Timeout:
        if wait:
            logger.info("waiting for another process that %s", what)
            lock.acquire()


@contextmanager
def used_beside_others(path: Path) -> Iterator[None]:
    """Let `nobody_uses` know that something is used while the block runs or until it is killed.

    Args:
        path: the file that is locked; where it cannot be, nobody is told.
    """
    lock = ReadWriteLock(path, is_singleton=False)
    with ExitStack() as stack:
        with suppress(OSError, sqlite3.Error, Timeout):
            stack.enter_context(lock.read_lock(blocking=False))
        yield


@contextmanager
def nobody_uses(path: Path) -> Iterator[bool]:
    """Keep others from what `used_beside_others` says, while the block runs.

    Args:
        path: the file that is locked.

    Returns:
        False where somebody uses it.
    """
    lock = ReadWriteLock(path, is_singleton=False)
    with ExitStack() as stack:
        try:
            stack.enter_context(lock.write_lock(blocking=False))
        except Timeout:
            yield False
        else:
            yield True
