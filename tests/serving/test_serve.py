"""`serve`: MLflow's answers, pictures by themselves, other versions in time, no work for nobody."""

import base64
import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from PIL import Image

from tests.conftest import ROOT, free_port, put_store, textured_pixels
from tests.served import JSON, champion_server
from tests.versions import GOOD, WEAK, make_champion, register_all

pytestmark = pytest.mark.slow

PICTURE = textured_pixels(40, 50, 3)
SECONDS = 15


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def rows(*files: bytes) -> bytes:
    data = [[base64.b64encode(file).decode()] for file in files]
    return json.dumps({"dataframe_split": {"columns": ["image"], "data": data}}).encode()


def post(address: str, body: bytes, **headers: str) -> tuple[int, dict[str, str], bytes]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(address, body, named)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, titled(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, titled(error.headers), error.read()


def titled(headers: Message) -> dict[str, str]:
    return {name.title(): value for name, value in headers.items()}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, folder))
        register_all(folder)
        make_champion(GOOD)
        yield folder


@pytest.fixture(scope="module")
def service(store: Path) -> Iterator[str]:
    port = str(free_port())
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "SRCNN_MAX_SECONDS": str(SECONDS),
        "SRCNN_MAX_REQUEST_MEGABYTES": "4",
        "SRCNN_MAX_REQUESTS": "12",
    }
    command = (sys.executable, "-m", "srcnn_mlflow", "serve", "--scale", "2+3", "--port", port)
    process = subprocess.Popen(command, cwd=store, env=environment, stdout=subprocess.PIPE)
    assert process.stdout is not None
    while b"serving at" not in (line := process.stdout.readline()):
        assert line
    hearing = threading.Thread(target=process.stdout.read)
    hearing.start()
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    assert process.wait(60) == 0
    hearing.join()


def pixels_of(body: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(body)))


def test_answers_are_those_of_mlflows_scoring_server(store: Path, service: str) -> None:
    requests: dict[str, tuple[bytes, str | None]] = {
        "two pictures": (rows(png(PICTURE), png(PICTURE[..., 0])), JSON),
        "a table": (b"image\n" + base64.b64encode(png(PICTURE)) + b"\n", "text/csv"),
        "no picture": (rows(b"nothing"), JSON),
        "no JSON": (b"{", JSON),
        "params": (json.dumps({**json.loads(rows(b"")), "params": {"a": 1}}).encode(), JSON),
        "another type": (b"x", "text/plain"),
    }
    with champion_server(store) as ask:
        for name, (body, content_type) in requests.items():
            expected = ask(body, content_type)
            found = post(f"{service}/invocations", body, Content_Type=content_type or JSON)
            assert (found[0], found[2].decode()) == expected, name
            assert found[1]["X-Model-Version"] == f"srcnn-x2/{GOOD}"
    for place, expected_text in (("ping", "\n"), ("health", "\n"), ("version", None)):
        with urllib.request.urlopen(f"{service}/{place}") as answer:
            text = answer.read().decode()
            assert answer.status == 200
            assert expected_text in (None, text)


def test_a_picture_is_answered_by_a_picture_of_the_kind_that_is_accepted(service: str) -> None:
    status, headers, body = post(f"{service}/upscale", png(PICTURE))
    assert (status, headers["Content-Type"]) == (200, "image/png")
    _, _, answer = post(f"{service}/invocations", rows(png(PICTURE)), Content_Type=JSON)
    (prediction,) = json.loads(answer)["predictions"]
    assert body == base64.b64decode(prediction["image"])
    for kind in ("jpeg", "webp"):
        status, headers, lossy = post(f"{service}/upscale", png(PICTURE), Accept=f"image/{kind}")
        assert (status, headers["Content-Type"]) == (200, f"image/{kind}")
        far = pixels_of(lossy).astype(float) - pixels_of(body)
        assert np.sqrt((far**2).mean()) < 12
    assert post(f"{service}/upscale", png(PICTURE), Accept="text/html")[0] == 406


def test_a_scale_is_named_by_the_address_or_by_params(service: str) -> None:
    for address in (f"{service}/upscale?scale=3",):
        status, headers, body = post(address, png(PICTURE))
        assert status == 200, body
        assert pixels_of(body).shape == (120, 150, 3)
        # It has no champion.
        assert headers["X-Model-Version"] == "shipped-9-5-5-x3"
    request = {**json.loads(rows(png(PICTURE))), "params": {"scale": 3}}
    _, _, answer = post(f"{service}/invocations", json.dumps(request).encode(), Content_Type=JSON)
    assert json.loads(answer)["predictions"][0]["width"] == 150
    status, _, answer = post(f"{service}/upscale?scale=4", png(PICTURE))
    assert status == 400
    assert json.loads(answer)["message"] == "scale '4' is not served here; give 2 and 3"


