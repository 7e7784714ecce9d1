"""`send`: each run by itself, whichever server it belongs to and whatever keeps another from it."""

import json
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from srcnn_mlflow.tracking.outbox import Outbox, server_of, waiting_runs
from tests.conftest import free_port, put_store, run_here
from tests.tracking.test_outbox import parcel, steps

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    # Whichever server it is for.
    monkeypatch.setenv("SRCNN_HOME", "data")
    return tmp_path


def new_run(entry_point: str = "train", **tags: str) -> str:
    begun = MlflowClient().create_run("0", tags={"entry_point": entry_point, **tags})
    return str(begun.info.run_id)


def put(run_id: str, folder: Path, *epochs: int) -> None:
    for epoch in epochs:
        Outbox(run_id).put(parcel(epoch, folder))


def left_of(output: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith("left: ")]


def test_each_run_is_sent_or_told_by_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = str(MlflowClient()._tracking_client.tracking_uri).removeprefix("sqlite:///")
    # In the order of their ids, so that what cannot be sent stands at both ends and between.
    sent = sorted(new_run() for _ in range(3))
    foreign, unknown, last = f"{'0' * 31}1", f"{'0' * 31}2", "f" * 32
    deleted = new_run()
    for run_id in sent:
        put(run_id, folder, 1, 2)
    put(deleted, folder, 1)
    MlflowClient().delete_run(deleted)
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("MLFLOW_TRACKING_URI", "http://me:hunter2@elsewhere:5000/mlflow")
        for run_id in (foreign, last):
            put(run_id, folder, 1)
    put(unknown, folder, 1)
    (facts,) = Path("data/outbox", unknown).glob("*/facts.json")
    before = {k: v for k, v in json.loads(facts.read_text()).items() if k != "server"}
    # As versions before this one have written it.
    facts.write_text(json.dumps(before))

    done = run_here("send", cwd=folder)
    assert done.returncode == 1
    for run_id in sent:
        assert f"sent 2 epoch(s) of run {run_id}" in done.stdout
        assert steps(run_id) == [1, 2]
    told = {
        next(run for run in (foreign, unknown, last, deleted) if run in line): line
        for line in left_of(done.stdout)
        if any(run in line for run in (foreign, unknown, last, deleted))
    }
    for run_id in (foreign, last):
        assert told[run_id] == (
            f"left: run {run_id} is not on {here}, but was trained for "
            "http://elsewhere:5000/mlflow; set MLFLOW_TRACKING_URI to that and send again, or, if "
            f"that is gone, remove {folder}/data/outbox/{run_id} to give it up"
        )
    assert f"run {unknown} is not on {here}; set MLFLOW_TRACKING_URI to the server" in told[unknown]
    assert f"mlflow runs restore --run-id {deleted} brings it back" in told[deleted]
    assert set(waiting_runs()) == {foreign, unknown, last, deleted}
    assert f"of 7 run(s) in {folder}/data/outbox could not be sent" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr

    # What the messages say helps.
    MlflowClient().restore_run(deleted)
    for run_id in (foreign, unknown, last):
        shutil.rmtree(Path("data/outbox", run_id))
    assert f"sent 1 epoch(s) of run {deleted}" in run_here("send", cwd=folder).stdout
    assert "nothing waits to be sent" in run_here("send", cwd=folder).stdout


def test_a_damaged_parcel_keeps_no_other_run(folder: Path) -> None:
    first, second = sorted(new_run() for _ in range(2))
    for run_id in (first, second):
        put(run_id, folder, 1)
    (facts,) = Path("data/outbox", first).glob("*/facts.json")
    facts.write_text("{")
    third, fourth = new_run(), new_run()
    put(third, folder, 1)
    shutil.rmtree(next(Path("data/outbox", third).glob("*/files")))
    put(fourth, folder, 1)
    (picture,) = Path("data/outbox", fourth).glob("*/image.png")
    picture.write_bytes(b"no picture")
    done = run_here("send", cwd=folder)
    assert done.returncode == 1
    assert f"sent 1 epoch(s) of run {second}" in done.stdout
    (damaged,) = [line for line in left_of(done.stdout) if first in line]
    assert f"{facts.parent} is damaged; remove it to give that epoch up" in damaged
    for run_id in (third, fourth):
        (line,) = [line for line in left_of(done.stdout) if run_id in line]
        assert f"what run {run_id} has measured cannot be sent: " in line
    assert waiting_runs() == sorted([first, third, fourth])


@pytest.mark.parametrize("entry_point", ["trial", "study-training"])
def test_a_trial_is_sent_and_left_to_what_it_belongs_to(entry_point: str, folder: Path) -> None:
    run_id = new_run(entry_point, study="filters-x3-t91")
    put(run_id, folder, 1, 2)
    done = run_here("send", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert f"sent 2 epoch(s) of run {run_id}" in done.stdout
    assert "starting filters-x3-t91 again, by the command that began it, goes on" in done.stdout
    assert "train --resume" not in done.stdout
    assert MlflowClient().get_run(run_id).info.status == "FAILED"
    assert waiting_runs() == []


def test_no_credentials_lie_on_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"http://me:hunter2@127.0.0.1:{free_port()}/path?token=hunter2"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    run_id = "a" * 32
    put(run_id, folder, 1)
    shown = address.replace("me:hunter2@", "").partition("?")[0]
    assert server_of(run_id) == shown
    for path in Path("data").glob("**/*"):
        assert path.is_dir() or b"hunter2" not in path.read_bytes()
    # A server that is away is told once a run, and at once.
    done = run_here("send", cwd=folder)
    assert "hunter2" not in done.stdout + done.stderr
    assert len(left_of(done.stdout)) == 1


def test_a_run_whose_parcels_do_not_say_has_no_server(folder: Path) -> None:
    assert folder.exists()
    assert server_of("b" * 32) is None
