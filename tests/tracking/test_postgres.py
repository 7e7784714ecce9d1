"""A store in PostgreSQL that cannot be used is told within seconds, with what to do."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from srcnn_mlflow.tracking import store
from tests.conftest import free_port, put_store, run_here
from tests.machine.test_server_faults import silent
from tests.postgres import USER, Postgres

pytestmark = pytest.mark.slow

FAULTS = {
    "wrong password": f'password authentication failed for user "{USER}"; check the name and the',
    "no database": 'database "nowhere" does not exist; check the database\'s name in',
    "nothing there": "Connection refused; start the database server, and check host and port in",
    "silence": "check host and port in",
}


@contextmanager
def faulty(fault: str, postgres: Postgres) -> Iterator[str]:
    """The address of a database that cannot be used."""
    if fault == "silence":
        with silent() as address:
            yield address.replace("http://", "postgresql://") + "/x"
    else:
        yield {
            "wrong password": postgres.address("postgres", "hunter2"),
            "no database": postgres.address("nowhere"),
            "nothing there": f"postgresql://me:hunter2@127.0.0.1:{free_port()}/x",
        }[fault]


def refused(folder: Path, *command: str) -> str:
    """The last thing that a command says within 15 seconds of a store that cannot be used."""
    begun = time.monotonic()
    done = run_here(*command, cwd=folder)
    assert time.monotonic() - begun < 15
    assert done.returncode == 1
    assert "hunter2" not in done.stdout + done.stderr
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_database_that_lets_nobody_in_is_told_within_seconds(
    fault: str, postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The shortest that libpq knows.
    monkeypatch.setattr(store, "SECONDS_TO_ANSWER", 2)
    with faulty(fault, postgres) as uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        line = refused(tmp_path, "results")
    assert line.startswith("error: the database postgresql://127.0.0.1:")
    assert f"{FAULTS[fault]} " in line
    assert "MLFLOW_TRACKING_URI" in line


def test_a_registry_that_lets_nobody_in_is_told(
    postgres: Postgres, empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    with faulty("wrong password", postgres) as uri:
        monkeypatch.setenv("MLFLOW_REGISTRY_URI", uri)
        line = refused(tmp_path, "results")
    assert f"{FAULTS['wrong password']} password; MLFLOW_REGISTRY_URI has them" in line


def test_a_study_in_such_a_database_is_told(
    postgres: Postgres,
    empty_store: Path,
    photo_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    with faulty("wrong password", postgres) as uri:
        line = refused(tmp_path, "sweep", "--dataset", str(photo_folder), "--storage", uri)
    assert f"{FAULTS['wrong password']} password; storage has them" in line
