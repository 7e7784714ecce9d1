"""Windows of pictures: every patch once a pass, whatever fits the memory and whoever learns it."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srcnn_mlflow.machine.errors import TrainingError
from srcnn_mlflow.pictures.patch_grid import PatchGrid
from srcnn_mlflow.pictures.store import Planes
from srcnn_mlflow.training.windows import (
    Blocks,
    lay_blocks,
    lay_strips,
    own_stretch,
    windows_of_pass,
)


def planes_of(shapes: list[tuple[int, int]], cuts: list[int]) -> Planes:
    """Planes of these shapes, in as many files as there are cuts and one more."""
    sizes = np.prod(np.array(shapes, np.int64), axis=1)
    ends = np.cumsum(sizes)
    flat = np.zeros(ends[-1], np.uint8)
    parts = tuple(
        one for one in np.split(flat, sorted({int(ends[cut]) for cut in cuts})) if len(one)
    )
    return Planes(parts, parts, np.array(shapes, np.int32), ends - sizes)


def blocks_of(shapes: list[tuple[int, int]], cuts: list[int], window: int) -> Blocks:
    planes = planes_of(shapes, cuts)
    grid = PatchGrid(planes.shapes, 9, 4)
    return lay_blocks(planes, lay_strips(planes, grid, window), window)


sets = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=40)


@settings(max_examples=200)
@given(
    shapes=sets,
    cuts=st.lists(st.integers(0, 39), max_size=4),
    window=st.integers(720, 20_000),
    size=st.integers(1, 5),
    seed=st.integers(0, 2**31),
)
def test_processes_together_have_every_patch_once(
    shapes: list[tuple[int, int]], cuts: list[int], window: int, size: int, seed: int
) -> None:
    grid = PatchGrid(np.array(shapes, np.int32), 9, 4)
    if not len(grid):
        return
    blocks = blocks_of(shapes, [cut % len(shapes) for cut in cuts], window)
    found = []
    for rank in range(size):
        place = 0
        for number, one in enumerate(windows_of_pass(blocks, window, 0, (seed, 3), (rank, size))):
            assert (one.number, one.first) == (number, place)
            assert blocks.sizes[one.blocks].sum() <= window
            found += [number for ends in one.patches for number in range(*ends)]
            place += one.count
        assert place == len(range(rank, len(grid), size))
    assert sorted(found) == list(range(len(grid)))


@given(patches=st.integers(1, 1000), size=st.integers(1, 9))
def test_stretches_are_what_is_dealt_out_one_by_one(patches: int, size: int) -> None:
    stretches = [own_stretch(patches, rank, size) for rank in range(size)]
    assert [end - begin for begin, end in stretches] == [
        len(range(rank, patches, size)) for rank in range(size)
    ]
    assert stretches[0][0] == 0
    assert stretches[-1][1] == patches
    assert all(one[1] == other[0] for one, other in pairwise(stretches))


def test_passes_and_seeds_have_orders_of_their_own() -> None:
    shapes = [(30, 30)] * 40
    blocks = blocks_of(shapes, [], 4000)

    def order(seed: int, number: int) -> list[int]:
        windows = windows_of_pass(blocks, 4000, 0, (seed, number), (0, 1))
        return [int(block) for one in windows for block in one.blocks]

    assert order(1, 0) == order(1, 0)
    assert len({tuple(order(seed, number)) for seed in (1, 2) for number in (0, 1)}) == 4


def test_a_block_is_one_strip_or_neighbours_of_one_file() -> None:
    # Twelve small ones, of which the eighth begins another file, and a large one among them.
    shapes = [(10, 10)] * 6 + [(30, 40)] + [(10, 10)] * 6
    planes = planes_of(shapes, [8])
    window = 400 * 64
    strips = lay_strips(planes, PatchGrid(planes.shapes, 9, 4), window)
    blocks = lay_blocks(planes, strips, window)
    assert strips.pictures.tolist() == [*range(6), 6, 6, *range(7, 13)]
    assert blocks.strips.tolist() == [[0, 4], [4, 6], [6, 7], [7, 8], [8, 10], [10, 14]]
    assert blocks.sizes.tolist() == [400, 200, 17 * 40, 17 * 40, 200, 400]


@given(seed=st.integers(0, 2**31))
def test_the_strips_of_a_picture_are_spread_over_the_pass(seed: int) -> None:
    # Eight rows of patches each, four of which a strip has.
    shapes = [(9 + 4 * 7, 30)] * 6
    window = 3000
    blocks = blocks_of(shapes, [], window)
    assert np.bincount(blocks.pictures).tolist() == [2] * 6
    windows = windows_of_pass(blocks, window, 0, (seed, 0), (0, 1))
    order = [blocks.pictures[block] for one in windows for block in one.blocks]
    assert sorted(order[:6]) == sorted(order[6:]) == list(range(6))


def test_memory_that_is_too_small_is_told_with_what_would_do() -> None:
    shapes = [(40, 50), (10, 10)]
    says = r"3,596 bytes is too little for .* picture of 50x40; give memory=1MB or more"
    with pytest.raises(TrainingError, match=says):
        blocks_of(shapes, [], 899)
    # A row of patches of the large one at a time.
    assert len(blocks_of(shapes, [], 900)) == 9
    blocks = blocks_of([(20, 20)] * 9, [], 800)
    with pytest.raises(TrainingError, match=r"holds 18 patches at a time, fewer than a step takes"):
        list(windows_of_pass(blocks, 800, 19, (0, 0), (0, 1)))
