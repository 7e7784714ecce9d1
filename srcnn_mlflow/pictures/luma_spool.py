"""Luma or colours of pictures that were just decoded, kept on disk until they are prepared."""

import os
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np

from srcnn_mlflow.machine.disk import free_bytes
from srcnn_mlflow.pictures.imaging import Plane


class LumaSpool:
    """A file without a name, which vanishes with its process, for a byte a pixel and plane.

    Finding the digest of a picture takes decoding it, and so does preparing it; what will be
    prepared waits here in between. Where the disk is nearly full, or may not be written, the spool
    stays empty.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = _open_nameless(folder)
        self._places: dict[str, tuple[int, tuple[int, ...]]] = {}
        self._end = 0
        self._full = self._file is None
        self._lock = threading.Lock()

    def __enter__(self) -> "LumaSpool":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    def keep(self, digest: str, plane: Plane) -> None:
        """Keep uint8 of any shape under the digest of its picture."""
        with self._lock:
            # The prepared file will take at least two bytes a pixel.
            if free_bytes(self._folder) < 3 * (self._end + plane.size):
                self._give_up()
            if self._file is None or self._full or digest in self._places:
                return
            place, self._end = self._end, self._end + plane.size
        # Outside the lock, for decoding threads to write at once; short only on a full disk.
        try:
            written = os.pwrite(self._file.fileno(), plane.tobytes(), place)
        except OSError:
            written = 0
        with self._lock:
            if written < plane.size:
                self._give_up()
            elif not self._full:
                self._places[digest] = (place, plane.shape)

    def find(self, digest: str) -> Plane | None:
        """What was kept under a digest, or None."""
        if self._file is None or digest not in self._places:
            return None
        place, shape = self._places[digest]
        return np.memmap(self._file, np.uint8, "r", place, shape)

    def _give_up(self) -> None:
        self._full = True
        self._places.clear()
        if self._file is not None:
            self._file.truncate(0)


def _open_nameless(folder: Path) -> IO[bytes] | None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=folder)
    except OSError:
        return None  # whoever has to write there will say so
