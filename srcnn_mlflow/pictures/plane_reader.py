"""Planes read from their files into memory of one's own, instead of being mapped."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from srcnn_mlflow.machine.errors import StoreError
from srcnn_mlflow.pictures.store import Store


class PlaneReader:
    """Reads training planes of a store that is open: what is read counts, and not what is there."""

    def __init__(self, store: Store) -> None:
        """Remember where planes lie."""
        self._store = store
        ends = np.cumsum([len(one) for one in store.train.lr])
        self._ends = ends
        by_path = dict(zip(store.files, store.identities, strict=True))
        self._identities = {str(path): identity for path, identity in by_path.items()}

    def read(self, enlarged: bool, start: int, count: int) -> NDArray[np.uint8]:
        """Read bytes of one file's planes.

        Args:
            enlarged: of those that bicubic interpolation gave; otherwise of the originals.
            start: where they begin, as `Planes.offsets` has it.
            count: how many.

        Returns:
            uint8 (count,).

        Raises:
            StoreError: the file is gone, was replaced, or ends before them.
        """
        file = int(np.searchsorted(self._ends, start, side="right"))
        planes = self._store.train
        mapped = (planes.lr if enlarged else planes.hr)[file]
        within = start - (int(self._ends[file]) - len(mapped))
        # A map says what it is of.
        path, offset = str(mapped.filename), int(mapped.offset)  # type: ignore[attr-defined]
        found = np.empty(count, np.uint8)
        try:
            with Path(path).open("rb", buffering=0) as content:
                if os.fstat(content.fileno()).st_ino != self._identities[path].inode:
                    raise StoreError(
                        f"{path} was made again since it was opened; start again with "
                        "resume=<the run's id>"
                    )
                content.seek(offset + within)
                done = 0
                while done < count:
                    more = content.readinto(found[done:].data)
                    if not more:
                        raise StoreError(f"{path} ends too early; delete it, and start again")
                    done += more
        except OSError as error:
            raise StoreError(f"cannot read {path}: {error.strerror}; start again") from error
        return found
