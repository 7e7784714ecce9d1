"""What keeps a model's files from this machine, told as what it is, on disk and over a server."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from srcnn_mlflow.machine.errors import ModelError, SrcnnError, TrackingError
from srcnn_mlflow.network.shipped import shipped_network
from srcnn_mlflow.tracking import registry
from tests.conftest import free_port, mlflow_server, put_store
from tests.machine.test_server_faults import answering
from tests.tracking.test_outbox import Gate, gate_to

pytestmark = pytest.mark.slow


def register() -> None:
    with mlflow.start_run():
        registry.register(2, shipped_network(2), {}, alias="champion")


def told(reference: str) -> str:
    with pytest.raises(SrcnnError) as error:
        registry.find_model(reference, 2)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    register()
    return tmp_path


def test_a_version_whose_files_are_gone_is_told_with_its_place(local: Path) -> None:
    (model,) = local.glob("mlruns/0/models/*/artifacts")
    shutil.rmtree(model)
    for reference in ("1", "newest", "champion", "models:/srcnn-x2/1"):
        assert told(reference) == (
            f"version 1 of srcnn-x2 is registered, but its files are gone from {model}; bring "
            "them back, or give another version"
        )


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("7", r"there is no model models:/srcnn-x2/7 \(Model Version .* not found\)"),
        ("models:/other/1", "there is no model models:/other/1 "),
        ("models:/srcnn-x2@nobody", "there is no model models:/srcnn-x2@nobody "),
        (f"runs:/{'0' * 32}/model", r"there is no model runs:/.* \(Run with id=0* not found\)"),
        ("bset", r"there is no model bset \(No such artifact: 'bset'\); give newest"),
        ("odd://place/model", "there is no model odd://place/model "),
        ("gs://bucket/model", "model gs://bucket/model cannot be .* 'google-cloud-storage'"),
        ("folder", ".*/folder is not an MLflow model; give models:/"),
        ("http://me:hunter2@127.0.0.1/x", "there is no model http://127.0.0.1/x "),
    ],
)
def test_what_is_no_model_is_told_by_its_reason(reference: str, says: str, local: Path) -> None:
    (local / "folder").mkdir()
    line = told(reference)
    assert re.match(says, line), line
    assert "hunter2" not in line


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A gate to a real server that has a version."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with mlflow_server(tmp_path / "server") as server, gate_to(server) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        register()
        yield address


def test_a_server_in_the_way_is_told_and_not_the_model(
    gate: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Gate.mode = "broken"
    line = told("models:/srcnn-x2/1")
    assert line.startswith(
        f"model models:/srcnn-x2/1 cannot be fetched: the server {gate} answers 500 (Internal"
    )
    Gate.mode = "open"
    shutil.rmtree(tmp_path / "server" / "artifacts")
    assert told("1").startswith(
        "version 1 of srcnn-x2 is registered, but its files are gone from mlflow-artifacts:/0/mod"
    )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:hunter2@127.0.0.1:{free_port()}")
    with pytest.raises(TrackingError, match="cannot be connected to") as error:
        registry.find_model("models:/srcnn-x2/1", 2)
    assert "hunter2" not in str(error.value)
    with answering(401) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        with pytest.raises(TrackingError, match=r"answers 401 \(Unauthorized\); log in"):
            registry.find_model("models:/srcnn-x2/1", 2)


def test_a_registered_version_is_still_found(local: Path) -> None:
    assert local.exists()
    assert registry.find_model("champion", 2).version == 1
    with pytest.raises(ModelError, match="the registry has no challenger"):
        registry.find_model("challenger", 2)
    assert MlflowClient().get_model_version("srcnn-x2", "1").version
