"""Requests in MLflow's scoring protocol, right ones and wrong ones, and what comes back."""

import base64
import io
import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass

import numpy as np
from PIL import Image

JSON = "application/json"


@dataclass(frozen=True)
class Answer:
    """What came back: status, body, the version that says it made it, and how long it took in s."""

    status: int
    body: bytes
    version: str
    seconds: float

    def pixels(self) -> np.ndarray:
        """The first picture of an answer."""
        prediction = json.loads(self.body)["predictions"][0]
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(prediction["image"]))))


def ask(address: str, body: bytes, kind: str = JSON) -> Answer:
    """Send a request, and wait for its answer; status 0 where the connection ends without one."""
    request = urllib.request.Request(f"{address}/invocations", body, {"Content-Type": kind})
    start = time.perf_counter()
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            version = answer.headers.get("X-Model-Version", "")
            return Answer(answer.status, answer.read(), version, time.perf_counter() - start)
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.read(), "", time.perf_counter() - start)
    except OSError as error:
        return Answer(0, str(error).encode(), "", time.perf_counter() - start)


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
