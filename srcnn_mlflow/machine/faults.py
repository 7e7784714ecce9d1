"""What the faults of disks, files and databases mean, in one line for the person at the keyboard.

Nothing heavy is imported here, for `cli.py` to use it.
"""

import errno
import os
import tempfile
from pathlib import Path

from srcnn_mlflow.machine.disk import free_bytes, readable_size

_REASONS = {
    errno.EDQUOT: "the disk quota is used up; make room, and start again",
    errno.EFBIG: "no file may be so large here; raise the limit (ulimit -f), and start again",
    errno.EROFS: "the disk is read-only; make it writable, or work in another folder",
    errno.EACCES: "no permission; change that (chmod, chown), or work in another folder",
    errno.EPERM: "no permission; change that (chmod, chown), or work in another folder",
    errno.EIO: "the disk reports a fault; look at the system's log, or use another disk",
    errno.EISDIR: "a folder has this name; move it away, or give another name",
    errno.ENAMETOOLONG: "the name is too long; give a shorter one",
}
# What the system says where something else than a folder stands on the way to a file.
_OBSTRUCTED = (errno.EEXIST, errno.ENOTDIR, errno.ELOOP, errno.ENOENT)
# What SQLite says, and what to do about it.
_SQLITE = {
    "database or disk is full": "its disk is full; make room, and start again",
    "disk I/O error": "its disk is full or faulty; make room, and start again",
    "readonly database": "it or its folder is read-only; make both writable, or set "
    "MLFLOW_TRACKING_URI to another database",
    "unable to open database file": "it cannot be opened; its folder must exist and be writable, "
    "or set MLFLOW_TRACKING_URI to another database",
    "database is locked": "another process holds it; wait for that one, and start again",
    "already exists": "its creation was broken off; move it away, and start again",
    "malformed": "it is damaged; move it away, or put back a copy of it",
    "not a database": "it is damaged; move it away, or put back a copy of it",
}


def explain(error: BaseException) -> str | None:
    """Say in one line what is wrong with which file, and what to do.

    Args:
        error: raised by the system, by SQLite, or by MLflow.

    Returns:
        The line; None where the error is none of these.
    """
    if isinstance(error, OSError):
        return _explain_file(error)
    text = str(error)
    if "sqlite3." in text or type(error).__module__ == "sqlite3":
        for said, reason in _SQLITE.items():
            if said in text:
                return f"cannot use the MLflow database {_database()}: {reason}"
        return f"cannot use the MLflow database {_database()}: {text.splitlines()[0]}"
    # MLflow's own errors, such as a tracking server out of reach, are meant to be read.
    return text.strip() if type(error).__name__ in ("MlflowException", "RestException") else None


def is_fault_of_disk(error: BaseException) -> bool:
    """Whether the system refused to read or write, as opposed to not finding something."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, *_REASONS)


def reason_of(error: OSError, folder: Path, needed: int | None = None) -> str:
    """Say why the system refused, and what to do.

    Args:
        error: what it raised.
        folder: in which the file lies or is to lie.
        needed: bytes that the file would have taken, where that is known.
    """
    if error.errno == errno.ENOSPC:
        size = "" if needed is None else f"{readable_size(needed)} are needed, and "
        free = readable_size(free_bytes(folder))
        return f"the disk is full ({size}{free} are free); make room, and start again"
    if error.errno in _OBSTRUCTED and (found := obstacle(folder)):
        return f"{found}; move it away, or give another folder"
    return _REASONS.get(error.errno or 0, error.strerror or str(error))


def obstacle(folder: Path) -> str | None:
    """What stands on the way to a folder, or in its place, and is none; None for nothing."""
    whole = folder.absolute()
    for place in (*reversed(whole.parents), whole):
        if place.is_dir():
            continue
        if place.is_symlink():
            is_what = "is a file" if place.exists() else "does not exist"
            return f"{place} is a link to {place.readlink()}, which {is_what}"
        return f"{place} is a file, not a folder" if place.exists() else None
    return None


def _explain_file(error: OSError) -> str:
    # Of a copy that failed, the second is the file that was written.
    name = error.filename2 or error.filename
    if name is None and error.errno == errno.ENOSPC:
        name = f"a file in {Path.cwd()} or {tempfile.gettempdir()}"
    where = Path(os.fsdecode(name)) if isinstance(name, str | bytes) else Path()
    # A folder that cannot be made is itself what stands in the way.
    where = where if error.errno == errno.EEXIST else where.parent
    return f"cannot read or write {name or 'a file'}: {reason_of(error, where)}"


def _database() -> str:
    return os.environ.get("MLFLOW_TRACKING_URI", "mlflow.db").removeprefix("sqlite:///")
