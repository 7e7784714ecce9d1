"""A served model under load: latency, throughput by concurrency, and memory over time.

    python benchmarks/serve.py
    python benchmarks/serve.py --network path/to/network.onnx

Starts `mlflow models serve --env-manager local` on a model that is logged for the occasion (the
shipped 9-1-5 weights, or an ONNX file that `export` wrote), asks it with real HTTP clients, a
tenth of whose requests are malformed in twenty ways, and holds every answer against what the
package computes itself. Memory is the resident set of the server and its workers; it needs Linux.
"""

import base64
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import click
import mlflow
import numpy as np
from memory import resident_bytes
from PIL import Image

from srcnn_mlflow.network.shipped import shipped_network
from srcnn_mlflow.network.upscaler import Upscaler
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.tracking import registry

SIDE, REQUESTS, CLIENTS, FIRST = 256, 300, 8, 50
SHIPPED = shipped_network(2, "shipped-9-1-5")
JSON = "application/json"


@dataclass(frozen=True)
class Answer:
    """What came back: status, body, and how long it took in seconds."""

    status: int
    body: bytes
    seconds: float


def encode(image: Image.Image, kind: str = "PNG") -> str:
    """The base64 of a picture file."""
    file = io.BytesIO()
    image.save(file, kind)
    return base64.b64encode(file.getvalue()).decode()


def request_body(*rows: object) -> bytes:
    """A request in the form that the interface has."""
    return json.dumps(
        {"dataframe_split": {"columns": ["image"], "data": [[row] for row in rows]}}
    ).encode()


def malformed(picture: Image.Image) -> dict[str, tuple[bytes, str]]:
    """Twenty wrong requests by name: body and content type."""
    good = encode(picture)
    rows: dict[str, object] = {
        "empty text": "",
        "words": "hello world",
        "base64 of words": base64.b64encode(b"hello").decode(),
        "truncated picture": good[: len(good) // 2],
        "number": 7,
        "null": None,
        "list": [1, 2, 3],
        "object": {"image": good},
        "not ASCII": "\u00e9" * 40,
        "float picture": encode(picture.convert("F"), "TIFF"),
        "icon": encode(picture.resize((32, 32)), "ICO"),
        "bomb": encode(Image.new("1", (9000, 9000))),
        "too long": "A" * 30_000_000,
        "path": "/etc/passwd",
        "address": "http://127.0.0.1/",
    }
    bodies = {name: (request_body(row), JSON) for name, row in rows.items()}
    bodies["too many images"] = (request_body(*[encode(Image.new("L", (4, 4)))] * 17), JSON)
    bodies["no JSON"] = (b"{", JSON)
    bodies["no known form"] = (b'{"pictures": []}', JSON)
    wrong_column = {"dataframe_split": {"columns": ["photo"], "data": [[good]]}}
    bodies["wrong column"] = (json.dumps(wrong_column).encode(), JSON)
    bodies["wrong content type"] = (request_body(good), "text/plain")
    return bodies


def ask(address: str, body: bytes, kind: str = JSON) -> Answer:
    """Send a request, and wait for its answer."""
    request = urllib.request.Request(f"{address}/invocations", body, {"Content-Type": kind})
    start = time.perf_counter()
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return Answer(answer.status, answer.read(), time.perf_counter() - start)
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.read(), time.perf_counter() - start)


@contextmanager
def server(model: str, folder: Path) -> Iterator[tuple[str, int]]:
    """Serve a model; gives the address and the server's process id."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", model, "-p", str(port)]
    # The server looks for its own programs on the path.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    start = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--env-manager", "local"],
        cwd=folder,
        env={**os.environ, "PATH": path},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        while True:
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                break
            except OSError:
                if process.poll() is not None or time.perf_counter() - start > 120:
                    raise click.ClickException("the server did not start") from None
                time.sleep(0.1)
        click.echo(f"server ready after {time.perf_counter() - start:.1f} s")
        yield address, process.pid
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


@click.command()
@click.option("--network", type=click.Path(path_type=Path), default=SHIPPED, help="An ONNX file.")
def main(network: Path) -> None:
    """Measure a server from its start to its memory after 300 requests."""
    photo = Image.open(load_dataset("samples").photos("test")[0].path).convert("RGB")
    picture = photo.crop((100, 0, 100 + SIDE, SIDE))
    good = request_body(encode(picture))
    expected = np.asarray(Upscaler(network).upscale_image(picture))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        os.chdir(folder)
        with mlflow.start_run():
            registry.register(2, network, {}, alias=None)
        model = str(registry.find_model("1", 2).folder)
        with server(model, folder) as (address, process):
            _measure_latency(address, good)
            _measure_concurrency(address, good)
            _measure_load(address, process, picture, good, expected)


def _measure_latency(address: str, good: bytes) -> None:
    times = [ask(address, good).seconds for _ in range(25)][5:]
    click.echo(
        f"one client, {SIDE}x{SIDE} colour: median {1000 * median(times):.0f} ms, slowest of "
        f"{len(times)} {1000 * max(times):.0f} ms"
    )


def _measure_concurrency(address: str, good: bytes) -> None:
    for clients in (1, 2, 4, 8):
        start = time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            times = [a.seconds for a in pool.map(lambda _: ask(address, good), range(40))]
        rate = len(times) / (time.perf_counter() - start)
        click.echo(
            f"{clients} client(s): {rate:.1f} requests a second, median {1000 * median(times):.0f} "
            f"ms, slowest {1000 * max(times):.0f} ms"
        )


def _measure_load(
    address: str, process: int, picture: Image.Image, good: bytes, expected: np.ndarray
) -> None:
    wrong = malformed(picture)
    names = [list(wrong)[n // 10 % len(wrong)] if n % 10 == 5 else "" for n in range(REQUESTS)]
    memory = 0

    def send(number: int) -> Answer:
        name = names[number]
        return ask(address, *wrong[name]) if name else ask(address, good)

    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(send, range(FIRST)))
        memory = resident_bytes(process)
        answers += list(pool.map(send, range(FIRST, REQUESTS)))
    after = resident_bytes(process)
    right, statuses = 0, {}
    for name, answer in zip(names, answers, strict=True):
        if name:
            statuses[name] = answer.status
        else:
            prediction = json.loads(answer.body)["predictions"][0]
            served = Image.open(io.BytesIO(base64.b64decode(prediction["image"])))
            right += np.array_equal(np.asarray(served), expected)
    click.echo(
        f"{REQUESTS} requests from {CLIENTS} clients: {right} of {names.count('')} good ones "
        "answered right"
    )
    for name in wrong:
        answer = ask(address, *wrong[name])
        statuses[name] = answer.status
    refused = [name for name, status in statuses.items() if 400 <= status < 500]
    others = {name: status for name, status in statuses.items() if name not in refused}
    click.echo(
        f"{len(refused)} of {len(statuses)} kinds of bad requests got a 4xx; others {others}"
    )
    click.echo(
        f"resident memory {memory / 1e6:.0f} MB after {FIRST} requests, {after / 1e6:.0f} MB after "
        f"{REQUESTS} ({100 * (after / memory - 1):+.1f} %)"
    )


if __name__ == "__main__":
    main()
