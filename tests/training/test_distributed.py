"""Two processes that train one network, beside one process that trains it alone."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mlflow import MlflowClient
from mlflow.entities import Run

from srcnn_mlflow.machine.errors import TrainingError
from srcnn_mlflow.tracking.run_search import FAILURE
from srcnn_mlflow.training.checkpoint import load_checkpoint
from srcnn_mlflow.training.distributed import World, alone, choose_device, join_world
from tests.conftest import ROOT, put_store, run_here, runs_of, sampled, start_command

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
# Without residual, because the best epoch of so short a training would be 0, the untouched network.
TRAIN = (
    *("train", "--dataset", "photos", "--architecture", "9-1-5", "--precision", "float32"),
    *("--residual", "false"),
)


# What a process of `torchrun` finds of itself, in one line.
LOOK = """
import json, os, sys
from pathlib import Path
import torch
from srcnn_mlflow.training.distributed import join_world
with join_world("cpu") as world:
    tasks = [task for task in Path("/proc/self/task").glob("*")]
    gloo = [int(t.name) for t in tasks if (t / "comm").read_text() == "gloo_tcp_loop\\n"]
    found = {
        "rank": world.rank,
        "cores": sorted(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "priorities": [os.getpriority(os.PRIO_PROCESS, number) for number in gloo],
    }
    sys.stdout.write(json.dumps(found) + "\\n")
"""


@contextmanager
def two_processes(*arguments: str, cwd: Path) -> Iterator["subprocess.Popen[str]"]:
    """Run a command under torchrun; whatever is left of it ends with the block."""
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    process = subprocess.Popen(
        [*TORCHRUN, "-m", "srcnn_mlflow", *arguments],
        cwd=cwd,
        env={**environment, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def train_together(*arguments: str, cwd: Path) -> str:
    with two_processes(*TRAIN, *arguments, cwd=cwd) as process:
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def only_run(folder: Path) -> Run:
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    (run,) = runs_of(client)
    return run


def curve(folder: Path) -> list[float]:
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    history = client.get_metric_history(only_run(folder).info.run_id, "val_psnr")
    return [metric.value for metric in history]


@pytest.fixture
def workplace(photo_folder: Path, empty_store: Path) -> Path:
    """The folder that holds `photos`, where commands run."""
    put_store(empty_store, photo_folder.parent)
    return photo_folder.parent


@given(st.integers(1, 40), st.integers(1, 5))
def test_shares_of_a_batch_are_the_batch(length: int, size: int) -> None:
    batch = torch.arange(100, 100 + length)
    shares = [World(rank, size, CPU).share(batch) for rank in range(size)]
    counted = [share for share, weight in shares if weight]
    assert sorted(torch.cat(counted).tolist()) == batch.tolist()
    # What an average over processes gives is the mean over the patches.
    means = [weight * share.double().mean().item() for share, weight in shares]
    assert sum(means) / size == pytest.approx(batch.double().mean().item())


def test_a_process_alone_sends_nothing_anywhere() -> None:
    world = alone(CPU)
    model = torch.nn.Linear(2, 2)
    values = torch.tensor([1.0, 2.0])
    assert world.leads
    assert world.wrap(model) is model
    assert world.add_up(values) is values
    assert (world.largest(3.5), world.broadcast(b"words")) == (3.5, b"words")
    with pytest.raises(RuntimeError, match="not of torch"), world.together():
        raise RuntimeError("not of torch")


def test_the_loss_of_other_processes_becomes_advice() -> None:
    with (
        pytest.raises(TrainingError, match=r"process 1 of 2 lost the others \(Connection closed\)"),
        World(1, 2, CPU).together(),
    ):
        raise RuntimeError("Connection closed\nat some address")


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(TrainingError, match="process 1 of this machine needs a GPU of its own"):
        choose_device("auto", 1)


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(TrainingError, match=f"device is {device}, .* here; use device="):
        choose_device(device)


def test_an_apple_gpu_is_for_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("mps") == torch.device("mps")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "0")
    shared = pytest.raises(TrainingError, match="mps, which 2 processes cannot share")
    with shared, join_world("mps"):
        pass


@pytest.mark.parametrize("channels", sampled(["y", "rgb"]))
def test_two_processes_learn_what_one_learns(
    workplace: Path, empty_store: Path, channels: str
) -> None:
    usual = ("--epochs", "3", "--batch-size", "5", "--optimizer", "adam")
    arguments = (*TRAIN, *usual, "--channels", channels)
    single, double = workplace / f"single-{channels}", workplace / f"double-{channels}"
    for folder in (single, double):
        folder.mkdir()
        (folder / "photos").symlink_to(workplace / "photos")
        put_store(empty_store, folder)
    finished = run_here(*arguments, cwd=single)
    assert finished.returncode == 0, finished.stderr
    output = train_together(*arguments[len(TRAIN) :], cwd=double)
    assert "on cpu in 2 processes" in output
    assert "Grad strides" not in output
    # One process speaks for both.
    assert output.count("epoch 3 of 3") == output.count("registered srcnn-x2 version 1") == 1
    assert only_run(double).data.tags["processes"] == "2"
    assert curve(double) == pytest.approx(curve(single), abs=0.02)
    assert len(curve(double)) == 3
    best = [
        load_checkpoint(next(f.glob("mlruns/**/best.safetensors")))[0] for f in (single, double)
    ]
    for name, weights in best[0].items():
        assert abs(weights - best[1][name]).max() < 0.02 * abs(weights).max()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can be told so")
def test_processes_keep_out_of_each_others_way(tmp_path: Path) -> None:
    script = tmp_path / "look.py"
    script.write_text(LOOK)
    finished = subprocess.run(
        [*TORCHRUN, str(script)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=120,
    )
    first, second = (json.loads(line) for line in sorted(finished.stdout.splitlines()))
    cores = os.sched_getaffinity(0)
    assert {*first["cores"], *second["cores"]} == cores
    assert len(cores) == 1 or not {*first["cores"]} & {*second["cores"]}
    for process in (first, second):
        assert process["threads"] == len(process["cores"])
        # The one that sends and receives.
        assert process["priorities"] == [19]


@pytest.mark.parametrize("lost", sampled([0, 1]))
def test_a_lost_process_ends_the_run_with_its_checkpoint_kept(workplace: Path, lost: int) -> None:
    with two_processes(*TRAIN, "--epochs", "4000", cwd=workplace) as process:
        deadline = time.monotonic() + 120
        while not list(workplace.glob("mlruns/**/state-*.safetensors")):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.1)
        children = psutil.Process(process.pid).children()
        (victim,) = [c for c in children if c.environ().get("RANK") == str(lost)]
        victim.kill()
        output, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "lost the others" in output
    run = only_run(workplace)
    assert run.info.status == "FAILED"
    assert run.data.tags[FAILURE]
    (checkpoint,) = workplace.glob("mlruns/**/best.safetensors")
    assert load_checkpoint(checkpoint)[1]["epoch"] >= 1


@pytest.mark.exhaustive
def test_an_interrupted_training_goes_on_in_two_processes(workplace: Path) -> None:
    alone_at_first = start_command(*TRAIN, "--epochs", "12", cwd=workplace)
    while not list(workplace.glob("mlruns/**/state-*.safetensors")):
        assert alone_at_first.poll() is None
        time.sleep(0.05)
    alone_at_first.send_signal(signal.SIGTERM)
    # Polite or not, what was finished is kept.
    assert alone_at_first.wait() == 130
    run = only_run(workplace)
    assert (run.info.status, run.data.tags[FAILURE]) == ("FAILED", "interrupted")
    finished = len(curve(workplace))
    assert finished < 12
    output = train_together("--resume", run.info.run_id, cwd=workplace)
    assert f"resuming run {run.info.run_id} after epoch" in output
    told = f"run {run.info.run_id} goes on with what it did not begin with: processes 2, not 1"
    # Which of two processes tells it is the one that leads.
    assert output.count(told) == 1
    assert len(curve(workplace)) == 12
    assert only_run(workplace).info.status == "FINISHED"


def test_other_commands_are_refused_under_torchrun(workplace: Path) -> None:
    with two_processes("evaluate", cwd=workplace) as process:
        output, _ = process.communicate(timeout=60)
    assert "which only train and prepare can use; run evaluate without it" in output
    assert process.returncode != 0
    assert mlflow.active_run() is None
