"""`serve` beside `mlflow models serve` on the same model: times, loads, memory.

    python benchmarks/serve.py
    python benchmarks/serve.py --network path/to/network.onnx
    python benchmarks/serve.py --minutes 10

Both serve a model that is registered for the occasion (the shipped 9-1-5 weights, or an ONNX file
that `export` wrote) to real HTTP clients, and every answer is held against what the package
computes itself. With minutes, `serve` is then asked for so long with a promotion a minute. Memory
is the resident set of a server and all its processes; it needs Linux.
"""

import os
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import click
import mlflow
import numpy as np
import psutil
import torch
from arithmetic import matrix_product_rate
from memory import resident_bytes
from PIL import Image
from scoring_requests import Answer, ask, encode, malformed, request_body
from scoring_servers import (
    Server,
    following_server,
    make_champion,
    mlflows_server,
    register_two,
)

from srcnn_mlflow.network.shipped import shipped_network
from srcnn_mlflow.network.upscaler import Upscaler
from srcnn_mlflow.pictures.datasets import load_dataset

SIDE, LARGE = 256, (1200, 900)
REQUESTS, CLIENTS, FIRST = 300, 8, 50
SHIPPED = shipped_network(2, "shipped-9-1-5")


@click.command()
@click.option("--network", type=click.Path(path_type=Path), default=SHIPPED, help="An ONNX file.")
@click.option("--minutes", default=0, show_default=True, help="Of load with a promotion a minute.")
def main(network: Path, minutes: int) -> None:
    """Measure both servers in turn, and then how `serve` takes promotions under load."""
    photo = Image.open(load_dataset("samples").photos("test")[0].path).convert("RGB")
    picture = photo.crop((100, 0, 100 + SIDE, SIDE))
    network = network.absolute()
    click.echo(f"matrix product: {matrix_product_rate(torch.device('cpu')) / 1e9:.0f} GFLOP/s")
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
        os.chdir(folder)
        files = register_two(network, folder)
        expected = [np.asarray(Upscaler(file).upscale_image(picture)) for file in files]
        with mlflows_server(folder) as mlflows:
            ours = stack.enter_context(following_server(folder))
            good, large = request_body(encode(picture)), request_body(encode(photo.resize(LARGE)))
            _measure_latency(mlflows, ours, good)
            _measure_mixed(mlflows, ours, good, large)
            for server in (mlflows, ours):
                _measure_concurrency(server, good)
                _measure_load(server, picture, good, expected[0])
        if minutes:
            _measure_promotions(ours, minutes, good, large, expected)
    click.echo(f"matrix product: {matrix_product_rate(torch.device('cpu')) / 1e9:.0f} GFLOP/s")


def _measure_latency(mlflows: Server, ours: Server, good: bytes) -> None:
    """One client, who asks both in turn."""
    times: dict[str, list[float]] = {server.name: [] for server in (mlflows, ours)}
    for turn in range(45):
        for server in (mlflows, ours):
            answer = ask(server.address, good)
            if turn >= 5:
                times[server.name].append(answer.seconds)
    told = ", ".join(
        f"{name} median {1000 * median(ones):.0f} ms, slowest {1000 * max(ones):.0f} ms"
        for name, ones in times.items()
    )
    ratio = median(times[ours.name]) / median(times[mlflows.name])
    click.echo(f"one client, {SIDE}x{SIDE} colour: {told}: {ratio:.2f} times")


def _measure_mixed(mlflows: Server, ours: Server, good: bytes, large: bytes) -> None:
    """Four clients with small pictures and four with large ones, each server twice in turn."""
    small: dict[str, list[float]] = {server.name: [] for server in (mlflows, ours)}
    bodies = [good] * 4 + [large] * 4
    for _ in range(2):
        for server in (mlflows, ours):
            answers = _ask_for(20, server, bodies)
            _demand_200(server, [one for ones in answers for one in ones])
            small[server.name] += [one.seconds for ones in answers[:4] for one in ones]
            rest = sum(map(len, answers[4:]))
            click.echo(f"  {server.name}: {sum(map(len, answers[:4]))} small, {rest} large in 20 s")
    slowest = {name: float(np.percentile(times, 95)) for name, times in small.items()}
    told = ", ".join(f"{name} {1000 * time:.0f} ms" for name, time in slowest.items())
    click.echo(
        f"four clients with {SIDE}x{SIDE}, four with {LARGE[0]}x{LARGE[1]}; 95th percentile of the "
        f"small ones: {told}: {slowest[ours.name] / slowest[mlflows.name]:.2f} times"
    )


