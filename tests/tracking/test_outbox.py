"""What trainings tell a tracking server that is away, restarts, or answers 500 for a while."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler
from itertools import chain, repeat
from pathlib import Path
from typing import Any, ClassVar

import mlflow
import pytest
from mlflow import MlflowClient
from PIL import Image

from srcnn_mlflow.machine.errors import TrackingError, WriteError
from srcnn_mlflow.tracking.outbox import Outbox, Parcel, waiting_runs
from tests.conftest import (
    COMMANDS,
    answered_by,
    free_port,
    mlflow_server,
    put_store,
    run_here,
    runs_of,
    start_command,
)
from tests.nursery import Forked

pytestmark = pytest.mark.slow


@pytest.fixture
def run_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path) -> str:
    """A run in a local store."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    return str(MlflowClient().create_run("0").info.run_id)


def steps(run_id: str, metric: str = "val_psnr") -> list[int]:
    return [point.step for point in MlflowClient().get_metric_history(run_id, metric)]


def parcel(step: int, folder: Path) -> Parcel:
    file = folder / f"state-{step % 2}.txt"
    file.write_text(str(step))
    image = Image.new("L", (8, 8), step)
    return Parcel(step, {"val_psnr": 30.0 + step}, [file], "checkpoint", ("crop", image))


def test_parcels_arrive_in_their_order_and_leave_the_disk(run_id: str, tmp_path: Path) -> None:
    outbox = Outbox(run_id)
    with outbox.open():
        for step in (1, 2, 3):
            outbox.put(parcel(step, tmp_path))
    assert steps(run_id) == [1, 2, 3]
    client = MlflowClient()
    files = {file.path for file in client.list_artifacts(run_id, "checkpoint")}
    assert files == {"checkpoint/state-0.txt", "checkpoint/state-1.txt"}
    assert mlflow.artifacts.load_text(f"runs:/{run_id}/checkpoint/state-1.txt") == "3"
    images = [file.path for file in client.list_artifacts(run_id, "images")]
    assert [sum(f"+step+{step}+" in path for path in images) for step in (1, 2, 3)] == [2, 2, 2]
    assert waiting_runs() == []
    assert list(Path("data/outbox").iterdir()) == []


def test_a_clock_that_goes_back_changes_no_order(
    run_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox, folder = Outbox(run_id), Path("data/outbox") / run_id
    hours = chain((3, 2), repeat(1))
    monkeypatch.setattr("time.time", lambda: 1.7e9 + 3600 * next(hours))
    outbox.put(parcel(1, tmp_path))
    # As programs of before have called it.
    (first,) = folder.iterdir()
    first.rename(folder / "001700010800000-000001")
    for step in (2, 3, 5):
        outbox.put(parcel(step, tmp_path))
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    assert [path.name[-1] for path in sorted(folder.iterdir())] == ["1", "2", "3", "5"]
    assert outbox.send() == 4
    assert steps(run_id) == [1, 2, 3, 5]
    assert mlflow.get_run(run_id).data.metrics["val_psnr"] == 35.0
    assert mlflow.artifacts.load_text(f"runs:/{run_id}/checkpoint/state-1.txt") == "5"


def test_what_a_killed_process_has_left_is_sent_by_the_next(run_id: str) -> None:
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "import srcnn_mlflow.tracking.outbox as outbox\n"
        "from tests.tracking.test_outbox import parcel\n"
        "outbox._send = lambda *_: os.kill(os.getpid(), 9)\n"
        "box = outbox.Outbox(sys.argv[1])\n"
        "with box.open():\n"
        "    box.put(parcel(1, Path()))\n"
    )
    killed = COMMANDS.start((sys.executable, "-c", code, run_id))
    assert killed.wait() == -9
    (Path("data/outbox") / run_id / "half-written.partial").mkdir()
    assert waiting_runs() == [run_id]
    assert steps(run_id) == []
    assert Outbox(run_id).send() == 1
    assert steps(run_id) == [1]
    assert waiting_runs() == []


def test_a_parcel_sent_twice_adds_no_metric(run_id: str, tmp_path: Path) -> None:
    outbox, folder = Outbox(run_id), Path("data/outbox") / run_id
    outbox.put(parcel(1, tmp_path))
    shutil.copytree(folder, tmp_path / "copy")
    assert outbox.send() == 1
    shutil.copytree(tmp_path / "copy", folder)
    assert outbox.send() == 1
    assert steps(run_id) == [1]


def test_two_processes_do_not_send_the_same(run_id: str) -> None:
    with Outbox(run_id).open(), pytest.raises(TrackingError, match="another process of this"):
        Outbox(run_id).send()


