"""Runs in a store that several processes use at once."""

import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE

import mlflow
import pytest

from srcnn_mlflow.tracking.run_search import interrupted_runs, newest_by, next_in_sequence
from srcnn_mlflow.tracking.runs import track
from tests.conftest import COMMANDS, put_store

pytestmark = pytest.mark.slow

TRACK = (
    "import sys, time\n"
    "from srcnn_mlflow.tracking.runs import track\n"
    "time.sleep(max(0.0, float(sys.argv[2]) - time.time()))\n"
    "with track('train', 2, {'seed': sys.argv[1]}, 'together'):\n"
    "    pass\n"
)


def test_processes_that_start_together_create_one_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    COMMANDS.start((sys.executable, "-c", "")).wait()
    # All of them stand there by then, and meet at the empty folder.
    moment = str(time.time() + 2)
    processes = [
        COMMANDS.start(
            (sys.executable, "-c", TRACK, str(number), moment), cwd=tmp_path, stderr=PIPE
        )
        for number in range(4)
    ]
    errors = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, errors
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert {run.data.params["seed"] for run in runs} == {"0", "1", "2", "3"}
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_the_newest_by_is_the_one_that_was_begun_last_whatever_clocks_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    now, begun = time.time(), []
    for hours in (0, 3, 1, 2):
        with monkeypatch.context() as patch:
            patch.setattr("time.time", lambda: now - 3600 * hours)  # noqa: B023
            with suppress(KeyError), track("evaluate", 2, {}, "one") as run:
                begun.append(run.info.run_id)
            with suppress(KeyError), track("train", 2, {}, "broken off"):
                raise KeyError
    (newest,) = newest_by((), "evaluate", 2)
    assert newest.info.run_id == begun[-1]
    assert newest.info.start_time < mlflow.get_run(begun[0]).info.start_time
    interrupted = interrupted_runs("train", 2)
    places = [run.data.tags["sequence"] for run in interrupted]
    assert places == [f"{place:012d}" for place in (8, 6, 4, 2)]


def test_of_each_kind_the_newest_run_is_found_however_its_parameters_are_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    begun = {}
    for name, dataset in enumerate(("set5", "my photos", "'my photos'", "it's", "set5")):
        with track("evaluate", 2, {"dataset": dataset, "border": name}, "one") as run:
            begun[name] = run.info.run_id
    found = [run.info.run_id for run in newest_by(("dataset",), "evaluate", 2)]
    assert found == [begun[4], begun[3], begun[2]]


def test_a_run_of_before_or_with_a_spoilt_place_comes_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    with track("evaluate", 2, {}, "former") as run:
        mlflow.delete_tag("sequence")
    assert next_in_sequence() == "000000000001"
    with track("evaluate", 2, {}, "present") as present:
        pass
    (newest,) = newest_by((), "evaluate", 2)
    assert newest.info.run_id == present.info.run_id
    mlflow.MlflowClient().set_tag(run.info.run_id, "sequence", "no number")
    assert next_in_sequence() == "000000000001"


def test_what_mlflow_notes_of_the_source_has_no_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    source = {"mlflow.source.git.repoURL": "https://me:hunter2@host/x.git"}
    monkeypatch.setenv("MLFLOW_RUN_CONTEXT", json.dumps(source))
    with track("train", 2, {"init_from": "https://me:hunter2@host/model"}, "one") as run:
        begun = mlflow.get_run(run.info.run_id).data
    assert begun.tags["mlflow.source.git.repoURL"] == "https://host/x.git"
    assert begun.params["init_from"] == "https://host/model"
    assert b"hunter2" not in (tmp_path / "mlflow.db").read_bytes()
    # As `mlflow run` opens one, and has noted it already.
    opened = mlflow.MlflowClient().create_run("0", tags=source)
    monkeypatch.setenv("MLFLOW_RUN_ID", opened.info.run_id)
    with track("train", 2, {}, "two") as run:
        assert run.info.run_id == opened.info.run_id
    assert mlflow.get_run(opened.info.run_id).data.tags["mlflow.source.git.repoURL"] == (
        "https://host/x.git"
    )
