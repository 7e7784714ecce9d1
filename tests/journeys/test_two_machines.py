"""Two machines that train one network: each with an address, a folder and pictures of its own."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from mlflow import MlflowClient

from srcnn_mlflow.tracking.run_search import FAILURE
from srcnn_mlflow.training.checkpoint import load_checkpoint
from tests.conftest import ROOT, put_store, runs_of, textured_photos, without

pytestmark = pytest.mark.exhaustive

ADDRESSES = {"first": "10.231.77.1", "second": "10.231.77.2"}
SERVER = f"http://{ADDRESSES['first']}:5077"
TRAIN = (
    *("-m", "srcnn_mlflow", "train", "--dataset", "photos", "--architecture", "9-1-5"),
    *("--precision", "float32", "--residual", "false"),
)


def name_of(machine: str) -> str:
    return f"srcnn-{machine}-{os.getpid()}"


def inside(machine: str, *command: str) -> list[str]:
    return ["ip", "netns", "exec", name_of(machine), *command]


@pytest.fixture(scope="module")
def machines() -> Iterator[None]:
    """Two network namespaces that reach each other by a cable, and nothing else."""
    if shutil.which("ip") is None:
        without("needs ip, of Debian's iproute2", "SERVERS")
    made = subprocess.run(
        ["ip", "netns", "add", name_of("first")], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"needs the right to make network namespaces: {made.stderr.strip()}")
    try:
        for command in (
            f"netns add {name_of('second')}",
            f"link add end0 netns {name_of('first')} type veth "
            f"peer name end0 netns {name_of('second')}",
            *(
                f"-n {name_of(machine)} {action}"
                for machine, address in ADDRESSES.items()
                for action in (
                    f"addr add {address}/24 dev end0",
                    "link set end0 up",
                    "link set lo up",
                )
            ),
        ):
            subprocess.run(["ip", *command.split()], check=True)
        yield
    finally:
        for machine in ADDRESSES:
            subprocess.run(["ip", "netns", "del", name_of(machine)], check=False)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """A folder a machine, with the same pictures."""
    found = {}
    for machine in ADDRESSES:
        found[machine] = tmp_path_factory.mktemp(machine)
        textured_photos(found[machine])
    return found


@pytest.fixture(scope="module")
def client(
    machines: None, folders: Mapping[str, Path], empty_store: Path
) -> Iterator[MlflowClient]:
    """The server of the first machine; its database is looked into from outside."""
    assert machines is None
    where = folders["first"] / "server"
    where.mkdir()
    put_store(empty_store, where)
    command = ("-m", "mlflow", "server", "--host", ADDRESSES["first"], "--port", "5077")
    with running(
        inside("first", sys.executable, *command, "--backend-store-uri", "sqlite:///mlflow.db"),
        cwd=where,
    ):
        waited = inside("second", sys.executable, "-c", WAIT, f"{SERVER}/health")
        subprocess.run(waited, check=True, timeout=90)
        yield MlflowClient(f"sqlite:///{where}/mlflow.db")


WAIT = """
import sys, time, urllib.request
while True:
    try:
        sys.exit(urllib.request.urlopen(sys.argv[1], timeout=5).status != 200)
    except OSError:
        time.sleep(0.2)
"""


@contextmanager
def running(command: list[str], cwd: Path, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a program until the block ends, with all that it starts."""
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        end(process.pid)
        process.communicate()


def end(number: int) -> None:
    """Kill a process and all below it, as a machine that loses its power does."""
    with suppress(psutil.NoSuchProcess):
        first = psutil.Process(number)
        # What torchrun starts is in a session of its own.
        for one in [*first.children(recursive=True), first]:
            with suppress(psutil.NoSuchProcess):
                one.kill()


@contextmanager
def training(
    machine: str, folders: Mapping[str, Path], word: str, *arguments: str
) -> Iterator["subprocess.Popen[str]"]:
    """A machine's part of a training by both."""
    core = sorted(os.sched_getaffinity(0))[0 if machine == "first" else -1]
    command = (
        # As many threads as each of two processes of one machine has, and so the same rounding.
        *("taskset", "--cpu-list", str(core)),
        *(sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"),
        *("--rdzv-backend", "c10d", "--rdzv-endpoint", f"{ADDRESSES['first']}:29477"),
        # A namespace has the name of the machine that it is on, by which a host is known otherwise.
        *("--rdzv-conf", f"is_host={machine == 'first'}", "--rdzv-id", word),
        *("--local-addr", ADDRESSES[machine], *TRAIN, *arguments),
    )
    with running(
        inside(machine, *command),
        cwd=folders[machine],
        MLFLOW_TRACKING_URI=SERVER,
        SRCNN_HOME=str(folders[machine] / "work"),
        GLOO_SOCKET_IFNAME="end0",
    ) as process:
        yield process


def best_of(folder: Path) -> Mapping[str, np.ndarray]:
    (path,) = folder.glob("**/best.safetensors")
    return load_checkpoint(path)[0]


def test_they_give_the_weights_of_two_processes_of_one(
    folders: Mapping[str, Path], client: MlflowClient, tmp_path: Path, empty_store: Path
) -> None:
    textured_photos(tmp_path)
    put_store(empty_store, tmp_path)
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    with running([sys.executable, *torchrun, *TRAIN, "--epochs", "3"], cwd=tmp_path) as alone:
        said, _ = alone.communicate(timeout=200)
        assert alone.returncode == 0, said
    with (
        training("first", folders, "both", "--epochs", "3") as first,
        training("second", folders, "both", "--epochs", "3") as second,
    ):
        for process in (first, second):
            said, _ = process.communicate(timeout=200)
            assert process.returncode == 0, said
    (run,) = runs_of(client)
    assert run.data.tags["processes"] == "2"
    # Each has prepared its own file.
    assert len([*folders["second"].glob("work/prepared/*.h5")]) == 1
    expected, found = best_of(tmp_path), best_of(folders["first"] / "server")
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_where_one_is_lost_the_other_goes_on_alone(
    folders: Mapping[str, Path], client: MlflowClient
) -> None:
    before = {run.info.run_id for run in runs_of(client)}
    with (
        training("first", folders, "lost", "--epochs", "4000") as first,
        training("second", folders, "lost", "--epochs", "4000") as second,
    ):
        deadline = time.monotonic() + 150
        run_id = ""
        while not run_id or not client.get_metric_history(run_id, "val_psnr"):
            assert time.monotonic() < deadline
            assert first.poll() is None
            new = [run for run in runs_of(client) if run.info.run_id not in before]
            run_id = new[0].info.run_id if new else ""
            time.sleep(0.3)
        end(second.pid)
        said, _ = first.communicate(timeout=200)
    assert first.returncode != 0
    assert "lost the others" in said
    run = client.get_run(run_id)
    assert run.info.status == "FAILED"
    assert run.data.tags[FAILURE]
    command = ("-m", "srcnn_mlflow", "train", "--resume", run_id)
    with running(
        inside("first", sys.executable, *command),
        cwd=folders["first"],
        MLFLOW_TRACKING_URI=SERVER,
        SRCNN_HOME=str(folders["first"] / "work"),
    ) as process:
        done = len(client.get_metric_history(run_id, "val_psnr"))
        deadline = time.monotonic() + 150
        while len(client.get_metric_history(run_id, "val_psnr")) < done + 3:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.3)
        assert client.get_run(run_id).info.status == "RUNNING"
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert f"resuming run {run_id} after epoch" in said
    assert "processes 1, not 2" in said