@pytest.mark.usefixtures("run_id")
def test_what_the_server_refuses_is_kept_and_said(tmp_path: Path) -> None:
    missing = "0" * 32
    outbox = Outbox(missing)
    with (
        pytest.raises(TrackingError, match=f"does not take what run {missing} has measured"),
        outbox.open(),
    ):
        outbox.put(parcel(1, tmp_path))
    assert waiting_runs() == [missing]


def test_a_picture_that_is_not_taken_keeps_its_epoch(run_id: str, tmp_path: Path) -> None:
    outbox = Outbox(run_id)
    outbox.put(Parcel(1, {"val_psnr": 31.0}, image=("crop", Image.new("L", (8, 8)))))
    in_the_way = tmp_path / "mlruns" / "0" / run_id / "artifacts" / "images"
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_text("a file where the folder of pictures has to be")
    with pytest.raises(TrackingError, match=f"what run {run_id} has measured"):
        outbox.send()
    assert waiting_runs() == [run_id]
    in_the_way.unlink()
    assert outbox.send() == 1
    assert len(MlflowClient().list_artifacts(run_id, "images")) == 2
    assert steps(run_id) == [1]


def test_an_epoch_that_cannot_be_kept_is_told_as_that(run_id: str, tmp_path: Path) -> None:
    Path("data").mkdir()
    Path("data/outbox").write_text("a file where a folder has to be")
    told = f"cannot write epoch 1 to {tmp_path}/data/outbox/{run_id}, where it"
    with pytest.raises(WriteError, match=told):
        Outbox(run_id).put(parcel(1, tmp_path))


def test_whoever_interrupts_the_waiting_does_not_wait_for_the_server(tmp_path: Path) -> None:
    """Ctrl-C once more, while what is left is being sent to a server that says nothing."""
    code = (
        "import signal\n"
        "from srcnn_mlflow.tracking.outbox import Outbox, Parcel\n"
        "signal.signal(signal.SIGALRM, signal.default_int_handler)\n"
        "box = Outbox('0' * 32)\n"
        "with box.open():\n"
        "    box.put(Parcel(1, {'val_psnr': 31.0}))\n"
        "    signal.alarm(1)\n"
        "    raise KeyboardInterrupt\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environment = {
            **os.environ,
            "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "SRCNN_HOME": "data",
            "MLFLOW_HTTP_REQUEST_TIMEOUT": "300",
        }
        command = (sys.executable, "-c", code)
        ended = COMMANDS.start(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE)
        _, errors = ended.communicate(timeout=60)
    assert errors.strip().endswith("KeyboardInterrupt")
    assert len(list((tmp_path / "data" / "outbox").glob("*/*-000001"))) == 1


