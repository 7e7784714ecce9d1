"""Addresses that are printed can be opened."""

import os
import sys
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Run, RunData, RunInfo

from srcnn_mlflow.tracking.where_to_look import how_to_see, place_of_results
from tests.conftest import BIN, put_store


def run_with(artifact_uri: str) -> Run:
    info = RunInfo("r1", "7", "me", "FINISHED", 0, 1, "active", artifact_uri)
    return Run(info, RunData())


def test_with_a_server_it_is_the_run_in_its_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:hunter2@tracking.example.org/mlflow/")
    ui = "https://tracking.example.org/mlflow/#/experiments/7/runs"
    assert place_of_results(run_with("mlflow-artifacts:/7/r1/artifacts"), "a") == (
        f"{ui}/r1/artifacts/a?workflowType=machine_learning"
    )
    assert how_to_see([("the runs", "#/experiments/7/runs")]) == [f"the runs: {ui}"]


def test_with_a_local_store_it_is_a_folder(
    empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    with mlflow.start_run() as run:
        mlflow.log_text("here", "evaluation/a.txt")
    assert (Path(place_of_results(run, "evaluation")) / "a.txt").read_text() == "here"
    command, page = how_to_see([("the runs", "#/experiments/0/runs")])
    assert command.endswith(
        f"mlflow ui --backend-store-uri sqlite:///{tmp_path}/mlflow.db --port 5000"
    )
    assert page == "the runs: http://127.0.0.1:5000/#/experiments/0/runs"


def test_a_database_is_not_named_with_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:hunter2@host/db")
    assert '--backend-store-uri "$MLFLOW_TRACKING_URI"' in how_to_see([])[0]
    assert place_of_results(run_with("s3://bucket/7/r1/artifacts"), "a") == (
        "s3://bucket/7/r1/artifacts/a"
    )


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The programs of an environment that lies in the present folder."""
    folder = tmp_path / "of mine" / "bin"
    folder.mkdir(parents=True)
    for name in ("python", "mlflow"):
        (folder / name).touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://host/db")
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    return folder


def shown_command() -> str:
    (line,) = how_to_see([])
    return line.removeprefix("to see and compare the runs, leave this running: ")


def test_the_command_is_short_where_the_path_leads_to_the_same(
    environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{environment}{os.pathsep}{BIN}")
    assert shown_command().startswith("mlflow ui --backend-store-uri ")
    # As where pipx has put a link to it.
    links = tmp_path / "links"
    links.mkdir()
    (links / "mlflow").symlink_to(environment / "mlflow")
    monkeypatch.setenv("PATH", str(links))
    assert shown_command().startswith("mlflow ui --backend-store-uri ")


def test_the_command_has_its_whole_path_where_a_shell_would_take_another(
    environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "mlflow").touch(mode=0o755)
    for path in (f"{other}{os.pathsep}{environment}", str(tmp_path)):
        monkeypatch.setenv("PATH", path)
        assert shown_command().startswith(f"'{environment}/mlflow' ui --backend-store-uri ")
