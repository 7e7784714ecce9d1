"""Clients that mean harm or cannot do better, each of which has to come to an end in time."""

import contextlib
import json
import random
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.conftest import textured_pixels
from tests.corpus import KINDS
from tests.served import JSON
from tests.serving.asking import large, png, post, rows

# What a client does to a host and a port; gives the status it is told, or why there is none.
Deed = Callable[[str, int], str]
NOTHING, LEFT = "closed", "left"
# A server's own faults, 500 and 503, are not among them.
ALLOWED = {NOTHING, LEFT, *map(str, (200, 400, 404, 405, 406, 408, 413, 429, 431, 504))}
_POST = b"POST /upscale HTTP/1.1\r\nHost: a\r\n"
_PATIENCE = 90.0

# Sent as they are, and then nothing more.
_RAW = {
    "half a body": _POST + b"Content-Length: 99\r\n\r\nabc",
    "half a header": b"POST /upscale HTTP/1.1\r\nHo",
    "no request": b"\x00\xff\r\n\r\n",
    "nothing": b"",
    "a length below zero": _POST + b"Content-Length: -1\r\n\r\n",
    "a length that is none": _POST + b"Content-Length: ten\r\n\r\n",
    "two lengths": _POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    "two kinds of length": _POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
    "too much": _POST + b"Content-Length: 99999999\r\n\r\n",
    "more than was said": _POST + b"Content-Length: 3\r\n\r\nabc and nobody knows what else",
    "half a chunk": _POST + b"Transfer-Encoding: chunked\r\n\r\n9\r\nabc",
    "a chunk without a size": _POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
    "headers without end": _POST + b"A: " + b"b" * 200_000,
    "another protocol": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "another method": b"DELETE /upscale HTTP/1.1\r\nHost: a\r\n\r\n",
    "a file of the server": b"GET /samples/..%2f..%2fetc%2fpasswd.png HTTP/1.1\r\nHost: a\r\n\r\n",
    "a form without end": _POST
    + b"Content-Type: multipart/form-data; boundary=e\r\nContent-Length: 7\r\n\r\n--e\r\nab",
    "a form of a thousand": _POST
    + b"Content-Type: multipart/form-data; boundary=e\r\nContent-Length: 50000\r\n\r\n"
    + b"--e\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n" * 1000
    + bytes(50_000),
}
_BODIES = {
    "words": b"hello world",
    "half of JSON": b'{"dataframe_split": {"columns": ["image"], "data": [["',
    "deep JSON": b"[" * 100_000,
    "another form": b'{"pictures": []}',
    "seventeen pictures": rows(*[png(textured_pixels(4, 4, 1))] * 17),
    "a long text": json.dumps({"inputs": {"image": ["A" * 3_000_000]}}).encode(),
    **{
        f"a row of {row!r}": json.dumps(
            {"dataframe_split": {"columns": ["image"], "data": [[row]]}}
        ).encode()
        for row in (None, 7, [1, 2], {"a": 1}, "\u00e9", "/etc/passwd", "http://127.0.0.1/")
    },
}


@dataclass(frozen=True)
class Ended:
    """How a client fared, and how long that took in seconds."""

    name: str
    told: str
    seconds: float


def deeds() -> dict[str, Deed]:
    """Everything that is known to be done to a server, by name."""
    found: dict[str, Deed] = {name: _sending(data) for name, data in _RAW.items()}
    found["a byte of the headers now and then"] = _slowly(_POST + b"A: " + b"b" * 1000)
    found["a byte of the body now and then"] = _slowly(
        b"b" * 1000, _POST + b"Content-Length: 1000\r\n\r\n"
    )
    found["leaves its request"] = _leaving(0.2)
    found["does not take the answer"] = _leaving(4)
    found |= {
        f"/invocations, {name}": _posting("/invocations", body) for name, body in _BODIES.items()
    }
    for name, kind in KINDS.items():
        if kind.contents is not None:
            found[f"/upscale, {name}"] = _posting("/upscale", kind.contents())
            found[f"/invocations, {name}"] = _posting("/invocations", rows(kind.contents()))
    return found


def some(number: int, known: dict[str, Deed]) -> Iterator[tuple[str, Deed]]:
    """So many of them: those by hand first, the others in an order drawn at random, over again."""
    odd = [name for name in known if not name.startswith("/")]
    others = [name for name in known if name.startswith("/")]
    draw, names = random.Random(0), odd
    while number > 0:
        draw.shuffle(others)
        names = [*odd, *others][:number]
        yield from ((name, known[name]) for name in names)
        number -= len(names)


def do(name: str, deed: Deed, host: str, port: int) -> Ended:
    """Do it, and see how it ends."""
    begun = time.monotonic()
    return Ended(name, deed(host, port), time.monotonic() - begun)


def _sending(data: bytes) -> Deed:
    def deed(host: str, port: int) -> str:
        with socket.create_connection((host, port), _PATIENCE) as connection:
            with contextlib.suppress(ConnectionError):
                connection.sendall(data)
            return _told(connection)

    return deed


def _slowly(data: bytes, first: bytes = b"") -> Deed:
    def deed(host: str, port: int) -> str:
        with socket.create_connection((host, port), _PATIENCE) as connection:
            connection.sendall(first)
            connection.settimeout(0.5)
            for byte in data:
                try:
                    connection.sendall(bytes([byte]))
                    return _told(connection)
                except TimeoutError:
                    continue
                except ConnectionError:
                    return NOTHING
        return "heard nothing"

    return deed


def _leaving(seconds: float) -> Deed:
    """Ask for what takes long and makes a large answer, and go after a while without reading."""
    picture = large(900)

    def deed(host: str, port: int) -> str:
        with socket.create_connection((host, port), _PATIENCE) as connection:
            about = _POST + f"Content-Length: {len(picture)}\r\n\r\n".encode()
            with contextlib.suppress(ConnectionError):
                connection.sendall(about + picture)
            time.sleep(seconds)
        return LEFT

    return deed


def _posting(place: str, body: bytes) -> Deed:
    """Send a body; who is told to come again does so."""

    def deed(host: str, port: int) -> str:
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                status, _, _ = post(f"http://{host}:{port}{place}", body, Content_Type=JSON)
            except OSError:
                # Of a body that is too large, the server reads no more than it must.
                return NOTHING
            if status != 429 or time.monotonic() > end:
                return str(status)
            time.sleep(0.5)

    return deed


def _told(connection: socket.socket) -> str:
    try:
        line = connection.recv(12)
    except ConnectionError:
        return NOTHING
    return line[9:].decode() or NOTHING
