"""Runs and the processes they belong to."""

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import mlflow
import psutil
import pytest
import torch
from mlflow import MlflowClient

from srcnn_mlflow.commands.tidy import tidy
from srcnn_mlflow.commands.train import resume
from srcnn_mlflow.machine.errors import TrainingError
from srcnn_mlflow.machine.processes import ProcessSign
from srcnn_mlflow.network.shipped import shipped_network
from srcnn_mlflow.tracking.registry import register
from srcnn_mlflow.tracking.runs import track
from srcnn_mlflow.training.distributed import alone
from tests.conftest import COMMANDS, put_store
from tests.nursery import Forked

pytestmark = pytest.mark.slow

HANG = (
    "import sys, time\n"
    "from srcnn_mlflow.tracking.runs import track\n"
    "with track('train', 2, {}, sys.argv[1]):\n"
    "    print('running', flush=True)\n"
    "    time.sleep(600)\n"
)


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))


def hanging_run(name: str) -> Forked:
    process = COMMANDS.start((sys.executable, "-c", HANG, name), stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    return process


def test_only_runs_of_dead_processes_of_this_machine_are_marked(said: list[str]) -> None:
    killed, alive = hanging_run("killed"), hanging_run("alive")
    try:
        killed.kill()
        killed.wait()
        client = MlflowClient()
        elsewhere = client.create_run("0", run_name="elsewhere").info.run_id
        sign = replace(ProcessSign.own(), host="another machine", number=killed.pid)
        for key, value in sign.tags().items():
            client.set_tag(elsewhere, key, value)
        client.create_run("0", run_name="unknown")
        with track("train", 2, {}, "finished"):
            pass
        marked = tidy()
        runs = {
            run.info.run_name: run
            for run in mlflow.search_runs(search_all_experiments=True, output_format="list")
        }
        assert marked == [runs["killed"].info.run_id]
        assert {name: run.info.status for name, run in runs.items()} == {
            "killed": "FAILED",
            "alive": "RUNNING",
            "elsewhere": "RUNNING",
            "unknown": "RUNNING",
            "finished": "FINISHED",
        }
        assert runs["killed"].data.tags["tidied"] == f"process {killed.pid} has ended"
        assert "1 run(s) marked as FAILED" in said
        assert any(line.startswith("1 running run(s) do not say which process") for line in said)
        assert tidy() == []
        with pytest.raises(TrainingError, match=f"still being trained by process {alive.pid}"):
            resume(runs["alive"].info.run_id, alone(torch.device("cpu")))
    finally:
        alive.kill()
        alive.wait()


def test_a_process_is_told_from_a_later_one_with_its_number() -> None:
    own = ProcessSign.own()
    assert own.is_alive_here()
    assert not own.is_dead_here()
    earlier = replace(own, start=own.start - 100, ticks=None)
    assert earlier.is_dead_here()
    assert ProcessSign.from_tags(own.tags()) == replace(own, start=round(own.start, 2))


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"host": "a", "process_id": "x", "process_start": "1"},
        {"process": ""},
        {"process": "a 1"},
        {"process": "a x 1"},
    ],
)
def test_damaged_tags_say_nothing(tags: dict[str, str]) -> None:
    assert ProcessSign.from_tags(tags) is None


def test_a_zombie_is_dead() -> None:
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=-1)
    start = psutil.Process(process.pid).create_time()
    sign = ProcessSign(ProcessSign.own().host, process.pid, start)
    assert sign.is_alive_here()
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert sign.is_dead_here()
    process.wait()


def keep(entry_point: str, ends: type[Exception] | None = None, registers: bool = False) -> str:
    """A run with a state and a checkpoint of a thousand bytes each; gives its id."""
    with suppress(KeyError), track(entry_point, 2, {}, entry_point) as run:
        for name in ("state-even.safetensors", "best.safetensors", "else.txt"):
            mlflow.log_text("x" * 1000, f"checkpoint/{name}")
        if registers:
            register(2, shipped_network(2, "shipped-9-1-5"), {})
        if ends is not None:
            raise ends
    return str(run.info.run_id)


def kept(run_id: str) -> set[str]:
    files = MlflowClient().list_artifacts(run_id, "checkpoint")
    return {Path(file.path).name for file in files}


def test_only_what_nothing_needs_is_deleted_and_only_when_asked(said: list[str]) -> None:
    state, best, other = "state-even.safetensors", "best.safetensors", "else.txt"
    registered, lost = keep("train", registers=True), keep("train", registers=True)
    broken_off, cell = keep("train", ends=KeyError), keep("study-training")
    (one,) = MlflowClient().search_model_versions(f"run_id = '{lost}'")
    shutil.rmtree(MlflowClient().get_model_version_download_uri(one.name, one.version))
    tidy()
    assert said[-1] == (
        "needed no more: states and checkpoints of 3 finished training(s), 4 kB; "
        "srcnn-mlflow tidy --free true deletes them"
    )
    assert kept(registered) == {state, best, other}
    tidy(free=True)
    assert said[-1] == "deleted: states and checkpoints of 3 finished training(s), 4 kB"
    assert kept(registered) == {other}
    # The weights of a study's training, and of a version whose files are gone, are nowhere else.
    assert kept(cell) == kept(lost) == {best, other}
    assert kept(broken_off) == {state, best, other}
    freed = MlflowClient().get_run(registered).data.tags["freed"]
    assert freed == f"checkpoint/{best}, checkpoint/{state}"
    tidy(free=True)
    assert said[-1] == "no finished training keeps a state or a checkpoint that nothing needs"
