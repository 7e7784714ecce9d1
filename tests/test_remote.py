"""The whole experiment against a tracking server, with artifacts that pass through it."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from tests.conftest import run_command

BIN = Path(sys.executable).parent


@pytest.fixture
def tracking_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """`mlflow server` on this machine, in a folder which clients do not know."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path / "server"
    folder.mkdir()
    process = subprocess.Popen(
        [
            *(BIN / "mlflow", "server", "--port", str(port), "--workers", "1"),
            *("--backend-store-uri", "sqlite:///runs.db", "--artifacts-destination", "artifacts"),
        ],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.5)
        else:
            pytest.fail("the tracking server did not start within two minutes")
        yield address
    finally:
        os.killpg(process.pid, 15)
        process.wait()


def test_main_works_against_a_server_with_proxied_artifacts(
    tracking_server: str, photo_folder: Path, tmp_path: Path
) -> None:
    client_folder = tmp_path / "client"
    client_folder.mkdir()
    result = run_command(
        *("main", "--dataset", str(photo_folder), "--architecture", "9-1-5", "--epochs", "2"),
        cwd=client_folder,
    )
    assert result.returncode == 0, result.stderr
    client = MlflowClient(tracking_server)
    runs = {run.data.tags["entry_point"]: run for run in client.search_runs(["0"])}
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
    # Nothing of MLflow's stays with the client.
    assert {path.name for path in client_folder.iterdir()} <= {"data"}
