"""What earlier commands have found in picture files, so that no file is decoded for it twice."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from json.encoder import encode_basestring_ascii
from pathlib import Path
from typing import NamedTuple

from srcnn_mlflow.machine.atomic_write import atomic_write
from srcnn_mlflow.machine.errors import WriteError
from srcnn_mlflow.pictures.likeness import Likeness

# To be raised whenever the same file would give other pixels.
FORMAT = 4
# What stands before all pictures, between a path and what is known of it, between two pictures, and
# behind all. JSON has the ends of lines in no text.
_FIRST, _BETWEEN, _NEXT, _LAST = ',"pictures": {\n', ":\n", ",\n", "\n}}"


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
        # Texts, as they stand in the file, which take less time and memory than what they say.
        self._entries: dict[str, str] = {}
        self._changed = False
        # An empty cache is always right.
        with suppress(OSError, ValueError, KeyError, TypeError):
            head, _, rest = path.read_bytes().partition(b"\n")
            about = json.loads(head + b"}")
            if about["format"] == FORMAT and about["sha256"] == hashlib.sha256(rest).hexdigest():
                text = rest.decode()
                self._entries = _entries(text)
                # What former versions have written is written anew once, to be read in less time.
                self._changed = not text.startswith(_FIRST)

    def find(self, file: Path, signature: str) -> Pixels | None:
        """What is known of a file that still has this signature."""
        entry = self._entries.get(_key(file))
        begin = f'"{signature} '
        if entry is None or not entry.startswith(begin):
            return None
        width, height, digest, identity, *likeness = entry[len(begin) : -1].split()
        # Of most pictures both are the same text, which then is in memory once.
        same = digest if identity == digest else identity
        return Pixels(int(width), int(height), digest, same, tuple(likeness))

    def add(self, file: Path, signature: str, pixels: Pixels) -> None:
        """Remember what a file held when it had this signature."""
        self._entries[_key(file)] = _entry(signature, pixels)
        self._changed = True

    def save(self) -> None:
        """Write the cache if it is not as it was read, without files that are gone."""
        if not self._changed:
            return
        self._changed = False
        # Taken at once: threads may add to it meanwhile.
        entries = list(self._entries.items())
        pictures = {key: entry for key, entry in entries if Path(json.loads(key)).exists()}
        digest = hashlib.sha256()
        for part in _lines(pictures):
            digest.update(part.encode())
        # Where it fails, the next command decodes the files again.
        with suppress(WriteError), atomic_write(self._path) as partial, partial.open("w") as file:
            file.write(f'{{"format": {FORMAT}, "sha256": "{digest.hexdigest()}"\n')
            file.writelines(_lines(pictures))


def _key(file: Path) -> str:
    """A path as JSON has it, in which no line ends."""
    return encode_basestring_ascii(str(file.absolute()))


def _entry(signature: str, pixels: Pixels) -> str:
    """What is known of a picture as a text in JSON, in which nothing has to be escaped."""
    return f'"{" ".join(map(str, (signature, *pixels[:4], *pixels.likeness)))}"'


def _lines(pictures: Mapping[str, str]) -> Iterator[str]:
    """The file from its second line on: a line for the path of each picture, and one for the rest.

    The checksum is of this text: it tells damage, after which digests would still look like
    digests.
    """
    yield _FIRST
    for number, (key, entry) in enumerate(pictures.items()):
        yield f"{_NEXT if number else ''}{key}{_BETWEEN}{entry}"
    yield _LAST


def _entries(text: str) -> dict[str, str]:
    """The inverse of `_lines`; also of one line, as former versions have written it."""
    if not text.startswith(_FIRST):
        pictures = json.loads("{" + text.removeprefix(","))["pictures"]
        return {
            json.dumps(key): _entry(" ".join(map(str, signature)), Pixels(*pixels))
            for key, (signature, pixels) in pictures.items()
        }
    inner = text.removeprefix(_FIRST).removesuffix(_LAST)
    return dict(one.split(_BETWEEN) for one in inner.split(_NEXT)) if inner else {}


def signature(file: Path) -> str:
    """What changes whenever a file's content does.

    Raises:
        OSError: there is no such file.
    """
    about = file.stat()
    return f"{about.st_size} {about.st_mtime_ns} {about.st_ctime_ns} {about.st_ino}"
