"""Fetch a file of known contents: resumed where it broke off, and verified to the byte."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pooch
import requests
import urllib3

from srcnn_mlflow.machine.progress import progress

FRUITLESS_TRIES = 6
LONGEST_WAIT = 20.0
SECONDS_OF_SILENCE = 30
CHUNK = 1 << 18

pooch.get_logger().setLevel(logging.WARNING)


@dataclass(frozen=True)
class RemoteFile:
    """A file of known contents.

    Attributes:
        address: where it is fetched.
        name: that it gets.
        size: in bytes.
        sha256: of its contents, as 64 hex digits.
    """

    address: str
    name: str
    size: int
    sha256: str


class WrongContentsError(Exception):
    """What was fetched is another file than the one that was expected; it has been deleted."""


def download(
    file: RemoteFile, folder: Path, *, tries: int = FRUITLESS_TRIES, shown: bool = True
) -> Path:
    """Fetch a file into a folder, where it appears only once it is whole and verified.

    A broken-off download goes on where it stopped, in this call and in a later one. A file that is
    there already is not fetched, unless its contents are others.

    Args:
        file: what to fetch.
        folder: where it goes, and meanwhile its part as `<name>.partial`.
        tries: so many in a row may bring nothing.
        shown: draw a bar of it.

    Raises:
        requests.RequestException: the server is out of reach, or refuses; what arrived is kept.
        WrongContentsError: its SHA-256 is another.
        OSError: it cannot be written.
    """

    def resume(_: str, output: str, __: object) -> None:
        partial = folder / f"{file.name}.partial"
        _fill(file, partial, tries, shown)
        partial.replace(output)

    try:
        known = f"sha256:{file.sha256}"
        path = pooch.retrieve(file.address, known, file.name, folder, downloader=resume)
    except ValueError as error:
        raise WrongContentsError(str(error)) from error
    return Path(path)


def _fill(file: RemoteFile, partial: Path, tries: int, shown: bool) -> None:
    """Append to a partial file until it is whole, as long as tries in a row bring something."""
    fruitless = 0
    while True:
        before = _size(partial)
        try:
            _fetch_rest(file, partial, shown)
            return
        except requests.RequestException as error:
            fruitless = 0 if _size(partial) > before else fruitless + 1
            refused = error.response is not None and error.response.status_code < 500
            if refused or fruitless == tries:
                raise
            time.sleep(min(2.0**fruitless, LONGEST_WAIT))


def _size(partial: Path) -> int:
    return partial.stat().st_size if partial.exists() else 0


def _fetch_rest(file: RemoteFile, partial: Path, shown: bool) -> None:
    have = _size(partial)
    if have == file.size:
        return
    if have > file.size:
        partial.unlink()
        have = 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(
        file.address, headers=headers, stream=True, timeout=SECONDS_OF_SILENCE
    ) as answer:
        answer.raise_for_status()
        resumed = answer.status_code == requests.codes.partial_content
        if resumed and not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise requests.ConnectionError("the server sent another part of the file than asked")
        if not resumed:
            have = 0  # a server that ignores ranges begins again
        chunks = _arriving(answer)
        if shown:
            label = f"downloading {file.name} ({CHUNK // 1024} KiB pieces)"
            chunks = progress(chunks, -(-(file.size - have) // CHUNK), label)
        with partial.open("ab" if resumed else "wb") as output:
            for chunk in chunks:
                have += len(chunk)
                if have > file.size:
                    break
                output.write(chunk)
    if have > file.size:
        partial.unlink()
        raise ValueError("more bytes than the file should have")
    if have < file.size:
        raise requests.ConnectionError(f"it ended after {have:,} of {file.size:,} bytes")


def _arriving(answer: requests.Response) -> Iterator[bytes]:
    """The contents of an answer in pieces; what came before a connection broke is one too."""
    piece = bytearray()
    try:
        while some := answer.raw.read1(CHUNK - len(piece)):
            piece += some
            if len(piece) == CHUNK:
                yield bytes(piece)
                piece.clear()
    except urllib3.exceptions.HTTPError as error:
        yield bytes(piece)
        raise requests.ConnectionError(error) from error
    yield bytes(piece)
