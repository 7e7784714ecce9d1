"""What earlier commands have found in picture files, so that no file is decoded for it twice."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from srcnn_mlflow.machine.atomic_write import atomic_write
from srcnn_mlflow.machine.errors import WriteError
from srcnn_mlflow.pictures.likeness import Likeness

# To be raised whenever the same file would give other pixels.
FORMAT = 4


class Pixels(NamedTuple):
    """What a picture's pixels are.

    Attributes:
        width: in pixels.
        height: in pixels.
        digest: SHA-256 of the pixels and their mode, which decides what a network learns from them.
        identity: the same for a picture in grey and in colour; else the digest.
        likeness: perceptual hashes.
    """

    width: int
    height: int
    digest: str
    identity: str
    likeness: Likeness


class DigestCache:
    """A JSON file of pixel digests, by path, valid while a file's size, times and inode stay.

    It only ever saves time: a cache that cannot be read counts as empty, and one that cannot be
    written, as in a folder without permission, is not kept.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # Signature and pixels, as JSON has them: of many, all but a few are only carried along.
        self._entries: dict[str, tuple[list[int], Sequence[Any]]] = {}
        self._changed = False
        # An empty cache is always right.
        with suppress(OSError, ValueError, KeyError, TypeError):
            head, _, rest = path.read_bytes().partition(b"\n")
            about = json.loads(head + b"}")
            if about["format"] == FORMAT and about["sha256"] == hashlib.sha256(rest).hexdigest():
                self._entries = json.loads(b"{" + rest.removeprefix(b","))["pictures"]

    def find(self, file: Path, signature: list[int]) -> Pixels | None:
        """What is known of a file that still has this signature."""
        known = self._entries.get(str(file.absolute()))
        if known is None or known[0] != signature:
            return None
        pixels = Pixels(*known[1])
        return pixels._replace(likeness=tuple(pixels.likeness))

    def add(self, file: Path, signature: list[int], pixels: Pixels) -> None:
        """Remember what a file held when it had this signature."""
        self._entries[str(file.absolute())] = (signature, pixels)
        self._changed = True

    def save(self) -> None:
        """Write the cache if it has grown, without files that are gone."""
        if not self._changed:
            return
        pictures = {key: entry for key, entry in self._entries.items() if Path(key).exists()}
        digest = hashlib.sha256()
        for part in _rest(pictures):
            digest.update(part.encode())
        # Where it fails, the next command decodes the files again.
        with suppress(WriteError), atomic_write(self._path) as partial, partial.open("w") as file:
            file.write(f'{{"format": {FORMAT}, "sha256": "{digest.hexdigest()}"\n')
            file.writelines(_rest(pictures))
        self._changed = False


def _rest(pictures: Mapping[str, Any]) -> Iterator[str]:
    """The file from its second line on, a picture at a time, for there may be many.

    The checksum is of this text: it tells damage, after which digests would still look like
    digests.
    """
    yield ',"pictures": {'
    for number, (key, entry) in enumerate(pictures.items()):
        yield f"{', ' if number else ''}{json.dumps(key)}: {json.dumps(entry)}"
    yield "}}"


def signature(file: Path) -> list[int]:
    """What changes whenever a file's content does.

    Raises:
        OSError: there is no such file.
    """
    about = file.stat()
    return [about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino]
