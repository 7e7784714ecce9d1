"""What is told to a person, by way of Python's own logging: every module has a logger of its name.

`srcnn_mlflow` is the root of them all, for whoever imports the package to turn up, down or away.
"""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

ROOT = logging.getLogger("srcnn_mlflow")


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
