"""Where a person looks at runs: in the UI that there is, or how to open one."""

import shlex
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from mlflow.entities import Run
from sqlalchemy.engine import make_url

from srcnn_mlflow.machine.addresses import shown_address
from srcnn_mlflow.machine.text import local_path
from srcnn_mlflow.tracking.store import is_server, tracking_uri
from srcnn_mlflow.tracking.views import artifacts_path

_LOCAL_UI = "http://127.0.0.1:5000"


def place_of_results(run: Run, artifact_path: str) -> str:
    """Where the artifacts of a run can be looked at.

    Args:
        run: of the tracking store that is set.
        artifact_path: the folder among its artifacts.

    Returns:
        The folder's page of the tracking server; without a server, its path, or its address in an
        object store.
    """
    if is_server(tracking_uri()):
        return f"{_ui()}/{artifacts_path(run, artifact_path)}"
    return f"{local_path(shown_address(run.info.artifact_uri))}/{artifact_path}"


def address_of(path: str) -> str | None:
    """The address of a page of the UI; None without a server, whose UI nobody may have opened."""
    return f"{_ui()}/{path}" if is_server(tracking_uri()) else None


def how_to_see(pages: Iterable[tuple[str, str]]) -> list[str]:
    """What a person does to see pages of the UI, a line each step.

    Args:
        pages: what each shows, and its path.
    """
    lines = [f"{shown}: {_ui()}/{path}" for shown, path in pages]
    if is_server(tracking_uri()):
        return lines
    return [f"to see and compare the runs, leave this running: {_command()}", *lines]


def _ui() -> str:
    uri = tracking_uri()
    return shown_address(uri).rstrip("/") if is_server(uri) else _LOCAL_UI


def _command() -> str:
    """How to open the UI of the store with the MLflow of this environment, from any folder."""
    return f"{_program()} ui --backend-store-uri {_store()} --port 5000"


def _program() -> str:
    """`mlflow` where a shell takes that for this environment's, and else its path."""
    program = Path(sys.executable).with_name("mlflow").absolute()
    found = shutil.which(program.name)
    if found is not None and Path(found).resolve() == program.resolve():
        return program.name
    return shlex.quote(str(program))


def _store() -> str:
    uri = tracking_uri()
    if uri.startswith("sqlite:"):
        return shlex.quote(f"sqlite:///{Path(make_url(uri).database or '').absolute()}")
    # It may hold a password, which is not to be shown.
    return '"$MLFLOW_TRACKING_URI"'
