"""What the faults of disks, files and databases mean, in one line for the person at the keyboard.

Nothing heavy is imported here, for `cli.py` to use it.
"""

import errno
import os
import re
import socket
import ssl
import tempfile
from pathlib import Path

from srcnn_mlflow.machine.addresses import shown_address
from srcnn_mlflow.machine.credentials import without_credentials
from srcnn_mlflow.machine.disk import free_bytes, readable_size
from srcnn_mlflow.machine.server_faults import server_fault
from srcnn_mlflow.machine.text import first_line

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


# What a store asks Python for: the name of the module, and of the package that has it.
_PACKAGES = {
    "psycopg": "psycopg[binary]",
    "psycopg2": "psycopg2-binary",
    "pymysql": "pymysql",
    "MySQLdb": "mysqlclient",
    "pyodbc": "pyodbc",
    "boto3": "boto3",
    "botocore": "boto3",
    "google": "google-cloud-storage",
    "azure": "azure-storage-blob",
    "paramiko": "paramiko",
    "pysftp": "pysftp",
}
_IN_EXTRA = ("psycopg[binary]", "boto3")
# MLflow's own sentences that leave out what to do, or say something else than what is.
_MLFLOW = {
    r"got unsupported URI '(?P<uri>[^']*)'": "{uri} is no address of a store; set "
    "MLFLOW_TRACKING_URI to one such as sqlite:///mlflow.db or http://host:port",
    r"filesystem tracking backend": "MLflow keeps no runs in a folder any more, which {tracking} "
    "is; set MLFLOW_TRACKING_URI to one such as sqlite:///mlflow.db or http://host:port",
    r"The experiment (?P<id>\S+) must be in the 'active' state. Current state is deleted": "the "
    "experiment {id} was deleted; mlflow experiments restore --experiment-id {id} brings it back, "
    "or set MLFLOW_EXPERIMENT_NAME to another",
}
_LONGEST = 500


def explain(error: BaseException) -> str | None:
    """Say in one line what is wrong with which file, server or store, and what to do.

    Args:
        error: raised by the system, by a database, by `requests`, or by MLflow.

    Returns:
        The line, without credentials; None where the error is none of these.
    """
    fault = server_fault(error)
    if fault is not None:
        return str(fault)
    if isinstance(error, ImportError):
        return missing_package(error)
    # Some of its errors are of the system's kind too.
    if isinstance(error, OSError) and _library(error) != "botocore":
        return _explain_system(error)
    return _explain_store(error)


def missing_package(error: ImportError) -> str | None:
    """Say which package a store or its artifacts need; None where the error is a defect."""
    name = (error.name or "").partition(".")[0]
    if name not in _PACKAGES:
        return None
    package = _PACKAGES[name]
    extra = " (or the extra srcnn-mlflow[server], which has it)" if package in _IN_EXTRA else ""
    return (
        f"the Python package {name}, which an address of a store asks for, is not installed; "
        f"pip install '{package}'{extra}, or write another driver into the address, as in "
        "postgresql+psycopg://"
    )


def _explain_store(error: BaseException) -> str | None:
    text, library = str(error), _library(error)
    if "sqlite3." in text or library == "sqlite3":
        for said, reason in _SQLITE.items():
            if said in text:
                return f"{_database()}: {reason}"
        return f"{_database()}: {first_line(error)}"
    if library == "sqlalchemy" or re.match(r"\((psycopg2?|pymysql|MySQLdb|pyodbc)\.", text):
        return f"{_database()}: {_in_one_line(text)}"
    if library == "botocore":
        return f"cannot use the store of the artifacts: {_in_one_line(text)}"
    # What else MLflow says, such as that there is no such run, is meant to be read.
    if any(kind.__name__ == "MlflowException" for kind in type(error).__mro__):
        for pattern, told in _MLFLOW.items():
            found = re.search(pattern, text)
            if found:
                return without_credentials(told.format(tracking=_tracking(), **found.groupdict()))
        return _in_one_line(text)
    return None


def _library(error: BaseException) -> str:
    return type(error).__module__.partition(".")[0]


def _in_one_line(text: str) -> str:
    lines = without_credentials(text).strip().splitlines()
    return (lines or ["no reason is given"])[0][:_LONGEST]


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


def _explain_system(error: OSError) -> str:
    if isinstance(error, BrokenPipeError):
        return "whoever was to read this has ended"
    if isinstance(error, ConnectionError | TimeoutError | socket.gaierror | ssl.SSLError):
        return f"cannot reach another machine: {_in_one_line(str(error))}; check the network"
    return _explain_file(error)


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
    """The beginning of a sentence on the database that is used, or that a server uses."""
    if _tracking().startswith("http"):
        return f"the server {_tracking()} cannot use its database"
    return f"cannot use the MLflow database {_tracking()}"


def _tracking() -> str:
    return shown_address(os.environ.get("MLFLOW_TRACKING_URI", "mlflow.db"))
