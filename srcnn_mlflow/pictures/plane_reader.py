"""Planes read from their files into memory of one's own, instead of being mapped."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from srcnn_mlflow.machine.errors import StoreError
from srcnn_mlflow.machine.processors import available_cores
from srcnn_mlflow.pictures.store import Store


class PlaneReader:
    """Reads training planes of a store that is open: what is read counts, and not what is there."""

    def __init__(self, store: Store) -> None:
        """Remember where planes lie."""
        self._store = store
        ends = np.cumsum([len(one) for one in store.train.lr])
        self._ends = ends
        # As maps name their files, whatever links lead there.
        resolved = [str(path.resolve()) for path in store.files]
        self._identities = dict(zip(resolved, store.identities, strict=True))

    def read(self, enlarged: bool, start: int, count: int) -> NDArray[np.uint8]:
        """Read bytes of one file's planes; uint8 (count,). Otherwise as `read_into`."""
        found = np.empty(count, np.uint8)
        self.read_into(found, enlarged, start)
        return found

    def read_all(self, enlarged: bool) -> NDArray[np.uint8]:
        """Read the planes of all files, one behind another; uint8, flat.

        Those of a file that is gone or was replaced are taken from its map, in which they live on.
        """
        found = np.empty(self._ends[-1], np.uint8)
        parts = np.split(found, self._ends[:-1])
        maps = self._store.train.lr if enlarged else self._store.train.hr

        def fill(file: int) -> None:
            if self._is_there(maps[file]):
                self.read_into(parts[file], enlarged, int(self._ends[file]) - len(parts[file]))
            else:
                parts[file][:] = maps[file]

        with ThreadPoolExecutor(available_cores()) as pool:
            for _ in pool.map(fill, range(len(parts))):
                pass
        return found

    def _is_there(self, mapped: NDArray[np.uint8]) -> bool:
        path = str(mapped.filename)  # type: ignore[attr-defined]
        try:
            return Path(path).stat().st_ino == self._identities[path].inode
        except OSError:
            return False

    def read_into(self, target: NDArray[np.uint8], enlarged: bool, start: int) -> None:
        """Fill an array with bytes of one file's planes.

        Args:
            target: uint8, flat.
            enlarged: of those that bicubic interpolation gave; otherwise of the originals.
            start: where they begin, as `Planes.offsets` has it.

        Raises:
            StoreError: the file is gone, was replaced, or ends before them.
        """
        file = int(np.searchsorted(self._ends, start, side="right"))
        planes = self._store.train
        mapped = (planes.lr if enlarged else planes.hr)[file]
        within = start - (int(self._ends[file]) - len(mapped))
        # A map says what it is of.
        path, offset = str(mapped.filename), int(mapped.offset)  # type: ignore[attr-defined]
        try:
            with Path(path).open("rb", buffering=0) as content:
                if os.fstat(content.fileno()).st_ino != self._identities[path].inode:
                    raise StoreError(
                        f"{path} was made again since it was opened; start again with "
                        "resume=<the run's id>"
                    )
                content.seek(offset + within)
                done = 0
                while done < len(target):
                    more = content.readinto(target[done:].data)
                    if not more:
                        raise StoreError(f"{path} ends too early; delete it, and start again")
                    done += more
        except OSError as error:
            raise StoreError(f"cannot read {path}: {error.strerror}; start again") from error
