"""Where the patches of many pictures lie: computed from their sizes, not kept."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Numbers = int | NDArray[np.int64]
_AT_ONCE = 1 << 18


class PatchGrid:
    """The numbering of all whole patches, picture by picture, and row by row in each.

    It takes some bytes a picture, however many patches there are.

    Attributes:
        size: the side of a patch, in pixels.
        stride: between neighbouring patches, in pixels.
        across: int64 (pictures,), how many patches lie side by side in each.
        firsts: int64 (pictures + 1,), the number of the first patch of each, and of all patches.
    """

    def __init__(self, shapes: NDArray[np.int32], size: int, stride: int) -> None:
        """Lay it out.

        Args:
            shapes: int32 (pictures, 2), height and width of each.
            size: the side of a patch, in pixels.
            stride: between neighbouring patches, in pixels.
        """
        self.size, self.stride = size, stride
        steps = np.maximum((shapes.astype(np.int64) - size) // stride + 1, 0)
        # A copy, beside which the rest is let go of.
        self.across = steps[:, 1].copy()
        self.firsts = np.concatenate([[0], np.cumsum(steps.prod(axis=1))]).astype(np.int64)

    def __len__(self) -> int:
        return int(self.firsts[-1])

    def pictures(self, numbers: Numbers) -> NDArray[np.int64]:
        """The picture that each patch of these numbers lies in."""
        found: NDArray[np.int64] = np.searchsorted(self.firsts, numbers, side="right") - 1
        return found

    def where(self, numbers: Numbers) -> NDArray[np.int32]:
        """Picture, top and left of patches.

        Args:
            numbers: of the patches, from 0; of any shape.

        Returns:
            int32 of shape (..., 3).
        """
        pictures = self.pictures(numbers)
        rows, columns = np.divmod(numbers - self.firsts[pictures], self.across[pictures])
        found = (pictures, rows * self.stride, columns * self.stride)
        return np.stack(found, axis=-1).astype(np.int32)

    def corners(self, picture: int) -> NDArray[np.int32]:
        """Top and left of all patches of a picture, int32 (patches, 2); empty if it has none."""
        numbers = np.arange(self.firsts[picture], self.firsts[picture + 1])
        return self.where(numbers)[:, 1:]

    def listed(self) -> Iterator[NDArray[np.int32]]:
        """What `where` gives of all patches, as many at once as take little memory."""
        for first in range(0, len(self), _AT_ONCE):
            yield self.where(np.arange(first, min(first + _AT_ONCE, len(self))))
