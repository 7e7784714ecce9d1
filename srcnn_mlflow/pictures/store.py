"""A prepared set, open for reading: all its planes mapped into memory."""

import math
import mmap
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from srcnn_mlflow.machine.errors import StoreError
from srcnn_mlflow.machine.processors import available_cores
from srcnn_mlflow.pictures.imaging import Plane
from srcnn_mlflow.pictures.patch_grid import PatchGrid
from srcnn_mlflow.pictures.store_file import (
    STORED_SPLITS,
    Identity,
    StoreSettings,
    check_file,
    identify,
)

# Bytes of planes that are looked at before they are let go of.
_AT_ONCE = 1 << 23


@dataclass(frozen=True)
class Planes:
    """All planes of a split, one behind another, in one file or several.

    Attributes:
        lr: uint8, flat, an array a file; the bicubic upscaled low-resolution planes.
        hr: uint8, flat, of the same lengths; the originals.
        shapes: int32 (pictures, 2), height and width.
        offsets: int64 (pictures,), where the planes of each begin, as if all files were one.
        grey: bool (pictures,), whose red, green and blue are a grey picture's; None where each
            has one plane, its luma.
    """

    lr: tuple[NDArray[np.uint8], ...]
    hr: tuple[NDArray[np.uint8], ...]
    shapes: NDArray[np.int32]
    offsets: NDArray[np.int64]
    grey: NDArray[np.bool_] | None = None

    @property
    def count(self) -> int:
        """Of a picture: 1, or 3 where there is colour."""
        return 1 if self.grey is None else 3

    @property
    def bytes(self) -> int:
        """What all planes take, the enlarged and the original ones."""
        return sum(one.nbytes for one in (*self.lr, *self.hr))

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        """Where the planes of each file begin, as if all were one."""
        return np.cumsum([0, *(len(one) for one in self.lr)])[:-1]

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
        offset = self.offsets[picture]
        file = int(np.searchsorted(self._starts, offset, side="right")) - 1
        first = offset - self._starts[file]
        where = slice(first, first + math.prod(shape))
        return self.lr[file][where].reshape(shape), self.hr[file][where].reshape(shape)

    def original(self, picture: int) -> Plane:
        """A picture as it is compared: uint8 of shape (height, width), or (height, width, 3)."""
        _, planes = self.pair(picture)
        if self.grey is None:
            return planes
        return planes[0] if self.grey[picture] else np.ascontiguousarray(planes.transpose(1, 2, 0))


@dataclass(frozen=True)
class Store:
    """A prepared set, open for reading; planes are mapped into memory, not copied.

    Other commands replace a prepared file, which leaves a mapped one as it was; none writes into
    one. `check_unchanged` tells when something else has.

    Attributes:
        files: in which it lies, in the order of its pictures.
        settings: how it was made.
        train: the training planes.
        patches: where the training patches lie.
        valid: the validation planes, full size.
        identities: number, size and time of change of each file when it was opened.
    """

    files: tuple[Path, ...]
    settings: StoreSettings
    train: Planes
    patches: PatchGrid
    valid: Planes
    identities: tuple[Identity, ...]

    def patch(self, index: int) -> tuple[Plane, Plane]:
        """One training pair, uint8 of shape (patch_size, patch_size), or that of three planes."""
        picture, top, left = self.patches.where(index)
        size = self.settings.patch_size
        lr, hr = self.train.pair(picture)
        window = slice(top, top + size), slice(left, left + size)
        return lr[..., *window], hr[..., *window]

    def checksum(self) -> str:
        """The CRC-32 of all planes and of where patches lie, as 8 hex digits.

        Unlike that of a file, it is the same whatever made the files, whenever, and in how many.
        """
        checksum = 0
        for planes in (self.train, self.valid):
            for flat in (*planes.lr, *planes.hr):
                checksum = _add_planes(checksum, flat)
            arrays = (planes.shapes, planes.offsets)
            for array in (*arrays, *([] if planes.grey is None else [planes.grey])):
                checksum = zlib.crc32(np.ascontiguousarray(array).data, checksum)
        for patches in self.patches.listed():
            checksum = zlib.crc32(patches.data, checksum)
        return f"{checksum:08x}"

    def check_unchanged(self) -> None:
        """Make sure that the mapped files are what they were when they were opened.

        Raises:
            StoreError: something has written into one.
        """
        for path, identity in zip(self.files, self.identities, strict=True):
            present = identify(path)
            # A file that was replaced or deleted lives on for those who have mapped it.
            if present and present.inode == identity.inode and present != identity:
                raise StoreError(
                    f"{path} has changed since it was opened: something else has written into it "
                    "or touched it, so what is trained on is uncertain; delete it, and start again"
                )


def open_store(*files: Path, checked: Sequence[Identity | None] = ()) -> Store:
    """Map a prepared set of planes into memory, after checking every byte of it.

    Args:
        files: in which it lies, in the order of its pictures.
        checked: what each was when this process has checked it; none is read again for that which
            still is the same.

    Raises:
        StoreError: a file is missing, damaged, materialized, or not one of ours.
    """
    # Taken first, so that a change while a file is being checked is noticed later.
    identities = [identify(path) for path in files]
    with ThreadPoolExecutor(available_cores()) as pool:
        known = checked or [None] * len(files)
        settings = list(pool.map(lambda path, one: check_file(path, checked=one), files, known))
    for path, one in zip(files, settings, strict=True):
        if one.materialize:
            raise StoreError(f"{path} holds materialized patches; training reads a file of planes")
    train, valid = (_join([_map_split(path, split) for path in files]) for split in STORED_SPLITS)
    first = settings[0]
    patches = PatchGrid(train.shapes, first.patch_size, first.stride)
    return Store(files, first, train, patches, valid, tuple(one for one in identities if one))


def _add_planes(checksum: int, planes: NDArray[np.uint8]) -> int:
    """Go on with a CRC-32 over planes; of mapped ones, only a part is in memory at a time."""
    mapping = getattr(planes, "_mmap", None)
    for first in range(0, len(planes), _AT_ONCE):
        checksum = zlib.crc32(planes[first : first + _AT_ONCE].data, checksum)
        # What is looked at again comes back from the file.
        if mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
            mapping.madvise(mmap.MADV_DONTNEED)
    return checksum


def _map_split(path: Path, split: str) -> Planes:
    with h5py.File(path, "r") as file:
        group = file[split]
        return Planes(
            lr=_map(path, group["lr"]),
            hr=_map(path, group["hr"]),
            shapes=group["shape"][:],
            offsets=group["offset"][:],
            grey=group["grey"][:] if "grey" in group else None,
        )


def _map(path: Path, dataset: h5py.Dataset) -> tuple[NDArray[np.uint8], ...]:
    # Nothing has no place in a file.
    if not dataset.size:
        return ()
    # Copy-on-write, because torch refuses to share an array that can never be written.
    return (np.memmap(path, np.uint8, "c", dataset.id.get_offset(), dataset.shape),)


def _join(parts: Sequence[Planes]) -> Planes:
    """The planes of several files as one split."""
    if len(parts) == 1:
        return parts[0]
    ends = np.cumsum([0, *(sum(len(lr) for lr in part.lr) for part in parts)])
    greys = [part.grey for part in parts if part.grey is not None]
    return Planes(
        lr=tuple(lr for part in parts for lr in part.lr),
        hr=tuple(hr for part in parts for hr in part.hr),
        shapes=np.concatenate([part.shapes for part in parts]),
        offsets=np.concatenate([p.offsets + end for p, end in zip(parts, ends, strict=False)]),
        grey=np.concatenate(greys) if greys else None,
    )
