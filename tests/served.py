"""The small shipped network as a champion, and a real server of it."""

import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import pytest

from srcnn_mlflow.network.shipped import shipped_network
from srcnn_mlflow.tracking import registry
from tests.conftest import BIN, http_server, put_store

JSON = "application/json"
# Sends a body of a content type; gives the status and the text of the answer.
Post = Callable[[bytes, str | None], tuple[int, str]]


@contextmanager
def shipped_champion(folder: Path, empty_store: Path) -> Iterator[Path]:
    """Work in a folder with a registry whose champion is the shipped network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, folder))
        with mlflow.start_run():
            registry.register(2, shipped_network(2, "shipped-9-1-5"), {}, alias="champion")
        yield folder


@contextmanager
def champion_server(folder: Path) -> Iterator[Post]:
    """Serve the champion of a folder's registry by `mlflow models serve`."""
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    command = ("models", "serve", "-m", "models:/srcnn-x2@champion", "--env-manager", "local")
    with http_server(*command, "-p", "PORT", cwd=folder, environment=environment) as address:

        def send(body: bytes, content_type: str | None) -> tuple[int, str]:
            headers = {} if content_type is None else {"Content-Type": content_type}
            request = urllib.request.Request(f"{address}/invocations", body, headers)
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, error.read().decode()

        yield send
