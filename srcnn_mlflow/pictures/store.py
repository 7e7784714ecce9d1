"""A prepared file, open for reading: all its planes mapped into memory."""

import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from srcnn_mlflow.machine.errors import StoreError
from srcnn_mlflow.pictures.imaging import Plane
from srcnn_mlflow.pictures.store_file import STORED_SPLITS, StoreSettings, check_file


@dataclass(frozen=True)
class Planes:
    """All planes of a split, one behind another.

    Attributes:
        lr: uint8, flat; the bicubic upscaled low-resolution planes.
        hr: uint8, flat, of the same length; the originals.
        shapes: int32 (pictures, 2), height and width.
        offsets: int64 (pictures,), where the planes of each begin.
        grey: bool (pictures,), whose red, green and blue are a grey picture's; None where each
            has one plane, its luma.
    """

    lr: NDArray[np.uint8]
    hr: NDArray[np.uint8]
    shapes: NDArray[np.int32]
    offsets: NDArray[np.int64]
    grey: NDArray[np.bool_] | None = None

    @property
    def count(self) -> int:
        """Of a picture: 1, or 3 where there is colour."""
        return 1 if self.grey is None else 3

    def __len__(self) -> int:
        return len(self.shapes)

    def pair(self, picture: int) -> tuple[Plane, Plane]:
        """The upscaled low-resolution planes and the original.

        Returns:
            Both uint8 of shape (height, width), or (3, height, width) of three planes.
        """
        shape = tuple(map(int, self.shapes[picture]))
        if self.grey is not None:
            shape = (3, *shape)
        where = slice(self.offsets[picture], self.offsets[picture] + math.prod(shape))
        return self.lr[where].reshape(shape), self.hr[where].reshape(shape)

    def original(self, picture: int) -> Plane:
        """A picture as it is compared: uint8 of shape (height, width), or (height, width, 3)."""
        _, planes = self.pair(picture)
        if self.grey is None:
            return planes
        return planes[0] if self.grey[picture] else np.ascontiguousarray(planes.transpose(1, 2, 0))


@dataclass(frozen=True)
class Store:
    """A prepared file, open for reading; planes are mapped into memory, not copied.

    Other commands replace a prepared file, which leaves a mapped one as it was; none writes into
    one. `check_unchanged` tells when something else has.

    Attributes:
        path: the file.
        settings: how it was made.
        train: the training planes.
        patches: int32 (patches, 3): picture, top, left of every training patch.
        valid: the validation planes, full size.
        identity: number, size and time of change of the file when it was opened.
    """

    path: Path
    settings: StoreSettings
    train: Planes
    patches: NDArray[np.int32]
    valid: Planes
    identity: "_Identity"

    def patch(self, index: int) -> tuple[Plane, Plane]:
        """One training pair, uint8 of shape (patch_size, patch_size), or that of three planes."""
        picture, top, left = self.patches[index]
        size = self.settings.patch_size
        lr, hr = self.train.pair(picture)
        window = slice(top, top + size), slice(left, left + size)
        return lr[..., *window], hr[..., *window]

    def checksum(self) -> str:
        """The CRC-32 of all planes and of where patches lie, as 8 hex digits.

        Unlike that of the file, it is the same whatever made the file and whenever.
        """
        checksum = 0
        for planes in (self.train, self.valid):
            arrays = (planes.lr, planes.hr, planes.shapes, planes.offsets)
            for array in (*arrays, *([] if planes.grey is None else [planes.grey])):
                checksum = zlib.crc32(np.ascontiguousarray(array).data, checksum)
        return f"{zlib.crc32(np.ascontiguousarray(self.patches).data, checksum):08x}"

    def check_unchanged(self) -> None:
        """Make sure that the mapped file is what it was when it was opened.

        Raises:
            StoreError: something has written into it.
        """
        present = _identify(self.path)
        # A file that was replaced or deleted lives on for those who have mapped it.
        if present and present.inode == self.identity.inode and present != self.identity:
            raise StoreError(
                f"{self.path} has changed since it was opened: something else has written into it "
                "or touched it, so what is trained on is uncertain; delete it, and start again"
            )


class _Identity(NamedTuple):
    inode: int
    size: int
    modified: int


def _identify(path: Path) -> _Identity | None:
    try:
        about = path.stat()
    except OSError:
        return None
    return _Identity(about.st_ino, about.st_size, about.st_mtime_ns)


def open_store(path: Path) -> Store:
    """Map a prepared file of planes into memory, after checking every byte of it.

    Raises:
        StoreError: the file is missing, damaged, materialized, or not one of ours.
    """
    # Taken first, so that a change while the file is being checked is noticed later.
    identity = _identify(path)
    settings = check_file(path)
    if settings.materialize:
        raise StoreError(f"{path} holds materialized patches; training reads a file of planes")
    assert identity is not None
    with h5py.File(path, "r") as file:
        splits = {split: _map_planes(path, file[split]) for split in STORED_SPLITS}
        patches = file["train/patches"][:]
    return Store(path, settings, splits["train"], patches, splits["valid"], identity)


def _map_planes(path: Path, group: h5py.Group) -> Planes:
    return Planes(
        lr=_map(path, group["lr"]),
        hr=_map(path, group["hr"]),
        shapes=group["shape"][:],
        offsets=group["offset"][:],
        grey=group["grey"][:] if "grey" in group else None,
    )


def _map(path: Path, dataset: h5py.Dataset) -> NDArray[np.uint8]:
    # Copy-on-write, because torch refuses to share an array that can never be written.
    return np.memmap(path, np.uint8, "c", dataset.id.get_offset(), dataset.shape)
