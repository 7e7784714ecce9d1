"""A store that cannot be used is told within seconds, whichever command asks for it."""

import os
import shutil
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
import torch
from sqlalchemy.engine import make_url

from srcnn_mlflow.machine.errors import TrackingError
from srcnn_mlflow.tracking import store
from srcnn_mlflow.tracking.store import check_store, connect_arguments, tracking_address
from tests.commands.test_exchange import foreign
from tests.conftest import ROOT, free_port, put_store, run_command, run_here
from tests.machine.test_server_faults import Answer, answering, silent

pytestmark = pytest.mark.slow

# Every command that asks a store, with whatever it needs besides.
COMMANDS = {
    "main": ("main", "--dataset", "samples"),
    "train": ("train", "--dataset", "samples"),
    "resume": ("train", "--dataset", "samples", "--resume", "0" * 32),
    "resume the newest": ("train", "--dataset", "samples", "--resume", "auto"),
    "evaluate": ("evaluate",),
    "evaluate shipped": ("evaluate", "--model", "shipped"),
    "promote": ("promote",),
    "roll back": ("promote", "--version", "previous"),
    "reproduce": ("reproduce", "--dataset", "samples"),
    "compare": ("compare",),
    "sweep": ("sweep",),
    "study": ("study",),
    "upscale": ("upscale", "--input", "photo.png"),
    "import-weights": ("import-weights", "--file", "weights.pth"),
    "export": ("export",),
    "results": ("results",),
    "send": ("send",),
    "tidy": ("tidy",),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with what the commands need, and an epoch that waits to be sent."""
    shutil.copyfile(ROOT / "docs" / "best-x4.png", tmp_path / "photo.png")
    waiting = tmp_path / "data" / "outbox" / ("1" * 32) / "000000000000001-000001"
    (waiting / "files").mkdir(parents=True)
    torch.save(foreign().state_dict(), tmp_path / "weights.pth")
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_a_server_that_is_not_there_is_told_within_seconds(
    command: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setattr(store, "SECONDS_TO_START", 0)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:hunter2@127.0.0.1:{port}")
    start = time.monotonic()
    done = run_here(*COMMANDS[command], cwd=folder)
    assert time.monotonic() - start < 15
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    if command == "send":
        last = done.stdout.strip().splitlines()[-1].replace("left: ", "error: ")
    assert last == (
        f"error: the server http://127.0.0.1:{port} cannot be connected to (Connection refused); "
        "start it, or set MLFLOW_TRACKING_URI to one that is well"
    )
    assert "hunter2" not in done.stdout + done.stderr
    # Nothing was prepared or downloaded for a training that could not be tracked.
    assert not (folder / "data" / "prepared").exists()


@pytest.mark.exhaustive
def test_the_same_as_a_program_of_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    start = time.monotonic()
    done = run_command("train", "--dataset", "samples", cwd=folder)
    assert time.monotonic() - start < 60
    assert done.returncode == 1
    (line,) = [one for one in done.stderr.splitlines() if one.startswith("error: ")]
    assert "cannot be connected to (Connection refused)" in line
    assert "Traceback" not in done.stderr


def test_a_server_that_says_nothing_is_told_within_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(store, "SECONDS_TO_ANSWER", 2)
    with silent() as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        start = time.monotonic()
        with pytest.raises(TrackingError, match=r"says nothing for too long; .*MLFLOW_HTTP_REQ"):
            check_store()
        assert 1 < time.monotonic() - start < 10
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
        start = time.monotonic()
        with pytest.raises(TrackingError):
            check_store()
        assert time.monotonic() - start < 2


def test_a_registry_that_is_not_there_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(TrackingError, match="set MLFLOW_REGISTRY_URI to one that is well"):
        check_store()


@pytest.mark.parametrize("status", [401, 404, 502])
def test_a_page_in_the_place_of_a_server_is_told(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering(status) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        start = time.monotonic()
        with pytest.raises(TrackingError, match=rf"^the server http://127\S+ answers {status} "):
            check_store()
    # Only what may be starting is waited for.
    assert (time.monotonic() - start > store.SECONDS_TO_START) == (status == 502)


def test_a_server_that_is_being_started_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "SECONDS_TO_START", 30)
    with answering(502) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)

        def start() -> None:
            Answer.status, Answer.body = 200, b'{"experiments": []}'

        timer = threading.Timer(1, start)
        timer.start()
        check_store()
        timer.join()


def test_the_patience_that_was_set_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setattr(store, "SECONDS_TO_START", 0)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "5")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT", raising=False)
    with pytest.raises(TrackingError):
        check_store()
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "5"
    assert "MLFLOW_HTTP_REQUEST_TIMEOUT" not in os.environ


@pytest.mark.parametrize(
    ("revision", "age"),
    [("451aebb31d03", "is of an older MLflow"), ("f" * 12, "is of a newer MLflow")],
)
def test_a_store_of_another_mlflow_is_told_by_its_age(
    revision: str,
    age: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    empty_store: Path,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    with pytest.raises(TrackingError, match=f"^the store {tmp_path}/mlflow.db {age}"):
        check_store()


@pytest.mark.parametrize("damage", ["text", "cut short", "a folder"])
def test_a_damaged_store_is_told(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    path = tmp_path / "mlflow.db"
    content = path.read_bytes()
    path.unlink()
    if damage == "a folder":
        path.mkdir()
    else:
        path.write_bytes(b"hello" * 1000 if damage == "text" else content[:100_000])
    done = run_here("results", cwd=tmp_path)
    assert done.returncode == 1
    assert f"{path}: " in done.stderr
    assert ("it is damaged" in done.stderr) == (damage != "a folder")


@pytest.mark.parametrize("uri", ["htp://127.0.0.1:5000", "localhost:5000", "ftp://host/runs"])
def test_an_address_of_no_store_is_told(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    done = run_here("results", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        f"error: {uri} is no address of a store; set MLFLOW_TRACKING_URI to one such as "
        "sqlite:///mlflow.db or http://host:port\n"
    )


def test_a_folder_of_runs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", str(tmp_path / "runs"))
    done = run_here("evaluate", "--model", "shipped", cwd=tmp_path)
    assert done.returncode == 1
    assert f"which {tmp_path}/runs is; set MLFLOW_TRACKING_URI" in done.stderr


@pytest.mark.parametrize(
    ("uri", "package"),
    [
        ("mysql+pymysql://me:hunter2@127.0.0.1/runs", "pymysql"),
        ("postgresql+psycopg2://me:hunter2@127.0.0.1/runs", "psycopg2-binary"),
    ],
)
def test_a_driver_that_is_not_installed_is_named(
    uri: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    for command in (("results",), ("sweep", "--storage", uri)):
        done = run_here(*command, cwd=tmp_path)
        assert done.returncode == 1
        assert f"pip install '{package}'" in done.stderr
        assert "hunter2" not in done.stderr


def test_drivers_are_told_how_long_they_may_try() -> None:
    for uri in ("postgresql+psycopg://h/d", "postgresql+psycopg2://h/d", "mysql+pymysql://h/d"):
        assert connect_arguments(make_url(uri)) == {"connect_timeout": store.SECONDS_TO_ANSWER}
    assert connect_arguments(make_url("oracle+oracledb://h/d")) == {}


def test_the_address_has_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:hunter2@host:5000/mlflow")
    assert tracking_address() == "https://host:5000/mlflow"
