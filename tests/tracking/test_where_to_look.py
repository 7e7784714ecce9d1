"""Addresses that are printed can be opened."""

from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Run, RunData, RunInfo

from srcnn_mlflow.tracking.where_to_look import how_to_see, place_of_results
from tests.conftest import put_store


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
