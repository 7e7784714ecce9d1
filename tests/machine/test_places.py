"""Where work lies, whatever a command was started by."""

import os
from pathlib import Path

import pytest

from srcnn_mlflow.machine import places
from srcnn_mlflow.machine.places import anchor_store, home, kept, local_store


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which one stands; no store and no folder of work are named."""
    folder = tmp_path / "where one stands"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return folder


def stand_in(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the package be that of another folder."""
    checkout.mkdir(parents=True, exist_ok=True)
    (checkout / "MLproject").touch()
    monkeypatch.setattr(
        places, "__file__", str(checkout / "srcnn_mlflow" / "machine" / "places.py")
    )


@pytest.mark.parametrize(
    ("uri", "store"),
    [
        ("", "mlflow.db"),
        ("sqlite:///runs.db", "runs.db"),
        ("sqlite:////somewhere/a%20b/runs.db?timeout=3", "/somewhere/a b/runs.db"),
        ("sqlite+pysqlite:////somewhere/runs.db", "/somewhere/runs.db"),
        ("file:///somewhere/mlruns", "/somewhere/mlruns"),
        ("/somewhere/mlruns", "/somewhere/mlruns"),
    ],
)
def test_work_lies_beside_a_local_store(
    uri: str, store: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert local_store() == here / store
    assert home() == (here / store).parent / "data"


@pytest.mark.parametrize("uri", ["http://host:5000", "postgresql://host/runs", "databricks"])
def test_with_a_server_it_lies_in_the_checkout_or_with_the_user(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    stand_in(tmp_path / "checkout", monkeypatch)
    assert home() == tmp_path / "checkout" / "data"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user"))
    monkeypatch.setattr(places, "__file__", "/usr/lib/python/srcnn_mlflow/machine/places.py")
    assert home() == tmp_path / "user" / "srcnn-mlflow"
    # As `mlflow run` clones a git address, with or without `#folder` behind it.
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for clone in ("tmp0a_9bcde", "tmp0a_9bcde/folder"):
        stand_in(tmp_path / clone, monkeypatch)
        assert home() == tmp_path / "user" / "srcnn-mlflow"


def test_the_folder_that_the_user_names_comes_first(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRCNN_HOME", "../work")
    assert home() == here / "../work"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host:5000")
    monkeypatch.setenv("SRCNN_HOME", "~/work")
    assert home() == Path.home() / "work"


def test_what_lies_where_work_used_to_is_still_found(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRCNN_HOME", str(tmp_path / "home"))
    assert kept("sets/set5") == tmp_path / "home/sets/set5"
    (here / "data/sets/set5").mkdir(parents=True)
    assert kept("sets/set5") == here / "data/sets/set5"
    (tmp_path / "home/sets/set5").mkdir(parents=True)
    assert kept("sets/set5") == tmp_path / "home/sets/set5"


@pytest.mark.parametrize(
    ("given", "anchored"),
    [
        ("sqlite:///runs%20of/a.db?timeout=3", "sqlite:///{here}/runs%20of/a.db?timeout=3"),
        ("sqlite:////somewhere/a.db", "sqlite:////somewhere/a.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("http://host:5000", "http://host:5000"),
    ],
)
def test_a_relative_store_is_the_one_that_the_person_means(
    given: str, anchored: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", given)
    anchor_store()
    assert os.environ["MLFLOW_TRACKING_URI"] == anchored.format(here=str(here).replace(" ", "%20"))
