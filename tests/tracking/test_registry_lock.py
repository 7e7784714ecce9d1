"""Who may move an alias: one process at a time, of one machine or of two."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from srcnn_mlflow.machine.errors import TrackingError
from srcnn_mlflow.machine.processes import ProcessSign
from srcnn_mlflow.tracking import registry_lock
from srcnn_mlflow.tracking.registry_lock import alone_in_registry
from tests.conftest import COMMANDS, mlflow_server, put_store

NAME = "srcnn-x2"
ELSEWHERE = replace(ProcessSign.own(), host="another machine")

# Reads a number, waits, and writes it back raised by one, again and again.
COUNT = """
import socket, sys, time
socket.gethostname = lambda: sys.argv[1]
from mlflow import MlflowClient
from srcnn_mlflow.tracking import registry_lock
registry_lock.SECONDS_BETWEEN_LOOKS = 0.02
client = MlflowClient()
for _ in range(int(sys.argv[2])):
    with registry_lock.alone_in_registry("srcnn-x2"):
        count = int(client.get_registered_model("srcnn-x2").tags["count"])
        time.sleep(0.02)
        client.set_registered_model_tag("srcnn-x2", "count", str(count + 1))
"""


@pytest.fixture
def client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path
) -> Iterator[MlflowClient]:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    monkeypatch.setattr(registry_lock, "SECONDS_BETWEEN_LOOKS", 0.01)
    client = MlflowClient()
    client.create_registered_model(NAME)
    yield client
    assert not client.get_registered_model(NAME).tags


def put_ticket(
    client: MlflowClient, number: int, sign: ProcessSign, key: str = "promotion-queue-0"
) -> None:
    text = json.dumps({"number": number, **sign.tags()})
    client.set_registered_model_tag(NAME, key, text)


def test_whoever_is_alone_goes_at_once(client: MlflowClient, said: list[str]) -> None:
    with alone_in_registry(NAME):
        (tag,) = client.get_registered_model(NAME).tags.values()
        assert json.loads(tag)["number"] == 1
    assert said == []


@pytest.mark.parametrize("text", ["", "mine", "1", "{}", '{"number": "x"}', "[]"])
def test_a_tag_that_a_person_has_written_is_no_place(client: MlflowClient, text: str) -> None:
    client.set_registered_model_tag(NAME, "promotion-queue-x", text)
    with alone_in_registry(NAME):
        client.delete_registered_model_tag(NAME, "promotion-queue-x")


def test_a_place_is_given_back_after_an_error(client: MlflowClient) -> None:
    with pytest.raises(KeyError), alone_in_registry(NAME):
        raise KeyError
    assert not client.get_registered_model(NAME).tags


def test_threads_go_one_after_another(client: MlflowClient) -> None:
    inside: list[int] = []
    together: list[int] = []

    def enter(number: int) -> None:
        with alone_in_registry(NAME):
            inside.append(number)
            time.sleep(0.02)
            together.append(len(inside))
            inside.remove(number)

    threads = [threading.Thread(target=enter, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == 6 * [1]
    assert not client.get_registered_model(NAME).tags


@pytest.mark.parametrize("number", [0, 1])
def test_a_dead_process_of_this_machine_is_passed_over_at_once(
    client: MlflowClient, number: int, said: list[str]
) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    sign = replace(ProcessSign.own(), number=process.pid)
    process.kill()
    process.wait()
    put_ticket(client, number, sign)
    with alone_in_registry(NAME):
        assert said == [f"process {process.pid} on {sign.host} is taken for lost"]


@pytest.mark.parametrize("number", [0, 1])
def test_one_of_another_machine_is_waited_for_until_nothing_moves(
    client: MlflowClient, number: int, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_lock, "PATIENCE", 20)
    put_ticket(client, number, ELSEWHERE)
    start = time.monotonic()
    with alone_in_registry(NAME):
        assert time.monotonic() - start > 20 * 0.01
    owner = f"process {ELSEWHERE.number} on another machine"
    assert said == [
        f"waiting for {owner}, which moves an alias of {NAME}",
        f"{owner} is taken for lost",
    ]


def test_whoever_comes_later_is_not_waited_for(client: MlflowClient) -> None:
    put_ticket(client, 1, ELSEWHERE)
    entered = threading.Event()

    def enter() -> None:
        with alone_in_registry(NAME):
            entered.set()

    thread = threading.Thread(target=enter)
    thread.start()
    while not any(
        json.loads(tag)["number"] == 2 for tag in client.get_registered_model(NAME).tags.values()
    ):
        time.sleep(0.01)
    time.sleep(0.2)
    # Still choosing, with a key that comes first.
    put_ticket(client, 0, ELSEWHERE, "promotion-queue-00")
    assert not entered.is_set()
    client.delete_registered_model_tag(NAME, "promotion-queue-0")
    thread.join(timeout=10)
    assert entered.is_set()
    client.delete_registered_model_tag(NAME, "promotion-queue-00")


def test_whoever_was_taken_for_lost_does_not_go_on(client: MlflowClient) -> None:
    put_ticket(client, 1, ELSEWHERE)
    failed: list[str] = []

    def enter() -> None:
        try:
            with alone_in_registry(NAME):
                pytest.fail("it went on")
        except TrackingError as error:
            failed.append(str(error))

    thread = threading.Thread(target=enter)
    thread.start()
    while len(tags := client.get_registered_model(NAME).tags) < 2:
        time.sleep(0.01)
    time.sleep(0.2)
    for key in tags:
        if key != "promotion-queue-0":
            client.delete_registered_model_tag(NAME, key)
    thread.join(timeout=10)
    assert "taken it for lost, and may have moved an alias of srcnn-x2; start again" in failed[0]
    client.delete_registered_model_tag(NAME, "promotion-queue-0")


@pytest.mark.exhaustive
def test_processes_of_two_machines_lose_nothing_through_one_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mlflow_server(tmp_path / "server") as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        client = MlflowClient()
        client.create_registered_model(NAME)
        client.set_registered_model_tag(NAME, "count", "0")
        processes = []
        for number in range(4):
            temporary = tmp_path / f"temporary {number}"
            temporary.mkdir()
            environment = {**os.environ, "TMPDIR": str(temporary)}
            command = [sys.executable, "-c", COUNT, f"machine {number % 2}", "10"]
            processes.append(COMMANDS.start(command, env=environment))
        assert [process.wait() for process in processes] == 4 * [0]
        assert client.get_registered_model(NAME).tags == {"count": "40"}
