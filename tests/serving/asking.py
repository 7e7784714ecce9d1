"""A real `serve`, and what its clients send and read."""

import base64
import io
import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT, free_port, put_store, textured_pixels
from tests.versions import GOOD, make_champion, register_all

PICTURE = textured_pixels(40, 50, 3)


@contextmanager
def registry_of_versions(folder: Path, empty_store: Path) -> Iterator[Path]:
    """Work in a folder with a registry of five versions, one of which is champion."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, folder))
        register_all(folder)
        make_champion(GOOD)
        yield folder


@contextmanager
def serving(folder: Path, *arguments: str, **limits: str) -> Iterator[str]:
    """Serve what a folder's registry has; gives the address."""
    port = str(free_port())
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **limits}
    command = (sys.executable, "-m", "srcnn_mlflow", "serve", "--port", port, *arguments)
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE)
    assert process.stdout is not None
    while b"serving at" not in (line := process.stdout.readline()):
        assert line
    hearing = threading.Thread(target=process.stdout.read)
    hearing.start()
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    assert process.wait(60) == 0
    hearing.join()


def png(pixels: np.ndarray) -> bytes:
    """A picture file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def large(side: int) -> bytes:
    """One that takes a while."""
    return png(textured_pixels(side, side, 1))


def rows(*files: bytes) -> bytes:
    """A request of MLflow's protocol."""
    data = [[base64.b64encode(file).decode()] for file in files]
    return json.dumps({"dataframe_split": {"columns": ["image"], "data": data}}).encode()


def post(address: str, body: bytes, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Send a body; gives status, headers and body of the answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(address, body, named)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, _titled(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, _titled(error.headers), error.read()


def get(address: str) -> str:
    """What is there."""
    with urllib.request.urlopen(address, timeout=60) as answer:
        text: str = answer.read().decode()
    return text


def number(service: str, name: str) -> float:
    """One of the numbers that an operator watches."""
    lines = [line for line in get(f"{service}/metrics").splitlines() if line.startswith(name)]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def pixels_of(body: bytes) -> np.ndarray:
    """The pixels of a picture file."""
    return np.asarray(Image.open(io.BytesIO(body)))


def _titled(headers: Message) -> dict[str, str]:
    return {name.title(): value for name, value in headers.items()}
