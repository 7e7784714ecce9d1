"""A pass over more pictures than fit the memory: which are in it together, and in which order.

The pictures of a set are parted into blocks: several small neighbours, or a strip of a larger one.
A pass takes the blocks in a random order, as many at a time as fit: a window, whose patches come in
a random order of their own. Of several processes each has its own stretch of the blocks' order, and
reads no other.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from srcnn_mlflow.machine.errors import TrainingError
from srcnn_mlflow.pictures.patch_grid import PatchGrid
from srcnn_mlflow.pictures.store import Planes
from srcnn_mlflow.training.strips import Strips, cut_pictures

# So that a window has a part of many pictures, and none is read in tiny pieces.
_BLOCKS_A_WINDOW = 64
_LARGEST_BLOCK = 1 << 20


@dataclass(frozen=True)
class Blocks:
    """What is read at once: neighbouring whole pictures of one file, or a strip of a larger one.

    Attributes:
        strips: int64 (blocks, 2), the first strip of each and the one behind its last.
        pictures: int64 (blocks,), the first picture of each; strips of one picture share it.
        sizes: int64 (blocks,), the bytes of their originals.
        patches: int64 (blocks, 2), the number of their first patch and the one behind the last.
    """

    strips: NDArray[np.int64]
    pictures: NDArray[np.int64]
    sizes: NDArray[np.int64]
    patches: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.strips)


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


def lay_strips(planes: Planes, patches: PatchGrid, window: int) -> Strips:
    """Cut pictures so that a window has a part of many.

    Args:
        planes: the pictures.
        patches: the numbering of their patches.
        window: what a window's originals may take, in bytes.

    Raises:
        TrainingError: two rows of patches may be larger.
    """
    strips = cut_pictures(planes, patches, _most(window), window // 2)
    sizes = np.where(np.diff(strips.patches.firsts) > 0, strips.sizes, 0)
    if 2 * sizes.max() > window:
        height, width = planes.shapes[strips.pictures[sizes.argmax()]]
        raise TrainingError(
            f"memory of {4 * window:,} bytes is too little for a row of patches of a training "
            f"picture of {width}x{height}; give memory={-(-8 * sizes.max() // 1_000_000)}MB or "
            "more, or smaller pictures"
        )
    return strips


def lay_blocks(planes: Planes, strips: Strips, window: int) -> Blocks:
    """Put strips of whole pictures together with their neighbours, as far as a window is large.

    Args:
        planes: the pictures.
        strips: of them.
        window: what a window's originals may take, in bytes.
    """
    file_ends = np.cumsum([len(one) for one in planes.lr])
    files = np.searchsorted(file_ends, strips.offsets, side="right")
    # A run ends with its file, and before and behind a picture that is cut.
    alone = np.flatnonzero(~strips.whole)
    breaks = np.unique(np.concatenate([np.flatnonzero(np.diff(files)) + 1, alone, alone + 1]))
    ends = np.cumsum(strips.sizes)
    begins = [0]
    for until in [*breaks[breaks > 0].tolist(), len(strips)]:
        while begins[-1] < until:
            first = begins[-1]
            filled = ends[first] - strips.sizes[first] + _most(window)
            behind = int(np.searchsorted(ends, filled, side="right"))
            begins.append(min(max(behind, first + 1), until))
    parts = np.stack([begins[:-1], begins[1:]], axis=1).astype(np.int64)
    numbers = strips.patches.firsts[parts]
    sizes = ends[parts[:, 1] - 1] - ends[parts[:, 0]] + strips.sizes[parts[:, 0]]
    some = numbers[:, 1] > numbers[:, 0]
    return Blocks(parts[some], strips.pictures[parts[some, 0]], sizes[some], numbers[some])


def _most(window: int) -> int:
    """What a block should take, in bytes."""
    return min(window // _BLOCKS_A_WINDOW, _LARGEST_BLOCK)


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
    order = _order(blocks, np.random.default_rng(seed))
    counts = blocks.patches[order, 1] - blocks.patches[order, 0]
    ends = np.cumsum(counts)
    begin, end = own_stretch(int(ends[-1]), *process)
    place, number = begin, 0
    while place < end:
        first = int(np.searchsorted(ends, place, side="right"))
        sizes = np.cumsum(blocks.sizes[order[first:]])
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


def _order(blocks: Blocks, generator: np.random.Generator) -> NDArray[np.int64]:
    """A random order of blocks, with the strips of a picture spread over the pass."""
    _, group, counts = np.unique(blocks.pictures, return_inverse=True, return_counts=True)
    mixed = np.lexsort((generator.random(len(blocks)), group))
    rank = np.empty(len(blocks), np.int64)
    rank[mixed] = np.arange(len(blocks)) - np.repeat(np.cumsum(counts) - counts, counts)
    order: NDArray[np.int64] = np.argsort((rank + generator.random(len(blocks))) / counts[group])
    return order


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
