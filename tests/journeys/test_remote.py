"""The whole experiment against a tracking server, with artifacts that pass through it."""

from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from tests.conftest import mlflow_server, run_here, runs_of


@pytest.fixture
def tracking_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with mlflow_server(tmp_path / "server") as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        monkeypatch.setenv("SRCNN_HOME", str(tmp_path / "work"))
        yield address


@pytest.mark.exhaustive
def test_main_works_against_a_server_with_proxied_artifacts(
    tracking_server: str, photo_folder: Path, tmp_path: Path
) -> None:
    client_folder = tmp_path / "client"
    client_folder.mkdir()
    result = run_here(
        *("main", "--dataset", str(photo_folder), "--architecture", "9-1-5", "--epochs", "2"),
        cwd=client_folder,
    )
    assert result.returncode == 0, result.stderr
    client = MlflowClient(tracking_server)
    runs = {run.data.tags["entry_point"]: run for run in runs_of(client)}
    assert set(runs) == {"main", "train", "evaluate", "promote"}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert runs["train"].info.artifact_uri.startswith("mlflow-artifacts:/")
    for entry_point, path in (
        ("train", "checkpoint/best.safetensors"),
        ("evaluate", "evaluation/best.png"),
    ):
        run_id = runs[entry_point].info.run_id
        file = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=path)
        assert Path(file).stat().st_size > 0
    assert client.get_model_version_by_alias("srcnn-x2", "challenger").version == "1"
    tidied = run_here("tidy", "--free", "true", cwd=client_folder)
    assert "deleted: states and checkpoints of 1 finished training(s)" in tidied.stdout
    assert client.list_artifacts(runs["train"].info.run_id, "checkpoint") == []
    # Nothing of MLflow's stays with the client.
    assert {path.name for path in client_folder.iterdir()} <= {"data"}
