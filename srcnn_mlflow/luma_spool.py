"""Luma planes of pictures that were just decoded, kept on disk until they are prepared."""

import os
import tempfile
import threading
from pathlib import Path
from types import TracebackType

import numpy as np

from srcnn_mlflow.imaging import Plane
from srcnn_mlflow.machine import free_bytes


class LumaSpool:
    """A file without a name, which vanishes with its process, for one byte a pixel.

    Finding the digest of a picture takes decoding it, and so does preparing it; the plane waits
    here in between. Where the disk is nearly full the spool gives its room back and stays empty.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._places: dict[str, tuple[int, tuple[int, int]]] = {}
        self._end = 0
        self._full = False
        self._lock = threading.Lock()

    def __enter__(self) -> "LumaSpool":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def keep(self, digest: str, plane: Plane) -> None:
        """Keep a plane, uint8 of shape (height, width), under the digest of its picture."""
        with self._lock:
            # The prepared file will take at least two bytes a pixel.
            if free_bytes(self._folder) < 3 * (self._end + plane.size):
                self._full = True
                self._places.clear()
                self._file.truncate(0)
            if self._full or digest in self._places:
                return
            place, self._end = self._end, self._end + plane.size
        # Outside the lock, for decoding threads to write at once; short only on a full disk.
        written = os.pwrite(self._file.fileno(), plane.tobytes(), place)
        if written == plane.size:
            self._places[digest] = (place, (plane.shape[0], plane.shape[1]))

    def find(self, digest: str) -> Plane | None:
        """The plane that was kept under a digest, or None."""
        if digest not in self._places:
            return None
        place, shape = self._places[digest]
        return np.memmap(self._file, np.uint8, "r", place, shape)