def _ask_for(
    seconds: float,
    server: Server,
    bodies: list[bytes],
    beside: Callable[[], None] = lambda: None,
) -> list[list[Answer]]:
    """Let a client for each body ask again and again, and do something beside; all answers."""
    answers: list[list[Answer]] = [[] for _ in bodies]
    end = time.monotonic() + seconds

    def ask_again(body: bytes, got: list[Answer]) -> None:
        while time.monotonic() < end:
            got.append(ask(server.address, body))

    clients = [
        threading.Thread(target=ask_again, args=one) for one in zip(bodies, answers, strict=True)
    ]
    for client in clients:
        client.start()
    beside()
    for client in clients:
        client.join()
    return answers


def _demand_200(server: Server, answers: list[Answer]) -> None:
    failed = [one for one in answers if one.status != 200]
    if failed:
        raise click.ClickException(
            f"{server.name}: {len(failed)} of {len(answers)} failed, as {failed[0].status}: "
            f"{failed[0].body[:200]!r}"
        )


def _measure_concurrency(server: Server, good: bytes) -> None:
    for clients in (1, 2, 4, 8):
        start = time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            times = [a.seconds for a in pool.map(lambda _: ask(server.address, good), range(40))]
        rate = len(times) / (time.perf_counter() - start)
        click.echo(
            f"{server.name}, {clients} client(s): {rate:.1f} requests a second, median "
            f"{1000 * median(times):.0f} ms, slowest {1000 * max(times):.0f} ms"
        )


def _measure_load(server: Server, picture: Image.Image, good: bytes, expected: np.ndarray) -> None:
    """Many requests, a tenth of them malformed."""
    wrong = malformed(picture)
    names = [list(wrong)[n // 10 % len(wrong)] if n % 10 == 5 else "" for n in range(REQUESTS)]

    def send(number: int) -> Answer:
        name = names[number]
        return ask(server.address, *wrong[name]) if name else ask(server.address, good)

    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(send, range(FIRST)))
        memory = resident_bytes(server.process)
        answers += list(pool.map(send, range(FIRST, REQUESTS)))
    after = resident_bytes(server.process)
    right = [
        answer.status == 200 and np.array_equal(answer.pixels(), expected)
        for name, answer in zip(names, answers, strict=True)
        if not name
    ]
    statuses = {name: ask(server.address, *wrong[name]).status for name in wrong}
    statuses |= {name: one.status for name, one in zip(names, answers, strict=True) if name}
    others = {name: status for name, status in statuses.items() if not 400 <= status < 500}
    click.echo(
        f"{server.name}: {REQUESTS} requests from {CLIENTS} clients: {sum(right)} of {len(right)} "
        f"good ones answered right; {len(statuses) - len(others)} of {len(statuses)} kinds of bad "
        f"ones got a 4xx, others {others}; resident memory {memory / 1e6:.0f} MB after {FIRST} "
        f"requests, {after / 1e6:.0f} MB after {REQUESTS} ({100 * (after / memory - 1):+.1f} %)"
    )


def _settled_bytes(server: Server, end: float) -> int:
    """Memory once the processes of the former version have ended, or at the end of that time."""
    while len(psutil.Process(server.process).children()) > 2 and time.monotonic() < end:
        time.sleep(0.5)
    return resident_bytes(server.process)


def _measure_promotions(
    server: Server, minutes: int, good: bytes, large: bytes, expected: list[np.ndarray]
) -> None:
    """Load with a promotion a minute, and memory at the end of each."""
    memory: list[int] = []
    begun = time.monotonic()

    def promote() -> None:
        for minute in range(minutes):
            end = begun + 60 * (minute + 1)
            time.sleep(max(0, end - 40 - time.monotonic()))
            make_champion(2 - minute % 2)
            # By then, the new processes have seen what the former ones have.
            time.sleep(max(0, end - 10 - time.monotonic()))
            memory.append(_settled_bytes(server, end - 1))
            click.echo(f"  minute {minute + 1}: {memory[-1] / 1e6:.0f} MB")

    *of_small, of_large = _ask_for(60 * minutes, server, [good] * 4 + [large], promote)
    answers = [one for ones in of_small for one in ones]
    failed = [one.status for one in (*answers, *of_large) if one.status != 200]
    made = [one for one in answers if one.status == 200]
    mixed = sum(
        not np.array_equal(one.pixels(), expected[int(one.version.rpartition("/")[2]) - 1])
        for one in made
    )
    versions = {one.version for one in made}
    click.echo(
        f"{minutes} minutes, a promotion a minute: {len(answers)} small and {len(of_large)} large "
        f"requests, {len(failed)} failed {sorted(set(failed))}; {len(versions)} versions, {mixed} "
        f"answers with other pixels than their version's; memory {memory[0] / 1e6:.0f} MB after a "
        f"minute, {min(memory) / 1e6:.0f} to {max(memory) / 1e6:.0f} MB since, "
        f"{100 * (memory[-1] / memory[0] - 1):+.1f} % at the end"
    )


if __name__ == "__main__":
    main()