class Gate(BaseHTTPRequestHandler):
    """Passes requests on to a server, or answers 500, or nothing at all.

    Where its mode is a status, it gives that for artifacts alone.
    """

    server_address_behind: ClassVar[str]
    mode: ClassVar[str]
    refused: ClassVar[int]

    def pass_on(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else None
        if self.mode != "open":
            type(self).refused += 1
        if self.mode == "silent":
            self.close_connection = True
            return
        if self.mode == "broken":
            self.send_error(500, "out of order")
            return
        if self.mode.isdigit() and "artifacts" in self.path:
            # A proxy has a page of its own for everything.
            self.send_error(int(self.mode))
            return
        headers = {"Content-Type": self.headers.get("Content-Type") or "application/json"}
        request = urllib.request.Request(
            f"{self.server_address_behind}{self.path}", body, headers, method=self.command
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status, content = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, content = error.code, error.read()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self.pass_on
        raise AttributeError(name)

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def gate_to(address: str) -> Iterator[str]:
    Gate.server_address_behind, Gate.mode, Gate.refused = address, "open", 0
    with answered_by(Gate) as gate:
        yield gate


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real tracking server."""
    with mlflow_server(tmp_path_factory.mktemp("tracking") / "server") as address:
        yield address


@pytest.fixture
def address(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A gate to it, which clients believe to be the server."""
    monkeypatch.chdir(tmp_path)
    # MLflow's own patience is minutes.
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
    with gate_to(server) as gate:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", gate)
        monkeypatch.setenv("SRCNN_HOME", "data")
        yield gate


def put_nothing(outbox: Outbox) -> None:
    with outbox.open():
        pass


def wait_for_refusals(number: int) -> None:
    deadline = time.monotonic() + 120
    while Gate.refused < number:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("address")
def test_a_server_that_is_away_for_a_while_misses_nothing(tmp_path: Path, said: list[str]) -> None:
    client = MlflowClient()
    run_id = client.create_run("0").info.run_id
    outbox = Outbox(run_id)
    with outbox.open():
        for step, mode in ((1, "silent"), (2, "broken"), (3, "silent")):
            Gate.mode, Gate.refused = mode, 0
            outbox.put(parcel(step, tmp_path))
            wait_for_refusals(5)
            Gate.mode = "open"
    assert steps(run_id) == [1, 2, 3]
    assert mlflow.artifacts.load_text(f"runs:/{run_id}/checkpoint/state-1.txt") == "3"

    Gate.mode = "silent"
    outbox.put(parcel(4, tmp_path))
    with pytest.raises(TrackingError, match=r"does not answer .* 1 epoch.* `srcnn-mlflow send`"):
        put_nothing(outbox)
    # What ends by an error keeps that error, and says what stays behind.
    outbox.put(parcel(5, tmp_path))
    with pytest.raises(KeyboardInterrupt), outbox.open():
        raise KeyboardInterrupt
    assert len(said) == 1
    assert "2 epoch(s)" in said[0]
    with pytest.raises(TrackingError, match="does not answer"):
        outbox.send()
    Gate.mode = "open"
    assert outbox.send() == 2
    assert steps(run_id) == [1, 2, 3, 4, 5]


def start_training(folder: Path, epochs: int, address: str) -> Forked:
    return start_command(
        *("train", "--dataset", "photos", "--architecture", "9-1-5", "--epochs", str(epochs)),
        cwd=folder,
        environment={
            **os.environ,
            "MLFLOW_TRACKING_URI": address,
            "SRCNN_HOME": "data",
            "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def wait_for_epoch(process: Forked, epoch: int) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(f"epoch {epoch} of "):
            return
    pytest.fail(f"the training ended before epoch {epoch}")


@contextmanager
def halted(process: Forked) -> Iterator[None]:
    """Let a process stand still, so that no test is a race with it."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def wait_for_parcels(folder: Path, number: int) -> None:
    deadline = time.monotonic() + 120
    while len(list((folder / "data" / "outbox").glob("*/*-*"))) < number:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.usefixtures("photo_folder")
def test_a_training_outlives_its_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with ExitStack() as standstill, mlflow_server(tmp_path / "server", port):
        outliving = start_training(tmp_path, 20, address)
        wait_for_epoch(outliving, 2)
        standstill.enter_context(halted(outliving))
    # Nobody answers now, and nobody has to wait for that.
    wait_for_parcels(tmp_path, 5)
    with ExitStack() as standstill:
        standstill.enter_context(halted(outliving))
        with mlflow_server(tmp_path / "server", port):
            standstill.close()
            output, _ = outliving.communicate(timeout=300)
            assert outliving.returncode == 0, output
            lost = start_training(tmp_path, 4, address)
            wait_for_epoch(lost, 1)
            standstill.enter_context(halted(lost))
    output, _ = lost.communicate(timeout=300)
    assert lost.returncode == 1
    last = output.strip().splitlines()[-1]
    assert re.match(r"error: http://\S+ does not answer .* epoch\(s\) of run \w+ are kept", last)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setenv("SRCNN_HOME", "data")
    with mlflow_server(tmp_path / "server", port):
        sent = run_here("send", cwd=tmp_path)
        assert sent.returncode == 0, sent.stderr
        assert "registered srcnn-x2 version 2 as challenger" in sent.stdout
        runs = runs_of(MlflowClient())
        assert {run.info.status for run in runs} == {"FINISHED"}
        by_epochs = {run.data.params["epochs"]: run.info.run_id for run in runs}
        for epochs, run_id in by_epochs.items():
            assert steps(run_id) == list(range(1, int(epochs) + 1))
            files = {file.path for file in MlflowClient().list_artifacts(run_id, "checkpoint")}
            assert len(files) == 3
        assert "nothing waits to be sent" in run_here("send", cwd=tmp_path).stdout


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (413, r"does not take .* \(answers 413 \(Request Entity Too Large\)\); it is kept in"),
        (401, r"does not take .* \(answers 401 \(Unauthorized\)\); it is kept in"),
        (502, r"does not answer \(answers 502 \(Bad Gateway\)\); 1 epoch\(s\) of run"),
    ],
)
def test_a_proxy_that_refuses_a_file_is_told_without_its_page(
    status: int, told: str, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = Outbox(MlflowClient().create_run("0").info.run_id)
    outbox.put(parcel(1, tmp_path))
    monkeypatch.setattr(Gate, "mode", str(status))
    with pytest.raises(TrackingError, match=f"^{address} {told}") as error:
        outbox.send()
    assert "<" not in str(error.value)
    assert "\n" not in str(error.value)
    monkeypatch.setattr(Gate, "mode", "open")
    assert outbox.send() == 1
