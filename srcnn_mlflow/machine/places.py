"""Where work lies: one folder for prepared files, image sets, studies, and what waits to be sent.

It is the same for every way of starting a command: from the checkout, from another folder, or by
`mlflow run` of a folder or of a git address.
"""

import os
import re
import tempfile
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import platformdirs

from srcnn_mlflow.machine.callers_folder import callers_folder, given_path
from srcnn_mlflow.machine.locking import temporary_lock

HOME_VARIABLE = "SRCNN_HOME"
_STORE_VARIABLE = "MLFLOW_TRACKING_URI"
_DEFAULT_STORE = "sqlite:///mlflow.db"  # MLflow's own
_LOCAL_DATABASE = re.compile(
    r"(?P<driver>sqlite(\+\w+)?:///)(?!:memory:|file:)(?P<path>[^?]+)(?P<query>.*)"
)
_FOLDER = "data"
# How `tempfile` names the folder into which `mlflow run` clones a git address.
_TEMPORARY = re.compile(r"tmp[a-z0-9_]{8}")


def home() -> Path:
    """The folder below which all work lies; it need not be there yet.

    Returns:
        The folder that `SRCNN_HOME` names; else `data` beside a local tracking store. With a
        tracking server, `data` of the checkout; where there is none that lasts, the user's own
        folder for data.
    """
    named = os.environ.get(HOME_VARIABLE)
    if named:
        return given_path(named)
    store = local_store()
    if store is not None:
        return store.parent / _FOLDER
    checkout = Path(__file__).parents[2]
    if (checkout / "MLproject").is_file() and not _is_temporary(checkout):
        return checkout / _FOLDER
    return Path(platformdirs.user_data_dir("srcnn-mlflow", appauthor=False))


def kept(name: str) -> Path:
    """Where something is, or is to be made: below `home`, unless it lies where work used to.

    Args:
        name: of a file or folder, as seen from `home`.
    """
    place, former = home() / name, former_home() / name
    return former if former.exists() and not place.exists() else place


def former_home() -> Path:
    """Where work used to lie: `data` of the folder in which a command runs."""
    return Path.cwd() / _FOLDER


def local_store() -> Path | None:
    """The file or folder of the tracking store; None for that of a server."""
    uri = os.environ.get(_STORE_VARIABLE) or _DEFAULT_STORE
    if database := _LOCAL_DATABASE.fullmatch(uri):
        return callers_folder() / unquote(database["path"])
    if uri.startswith("file:"):
        return callers_folder() / unquote(urlsplit(uri).path)
    return None if ":" in uri or uri == "databricks" else callers_folder() / uri


def lock_of(folder: Path) -> Path:
    """What processes lock that use a folder of work."""
    return temporary_lock("work", str(folder.resolve()))


def anchor_store() -> None:
    """Let a local database that was given by a relative path be the one that the person means.

    `mlflow run DIR` passes the path on as it is, and starts the command in DIR.
    """
    database = _LOCAL_DATABASE.fullmatch(os.environ.get(_STORE_VARIABLE, ""))
    if database and not database["path"].startswith("/"):
        path = callers_folder() / unquote(database["path"])
        os.environ[_STORE_VARIABLE] = f"{database['driver']}{quote(str(path))}{database['query']}"


def _is_temporary(folder: Path) -> bool:
    """Whether a folder is, or is inside, one that goes away with the program that made it."""
    root = Path(tempfile.gettempdir()).resolve()
    folder = folder.resolve()
    return folder.is_relative_to(root) and any(
        _TEMPORARY.fullmatch(part) for part in folder.relative_to(root).parts[:1]
    )
