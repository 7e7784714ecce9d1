"""`serve`: MLflow's answers, pictures by themselves, other versions in time, no work for nobody."""

import base64
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import numpy as np
import psutil
import pytest
from mlflow import MlflowClient

from srcnn_mlflow.machine.processors import available_cores
from srcnn_mlflow.serving.service import MOST_FOR_SMALL_ONES, SECONDS_BETWEEN_LOOKS
from tests.conftest import ROOT, free_port, mlflow_server
from tests.machine.in_its_own_process import only_linux
from tests.served import JSON, champion_server
from tests.serving.asking import (
    PICTURE,
    get,
    large,
    number,
    pixels_of,
    png,
    post,
    registry_of_versions,
    rows,
    serving,
)
from tests.serving.hostile import ALLOWED, NOTHING, deeds, do, some
from tests.versions import GOOD, WEAK, make_champion

pytestmark = pytest.mark.slow

SECONDS = 15
# What some of the hostile are told, the first time at least.
EXPECTED = {
    "400": ("two lengths", "no request", "a form without end"),
    "408": ("half a body", "a byte of the body now and then"),
    "413": ("too much",),
    NOTHING: ("nothing", "half a header"),
}
# With larger numbers, an ordeal: see docs/reliability.md.
SWAPS = int(os.environ.get("SRCNN_SWAPS", "2"))
HOSTILE = int(os.environ.get("SRCNN_HOSTILE", "40"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Path]:
    with registry_of_versions(tmp_path_factory.mktemp("served"), empty_store) as folder:
        yield folder


@pytest.fixture(scope="module")
def service(store: Path) -> Iterator[str]:
    limits = {
        "SRCNN_MAX_SECONDS": str(SECONDS),
        "SRCNN_MAX_REQUEST_MEGABYTES": "4",
        "SRCNN_MAX_REQUESTS": "12",
    }
    with serving(store, "--scale", "2+3", **limits) as address:
        yield address


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


@pytest.mark.timeout(600 + 60 * SWAPS)
def test_promotions_and_roll_backs_under_load_fail_and_mix_nothing(service: str) -> None:
    expected: dict[str, bytes] = {}
    answers: list[tuple[int, str, bytes]] = []
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            status, headers, body = post(f"{service}/upscale", png(PICTURE))
            answers.append((status, headers.get("X-Model-Version", ""), body))
            time.sleep(0.05)

    clients = [threading.Thread(target=load) for _ in range(3)]
    for client in clients:
        client.start()
    try:
        for swap in range(SWAPS):
            version = GOOD if swap % 2 else WEAK
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
    print(f"{SWAPS} swaps, {len(answers)} answers, none failed, each with its version's pixels")


def test_a_version_that_cannot_be_loaded_takes_over_when_it_is_mended(service: str) -> None:
    broken = MlflowClient().get_model_version_download_uri("srcnn-x2", "2")
    (network,) = Path(broken.removeprefix("file://")).glob("**/network.onnx")
    whole = network.read_bytes()
    network.write_bytes(b"damaged")
    make_champion(2)
    while number(service, 'srcnn_model_swaps_refused_total{scale="2"}') < 1:
        time.sleep(0.2)
    assert post(f"{service}/upscale", png(PICTURE))[1]["X-Model-Version"] == f"srcnn-x2/{GOOD}"
    network.write_bytes(whole)
    while 'srcnn_model_info{scale="2",version="srcnn-x2/2"} 1.0' not in get(f"{service}/metrics"):
        time.sleep(0.5)
    make_champion(GOOD)


def test_what_was_asked_and_made_is_counted(service: str) -> None:
    counts = {
        'srcnn_requests_total{code="200",place="/upscale"}': 1,
        'srcnn_requests_total{code="400",place="/upscale"}': 1,
        'srcnn_request_seconds_count{place="/upscale"}': 2,
        'srcnn_output_pixels_total{scale="2"}': 4 * PICTURE.shape[0] * PICTURE.shape[1],
        'srcnn_output_pixels_total{scale="3"}': 0,
        'srcnn_requests_waiting{scale="2"}': 0,
    }
    before = {name: number(service, name) for name in counts}
    assert post(f"{service}/upscale", png(PICTURE))[0] == 200
    assert post(f"{service}/upscale", b"no picture")[0] == 400
    assert {name: number(service, name) - before[name] for name in counts} == counts
    for takes in ("all", "small"):
        memory = number(service, f'srcnn_worker_resident_bytes{{scale="2",takes="{takes}"}}')
        assert 50e6 < memory < 2e9
    assert number(service, "process_resident_memory_bytes") > 50e6


def model_processes() -> list[psutil.Process]:
    """Those of all services that the tests of this file have started."""
    return [
        process
        for process in psutil.Process().children(recursive=True)
        if any(part.endswith("serve_process.py") for part in process.cmdline())
    ]


@pytest.mark.skipif(not psutil.LINUX, reason="priorities are set on Linux only")
@pytest.mark.usefixtures("service")
def test_what_works_on_large_pictures_lets_small_ones_go_first() -> None:
    own = psutil.Process().nice()
    found = [process.nice() - own for process in model_processes()]
    small = min(MOST_FOR_SMALL_ONES, available_cores())
    # Of either scale.
    assert sorted(found) == sorted(2 * [*small * [0], min(15, 19 - own)])


@only_linux
def test_small_requests_keep_to_cores_of_their_own_and_one_alone_has_all(service: str) -> None:
    cores = psutil.Process().cpu_affinity()
    assert cores is not None
    small = min(MOST_FOR_SMALL_ONES, len(cores))
    places = [tuple(process.cpu_affinity() or ()) for process in model_processes()]
    shares = Counter(place for place in places if len(place) < len(cores) or small == 1)
    # Of either scale; where there is one core, what takes all requests has the same.
    assert set(shares.values()) == {2 if small > 1 else 4}
    assert sorted(core for share in shares for core in share) == sorted(cores)
    before = {process: sum(process.cpu_times()[:2]) for process in model_processes()}
    for _ in range(5):
        assert post(f"{service}/upscale", png(PICTURE))[0] == 200
    worked = [process for process, had in before.items() if sum(process.cpu_times()[:2]) > had]
    assert {tuple(process.cpu_affinity() or ()) for process in worked} == {tuple(cores)}


def form(*parts: tuple[str, bytes]) -> bytes:
    """Parts of a form, each with what stands behind `form-data;`."""
    heads = ("--edge\r\nContent-Disposition: form-data; " + about for about, _ in parts)
    bodies = (f"{head}\r\n\r\n".encode() + part[1] for head, part in zip(heads, parts, strict=True))
    return b"\r\n".join([*bodies, b"--edge--\r\n"])


def test_a_form_is_a_picture_and_its_scale(service: str) -> None:
    kind = {"Content_Type": "multipart/form-data; boundary=edge"}
    picture = ('name="picture"; filename="a b.png"', png(PICTURE))
    plain = post(f"{service}/upscale", png(PICTURE))
    for body, address in (
        (form(picture), f"{service}/upscale"),
        (form(('name="scale"', b"2"), picture), f"{service}/upscale"),
        (form(('name="scale"', b"3"), picture), f"{service}/upscale?scale=2"),
    ):
        status, _, answer = post(address, body, **kind)
        assert (status, answer) == (200, plain[2])
    assert pixels_of(
        post(f"{service}/upscale", form(picture, ('name="scale"', b"3")), **kind)[2]
    ).shape == (120, 150, 3)
    for body, reason in (
        (form(('name="scale"', b"2")), "the form has no file; send one"),
        (form(picture, picture), "the form cannot be used: Too many files"),
        (form(picture)[:60], "the form has no file"),
        (form(('name="picture"; filename="a.png"', b"")), "the form's file is empty; send a"),
        (b"nothing", "the form cannot be used"),
        (form(('name="scale"', b"4"), picture), "scale '4' is not served here"),
    ):
        status, _, answer = post(f"{service}/upscale", body, **kind)
        assert (status, json.loads(answer)["message"][: len(reason)]) == (400, reason)


def test_a_request_without_a_body_is_told_what_to_send(service: str) -> None:
    for kind in ("image/png", "application/x-www-form-urlencoded", "multipart/form-data"):
        status, _, answer = post(f"{service}/upscale", b"", Content_Type=kind)
        assert status == 400
        assert json.loads(answer)["message"] == (
            "the request's body is empty; send a picture file, as curl --data-binary @photo.jpg"
        )


def test_pictures_of_a_request_are_not_too_large_together(service: str) -> None:
    small, flat = png(PICTURE), png(np.zeros((1000, 1000), np.uint8))
    status, _, answer = post(f"{service}/invocations", rows(small, *[flat] * 4), Content_Type=JSON)
    assert status == 400
    assert json.loads(answer)["message"] == (
        "the pictures of the request have 4.0 megapixels together, and 4 are allowed; send fewer "
        "at once"
    )


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


def used_memory(service: str) -> float:
    """Of the service and all its processes, in MB."""
    names = ("srcnn_worker_resident_bytes{", "process_resident_memory_bytes")
    return sum(number(service, name) for name in names) / 1e6


def seconds_of_an_honest_request(service: str) -> float:
    """The median of ten."""
    times = []
    for _ in range(10):
        begun = time.monotonic()
        assert post(f"{service}/upscale", png(PICTURE))[0] == 200
        times.append(time.monotonic() - begun)
    return median(times)


@pytest.mark.timeout(600 + 5 * HOSTILE)
def test_hostile_requests_end_in_time_and_leave_nothing_behind(service: str) -> None:
    host, port = service.removeprefix("http://").split(":")
    # Buffers of the model, and what is imported when it is needed, stay.
    for place in ("upscale?scale=2", "upscale?scale=3"):
        assert post(f"{service}/{place}", large(400))[0] == 200
    seconds = seconds_of_an_honest_request(service)
    before = used_memory(service)
    with ThreadPoolExecutor(30) as clients:
        doings = [
            clients.submit(do, name, deed, host, int(port)) for name, deed in some(HOSTILE, deeds())
        ]
        ended = [doing.result() for doing in doings]
    assert [one for one in ended if one.told not in ALLOWED] == []
    # Headers have 20 seconds; the machine may have others to do.
    slow = max(SECONDS, 20) + 15
    assert [one for one in ended if one.seconds > slow and not one.name.startswith("/")] == []
    told = {(one.name, one.told) for one in ended}
    for status, names in EXPECTED.items():
        assert {(name, status) for name in names} <= told
    again = seconds_of_an_honest_request(service)
    assert again < 1.5 * seconds + 0.05
    after = used_memory(service)
    assert after < 1.25 * before
    print(
        f"{HOSTILE} hostile requests: {dict(Counter(one.told for one in ended))}; the slowest took "
        f"{max(one.seconds for one in ended):.0f} s; memory {before:.0f} MB before, {after:.0f} MB "
        f"after; an honest request {1000 * seconds:.0f} ms before, {1000 * again:.0f} ms after"
    )


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


@pytest.mark.exhaustive
def test_it_ends_soon_while_the_tracking_server_is_away(tmp_path: Path) -> None:
    with mlflow_server(tmp_path / "server") as address, ExitStack() as stack:
        stack.enter_context(serving(tmp_path, "--scale", "2", MLFLOW_TRACKING_URI=address))
        service = stack.pop_all()
    # By now it asks a server that is gone.
    time.sleep(SECONDS_BETWEEN_LOOKS + 2)
    start = time.monotonic()
    service.close()
    assert time.monotonic() - start < 15


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
