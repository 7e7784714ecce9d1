"""Files that are whole or not there, whatever happens while they are written."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from srcnn_mlflow.machine.errors import WriteError
from srcnn_mlflow.machine.faults import reason_of


@contextmanager
def atomic_write(path: Path, size: int | None = None) -> Iterator[Path]:
    """Give a name to write under, which becomes the file's own when the block ends well.

    Until then a former file stays as it is; a block that fails leaves nothing behind.

    Args:
        path: the file; its folder is made where needed.
        size: bytes it will have, for the message, where that is known.

    Raises:
        WriteError: the system refused, as on a full disk or without permission.
        OSError: what the block has to say of another file, such as one that it copies.
    """
    # Of the name only the beginning, because that may be as long as the system allows.
    partial = path.with_name(f"{path.name[:50]}.{os.getpid()}.partial")
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            partial.replace(path)
        finally:
            _remove(partial)
    except OSError as error:
        named = error.filename2 or error.filename  # of a copy, the second is what was written
        if named is not None and Path(os.fsdecode(named)) not in (partial, path, *path.parents):
            raise
        raise WriteError(f"cannot write {path}: {reason_of(error, path.parent, size)}") from error


def _remove(partial: Path) -> None:
    # What kept it from being written is what a person has to know, not this.
    with suppress(OSError):
        partial.unlink(missing_ok=True)
