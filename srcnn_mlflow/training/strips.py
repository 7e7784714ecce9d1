"""Training pictures cut across into strips, so that a part of memory has something of many."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from srcnn_mlflow.pictures.patch_grid import PatchGrid
from srcnn_mlflow.pictures.store import Planes

# Rows of patches in a strip, where they fit: of fewer, neighbours read too many pixels twice.
_LEAST_ROWS = 4


@dataclass(frozen=True)
class Strips:
    """Runs of whole rows of patches; a picture of a few bytes is one, with all of its pixels.

    Attributes:
        shapes: int32 (strips, 2), height and width.
        offsets: int64 (strips,), where the first plane of each begins, as `Planes.offsets` has it.
        areas: int64 (strips,), from there to where the next plane of the same strip begins.
        whole: bool (strips,), which are whole pictures.
        pictures: int64 (strips,), the picture that each is of.
        planes: of a picture, 1 or 3.
        patches: the numbering of their patches, which is that of the pictures'.
    """

    shapes: NDArray[np.int32]
    offsets: NDArray[np.int64]
    areas: NDArray[np.int64]
    whole: NDArray[np.bool_]
    pictures: NDArray[np.int64]
    planes: int
    patches: PatchGrid

    def __len__(self) -> int:
        return len(self.shapes)

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """The bytes of all planes of each; int64 (strips,)."""
        sizes: NDArray[np.int64] = self.shapes.prod(axis=1, dtype=np.int64) * self.planes
        return sizes


def cut_pictures(planes: Planes, patches: PatchGrid, most: int, room: int) -> Strips:
    """Cut pictures of more than some bytes into strips.

    Args:
        planes: the pictures.
        patches: the numbering of their patches.
        most: what a strip should take, in bytes of its originals.
        room: what it may take where `most` is less than a few rows of patches.

    Returns:
        Strips, of which one is larger than `room` only where a single row of patches is.
    """
    heights, widths = planes.shapes.astype(np.int64).T
    line = widths * planes.count
    whole = heights * line <= most
    rows = np.where(patches.across > 0, (heights - patches.size) // patches.stride + 1, 0)

    def rows_in(memory: int) -> NDArray[np.int64]:
        found: NDArray[np.int64] = (memory // line - patches.size) // patches.stride + 1
        return found

    each = np.minimum(np.maximum(rows_in(most), _LEAST_ROWS), rows_in(room))
    parts = np.where(whole | (rows <= 0), 1, -(-rows // np.maximum(each, 1)))
    pictures = np.repeat(np.arange(len(planes)), parts)
    number = np.arange(len(pictures)) - np.repeat(np.cumsum(parts) - parts, parts)
    first, end = (one * rows[pictures] // parts[pictures] for one in (number, number + 1))
    whole = (whole | (rows <= 0))[pictures]
    top = np.where(whole, 0, first * patches.stride)
    bottom = np.where(whole, heights[pictures], (end - 1) * patches.stride + patches.size)
    shapes = np.stack([bottom - top, widths[pictures]], axis=1).astype(np.int32)
    return Strips(
        shapes=shapes,
        offsets=planes.offsets[pictures] + top * widths[pictures],
        areas=(heights * widths)[pictures],
        whole=whole,
        pictures=pictures,
        planes=planes.count,
        patches=patches if whole.all() else PatchGrid(shapes, patches.size, patches.stride),
    )
