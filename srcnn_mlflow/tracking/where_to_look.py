"""Where a person looks at runs: in the UI that there is, or how to open one."""

import shlex
import sys
from pathlib import Path

from mlflow.entities import Run
from sqlalchemy.engine import make_url

from srcnn_mlflow.machine.addresses import shown_address
from srcnn_mlflow.machine.text import local_path
from srcnn_mlflow.tracking.store import is_server, tracking_uri

_LOCAL_UI = "http://127.0.0.1:5000"


def place_of_results(run: Run, artifact_path: str) -> str:
    """Where the artifacts of a run can be looked at.

    Args:
        run: of the tracking store that is set.
        artifact_path: the folder among its artifacts.

    Returns:
        The run's page of the tracking server; without a server, the path of the folder, or its
        address in an object store.
    """
    if is_server(tracking_uri()):
        return f"{_ui()}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    return f"{local_path(shown_address(run.info.artifact_uri))}/{artifact_path}"


def how_to_compare(experiment_id: str) -> list[str]:
    """What a person does to see the runs of an experiment side by side, a line each step."""
    page = f"{_ui()}/#/experiments/{experiment_id}/runs"
    if is_server(tracking_uri()):
        return [f"to see and compare the runs, open {page}"]
    return [f"to see and compare the runs: {_command()}", f"then open {page}"]


def _ui() -> str:
    uri = tracking_uri()
    return shown_address(uri).rstrip("/") if is_server(uri) else _LOCAL_UI


def _command() -> str:
    """How to open the UI of the store with the MLflow of this environment, from any folder."""
    program = Path(sys.executable).with_name("mlflow")
    if program.is_relative_to(Path.cwd()):
        program = program.relative_to(Path.cwd())
    return f"{shlex.quote(str(program))} ui --backend-store-uri {_store()} --port 5000"


def _store() -> str:
    uri = tracking_uri()
    if uri.startswith("sqlite:"):
        return shlex.quote(f"sqlite:///{Path(make_url(uri).database or '').absolute()}")
    # It may hold a password, which is not to be shown.
    return '"$MLFLOW_TRACKING_URI"'
