"""A pass over more pictures than fit the memory: which are in it together, and in which order.

The pictures of a set are parted into blocks of neighbours. A pass takes the blocks in a random
order, as many at a time as fit: a window, whose patches come in a random order of their own. Of
several processes each has its own stretch of the blocks' order, and reads no other.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from srcnn_mlflow.machine.errors import TrainingError
from srcnn_mlflow.pictures.patch_grid import PatchGrid
from srcnn_mlflow.pictures.store import Planes

# Of a window, so that several make one and none is read in tiny pieces.
_BLOCKS_A_WINDOW = 16
_LARGEST_BLOCK = 1 << 23


@dataclass(frozen=True)
class Blocks:
    """Runs of neighbouring pictures that lie in one file.

    Attributes:
        pictures: int64 (blocks, 2), the first picture of each and the one behind its last.
        offsets: int64 (blocks, 2), where their planes begin and end, as `Planes.offsets` has it.
        patches: int64 (blocks, 2), the number of their first patch and the one behind the last.
    """

    pictures: NDArray[np.int64]
    offsets: NDArray[np.int64]
    patches: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.pictures)


@dataclass(frozen=True)
class Window:
    """What of a pass one process has in memory at once.

    Attributes:
        number: of the window in its process's pass.
        first: the place of its first patch among those of its process in the pass.
        blocks: int64 (blocks,), which it reads.
        patches: int64 (blocks, 2), the number of the first patch that it has of each, and the one
            behind the last; neighbouring processes may have parts of one block.
    """

    number: int
    first: int
    blocks: NDArray[np.int64]
    patches: NDArray[np.int64]

    @property
    def count(self) -> int:
        """How many patches it has."""
        return int((self.patches[:, 1] - self.patches[:, 0]).sum())


def lay_blocks(planes: Planes, patches: PatchGrid, window: int) -> Blocks:
    """Part pictures into blocks.

    Args:
        planes: the pictures.
        patches: the numbering of their patches.
        window: what a window's originals may take, in bytes.

    Raises:
        TrainingError: two pictures may be larger.
    """
    most = min(window // _BLOCKS_A_WINDOW, _LARGEST_BLOCK)
    sizes = planes.count * planes.shapes.prod(axis=1, dtype=np.int64)
    least = 8 * int(sizes.max())
    if least > 4 * window:
        height, width = planes.shapes[sizes.argmax()]
        raise TrainingError(
            f"memory of {4 * window:,} bytes is too little for the largest training picture, "
            f"{width}x{height}; give memory={-(-least // 1_000_000)}MB or more, or smaller pictures"
        )
    ends = planes.offsets + sizes
    file_ends = np.cumsum([len(one) for one in planes.lr])
    files = np.searchsorted(file_ends, planes.offsets, side="right")
    begins = [0]
    for picture in range(1, len(sizes)):
        first = begins[-1]
        another_file = files[picture] != files[first]
        if another_file or ends[picture] - planes.offsets[first] > most:
            begins.append(picture)
    pictures = np.array([begins, [*begins[1:], len(sizes)]], np.int64).T
    offsets = np.stack([planes.offsets[pictures[:, 0]], ends[pictures[:, 1] - 1]], axis=1)
    numbers = patches.firsts[pictures]
    some = numbers[:, 1] > numbers[:, 0]
    return Blocks(pictures[some], offsets[some], numbers[some])


def windows_of_pass(
    blocks: Blocks, window: int, least: int, seed: tuple[int, int], process: tuple[int, int]
) -> Iterator[Window]:
    """The windows of one process in one pass, in the order in which they are learned from.

    Args:
        blocks: of the whole set.
        window: what a window's originals may take, in bytes.
        least: patches that every window but the last has to have.
        seed: of the training, and the number of the pass.
        process: which it is, and how many there are.

    Raises:
        TrainingError: a window has fewer patches.
    """
    order = np.random.default_rng(seed).permutation(len(blocks))
    counts = blocks.patches[order, 1] - blocks.patches[order, 0]
    ends = np.cumsum(counts)
    begin, end = own_stretch(int(ends[-1]), *process)
    place, number = begin, 0
    while place < end:
        first = int(np.searchsorted(ends, place, side="right"))
        sizes = np.cumsum(blocks.offsets[order[first:], 1] - blocks.offsets[order[first:], 0])
        behind = first + max(1, int(np.searchsorted(sizes, window, side="right")))
        until = min(int(ends[behind - 1]), end)
        behind = int(np.searchsorted(ends, until, side="left")) + 1
        chosen = order[first:behind]
        mine = blocks.patches[chosen].copy()
        mine[0, 0] += place - (ends[first] - counts[first])
        mine[-1, 1] -= ends[behind - 1] - until
        if until < end and until - place < least:
            raise TrainingError(
                f"memory of {4 * window:,} bytes holds {until - place:,} patches at a time, fewer "
                f"than a step takes ({least}); give more memory, or a smaller batch_size"
            )
        yield Window(number, place - begin, chosen, mine)
        place, number = until, number + 1


def own_stretch(patches: int, rank: int, size: int) -> tuple[int, int]:
    """The places of the blocks' order that one of several processes learns from: first and end.

    It is as many as there are among the places rank, rank + size, rank + 2 size and so on: what a
    process has of batches that are dealt out patch by patch.
    """
    counts = [own_count(patches, one, size) for one in range(rank + 1)]
    return sum(counts[:rank]), sum(counts)


def own_count(places: int, rank: int, size: int) -> int:
    """How many of the first places are rank, rank + size, rank + 2 size and so on."""
    return len(range(rank, places, size))
