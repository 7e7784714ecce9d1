"""`serve` and `mlflow models serve` of one registry, and two versions in it that differ."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import mlflow
import numpy as np
import onnx
from mlflow import MlflowClient
from onnx import numpy_helper

from srcnn_mlflow.tracking import registry


@dataclass(frozen=True)
class Server:
    """Where it is, and the id of its process."""

    name: str
    address: str
    process: int


def register_two(network: Path, folder: Path) -> list[Path]:
    """Register a network as version 1, and one that corrects half as much as version 2.

    Args:
        network: an ONNX file of scale 2.
        folder: gets the second one.

    Returns:
        The files of both.
    """
    weaker = folder / registry.NETWORK_FILE
    model = onnx.load(network)
    last = [node for node in model.graph.node if node.op_type == "Conv"][-1]
    for constant in model.graph.initializer:
        if constant.name in last.input[1:]:
            halved = numpy_helper.to_array(constant) * np.float32(0.5)
            constant.CopyFrom(numpy_helper.from_array(halved, constant.name))
    onnx.save(model, weaker)
    with mlflow.start_run():
        for file in (network, weaker):
            registry.register(2, file, {}, alias=None)
    make_champion(1)
    return [network, weaker]


def make_champion(version: int) -> None:
    """Point the alias at a version, as a promotion does in the end."""
    MlflowClient().set_registered_model_alias("srcnn-x2", registry.CHAMPION, str(version))


@contextmanager
def mlflows_server(folder: Path) -> Iterator[Server]:
    """Serve the champion by MLflow's own program, with one worker."""
    command = ("mlflow", "models", "serve", "-m", "models:/srcnn-x2@champion")
    with _server(
        "mlflow models serve", *command, *("--env-manager", "local", "-p"), folder=folder
    ) as one:
        yield one


@contextmanager
def following_server(folder: Path) -> Iterator[Server]:
    """Serve the champion by `serve`."""
    with _server("serve", "srcnn_mlflow", "serve", "--port", folder=folder) as one:
        yield one


@contextmanager
def _server(name: str, *command: str, folder: Path) -> Iterator[Server]:
    """Start a module with the arguments that end with the option for its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # MLflow's server looks for its own programs on the path.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", *command, str(port)],
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
                    raise click.ClickException(f"{name} did not start") from None
                time.sleep(0.1)
        click.echo(f"{name}: ready after {time.perf_counter() - start:.1f} s")
        yield Server(name, address, process.pid)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
