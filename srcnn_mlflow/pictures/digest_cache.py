"""What earlier commands have found in picture files, so that no file is decoded for it twice."""

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from srcnn_mlflow.machine.atomic_write import atomic_write
from srcnn_mlflow.machine.errors import WriteError
from srcnn_mlflow.pictures.likeness import Likeness

# To be raised whenever the same file would give other pixels.
FORMAT = 3


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
        self._entries: dict[str, tuple[list[int], Pixels]] = {}
        self._changed = False
        try:
            content = json.loads(path.read_text())
            if content["format"] == FORMAT and content["sha256"] == _checksum(content["pictures"]):
                self._entries = {
                    key: (signature, Pixels(*pixels)._replace(likeness=tuple(pixels[-1])))
                    for key, (signature, pixels) in content["pictures"].items()
                }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass  # an empty cache is always right

    def find(self, file: Path, signature: list[int]) -> Pixels | None:
        """What is known of a file that still has this signature."""
        known = self._entries.get(str(file.absolute()))
        return known[1] if known and known[0] == signature else None

    def add(self, file: Path, signature: list[int], pixels: Pixels) -> None:
        """Remember what a file held when it had this signature."""
        self._entries[str(file.absolute())] = (signature, pixels)
        self._changed = True

    def save(self) -> None:
        """Write the cache if it has grown, without files that are gone."""
        if not self._changed:
            return
        pictures = {key: entry for key, entry in self._entries.items() if Path(key).exists()}
        content = {"format": FORMAT, "sha256": _checksum(pictures), "pictures": pictures}
        # Where it fails, the next command decodes the files again.
        with suppress(WriteError), atomic_write(self._path) as partial:
            partial.write_text(json.dumps(content))
        self._changed = False


def _checksum(pictures: dict[str, Any]) -> str:
    """What tells a damaged cache, whose digests would still look like digests."""
    return hashlib.sha256(json.dumps(pictures, sort_keys=True).encode()).hexdigest()


def signature(file: Path) -> list[int]:
    """What changes whenever a file's content does.

    Raises:
        OSError: there is no such file.
    """
    about = file.stat()
    return [about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino]
