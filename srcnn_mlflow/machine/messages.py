"""What is told to a person, by way of Python's own logging: every module has a logger of its name.

`srcnn_mlflow` is the root of them all, for whoever imports the package to turn up, down or away.
"""

import logging
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from srcnn_mlflow.machine.credentials import without_credentials

ROOT = logging.getLogger("srcnn_mlflow")


class _WithoutCredentials:
    """A stream of text that shows no credential, whoever writes to it; else as the stream is."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        self._stream.write(without_credentials(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)


@contextmanager
def no_credentials_shown() -> Iterator[None]:
    """Keep credentials out of both output streams as long as the block runs.

    MLflow, urllib3 and others print and log addresses as they were given, with the password, and
    so do tracebacks and warnings: all of them write to one of these.
    """
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast(TextIO, _WithoutCredentials(stream)) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


class _StandardOutput(logging.Handler):
    """Writes each message as a line of its own, and nothing around it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a message at once, so that it stands where it belongs among what others print."""
        print(self.format(record), file=sys.stdout, flush=True)


@contextmanager
def told_on_standard_output() -> Iterator[None]:
    """Let a person read what the package has to say, as long as the block runs.

    Of the processes that `torchrun` starts, only the first speaks, for all of them.
    """
    if os.environ.get("RANK", "0") != "0":
        yield
        return
    handler, level, propagate = _StandardOutput(), ROOT.level, ROOT.propagate
    ROOT.addHandler(handler)
    ROOT.setLevel(logging.INFO)
    # Other libraries write what reaches the root logger to standard error, with their decoration.
    ROOT.propagate = False
    try:
        yield
    finally:
        ROOT.removeHandler(handler)
        ROOT.setLevel(level)
        ROOT.propagate = propagate


@contextmanager
def undisturbed_logging() -> Iterator[None]:
    """Keep every logger as it is while a block runs.

    Alembic, which libraries create their databases with, configures logging for the whole process
    and switches off all loggers that it does not know.
    """
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    known = [
        one for one in logging.root.manager.loggerDict.values() if isinstance(one, logging.Logger)
    ]
    disabled = [one for one in known if one.disabled]
    try:
        yield
    finally:
        root.handlers[:], root.level = handlers, level
        for logger in known:
            logger.disabled = logger in disabled