def test_promotions_and_roll_backs_under_load_fail_and_mix_nothing(service: str) -> None:
    expected: dict[str, bytes] = {}
    answers: list[tuple[int, str, bytes]] = []
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            status, headers, body = post(f"{service}/upscale", png(PICTURE))
            answers.append((status, headers.get("X-Model-Version", ""), body))

    clients = [threading.Thread(target=load) for _ in range(3)]
    for client in clients:
        client.start()
    try:
        for version in (WEAK, GOOD):
            make_champion(version)
            label, begun = f"srcnn-x2/{version}", time.monotonic()
            while answers[-1][1] != label if answers else True:
                assert time.monotonic() - begun < 90
                time.sleep(0.1)
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert {status for status, _, _ in answers} == {200}
    for _, label, body in answers:
        assert expected.setdefault(label, body) == body
    assert sorted(expected) == [f"srcnn-x2/{WEAK}", f"srcnn-x2/{GOOD}"]
    assert expected[f"srcnn-x2/{WEAK}"] != expected[f"srcnn-x2/{GOOD}"]


def test_a_version_that_cannot_be_loaded_does_not_take_over(service: str) -> None:
    broken = MlflowClient().get_model_version_download_uri("srcnn-x2", "2")
    (network,) = Path(broken.removeprefix("file://")).glob("**/network.onnx")
    network.write_bytes(b"damaged")
    make_champion(2)
    time.sleep(8)
    assert post(f"{service}/upscale", png(PICTURE))[1]["X-Model-Version"] == f"srcnn-x2/{GOOD}"
    make_champion(GOOD)


def large(side: int) -> bytes:
    return png(textured_pixels(side, side, 1))


def test_who_leaves_takes_no_time_from_others(service: str) -> None:
    body = rows(*[large(480)] * 6)
    assert len(body) > 300_000
    host, port = service.removeprefix("http://").split(":")
    for _ in range(10):
        gone = http.client.HTTPConnection(host, int(port))
        gone.request("POST", "/invocations", body, {"Content-Type": JSON})
        time.sleep(0.1)
        gone.close()
    begun = time.monotonic()
    status, _, _ = post(f"{service}/upscale", png(PICTURE))
    assert status == 200
    assert time.monotonic() - begun < SECONDS


HOSTILE: dict[str, Callable[[], bytes]] = {
    "half a body": lambda: b"POST /upscale HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\nabc",
    "half a header": lambda: b"POST /upscale HTTP/1.1\r\nHo",
    "no request": lambda: b"\x00\xff\r\n\r\n",
    "a wrong length": lambda: b"POST /upscale HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "too much": lambda: b"POST /upscale HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n",
}


def test_hostile_requests_are_refused_by_their_deadline(service: str) -> None:
    host, port = service.removeprefix("http://").split(":")
    open_ones = {name: socket.create_connection((host, int(port)), 60) for name in HOSTILE}
    for name, connection in open_ones.items():
        connection.sendall(HOSTILE[name]())
    begun = time.monotonic()
    assert post(f"{service}/upscale", png(PICTURE))[0] == 200
    answered = {name: one.recv(12)[9:] for name, one in open_ones.items()}
    assert time.monotonic() - begun < max(SECONDS, 20) + 5
    assert answered == {
        "half a body": b"408",
        "half a header": b"",
        "no request": b"400",
        "a wrong length": b"400",
        "too much": b"413",
    }


def test_more_than_it_takes_on_is_refused_at_once_and_the_deadline_stops_work(
    service: str,
) -> None:
    answers: list[tuple[int, dict[str, str], bytes]] = []
    body = rows(*[large(700)] * 2)

    def ask() -> None:
        answers.append(post(f"{service}/invocations?scale=3", body, Content_Type=JSON))

    clients = [threading.Thread(target=ask) for _ in range(16)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    statuses = [status for status, _, _ in answers]
    assert set(statuses) <= {200, 429, 504}
    assert statuses.count(429) >= 1
    assert all(headers["Retry-After"] == "5" for status, headers, _ in answers if status == 429)
    begun = time.monotonic()
    assert post(f"{service}/upscale?scale=3", png(PICTURE))[0] == 200
    assert time.monotonic() - begun < SECONDS


def test_it_ends_when_it_is_told_to_and_says_what_it_cannot_do(store: Path) -> None:
    port = str(free_port())
    command = [sys.executable, "-m", "srcnn_mlflow", "serve", "--port", port]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=store, env=environment, stdout=subprocess.PIPE)
    assert process.stdout is not None
    while b"serving at" not in (line := process.stdout.readline()):
        assert line
    time.sleep(1)
    second = subprocess.run(command, cwd=store, env=environment, capture_output=True, check=False)
    assert second.returncode == 1
    assert b"error: cannot listen at 127.0.0.1 port" in second.stderr
    answers: list[int] = []
    body = large(500)
    client = threading.Thread(
        target=lambda: answers.append(post(f"http://127.0.0.1:{port}/upscale", body)[0])
    )
    client.start()
    time.sleep(0.7)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    client.join()
    assert answers == [200]
    told = json.loads(process.stdout.read().splitlines()[-1])
    assert 0 < told.pop("seconds") < 30
    assert told == {"place": "/upscale", "status": 200, "version": f"srcnn-x2/{GOOD}"}
