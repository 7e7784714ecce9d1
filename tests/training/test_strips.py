"""Strips of pictures: the same patches under the same numbers, where their pixels lie."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from srcnn_mlflow.pictures.patch_grid import PatchGrid
from srcnn_mlflow.pictures.store import Planes
from srcnn_mlflow.training.strips import cut_pictures


def planes_of(shapes: list[tuple[int, int]], count: int) -> Planes:
    sizes = np.prod(np.array(shapes, np.int64), axis=1) * count
    ends = np.cumsum(sizes)
    flat = (np.zeros(ends[-1], np.uint8),)
    grey = np.zeros(len(shapes), np.bool_) if count > 1 else None
    return Planes(flat, flat, np.array(shapes, np.int32), ends - sizes, grey)


@given(
    shapes=st.lists(st.tuples(st.integers(1, 60), st.integers(1, 40)), min_size=1, max_size=12),
    count=st.sampled_from([1, 3]),
    most=st.integers(1, 4000),
    room=st.integers(1, 8000),
    size=st.integers(1, 12),
    stride=st.integers(1, 9),
)
def test_every_patch_has_its_number_and_its_pixels(
    shapes: list[tuple[int, int]], count: int, most: int, room: int, size: int, stride: int
) -> None:
    planes = planes_of(shapes, count)
    grid = PatchGrid(planes.shapes, size, stride)
    strips = cut_pictures(planes, grid, most, max(most, room))
    assert len(strips.patches) == len(grid)
    numbers = np.arange(len(grid))
    picture, top, left = grid.where(numbers).T
    strip, below, beside = strips.patches.where(numbers).T
    assert np.array_equal(strips.pictures[strip], picture)
    widths = planes.shapes[:, 1]
    assert np.array_equal(
        strips.offsets[strip] + below * widths[picture] + beside,
        planes.offsets[picture] + top * widths[picture] + left,
    )
    assert np.array_equal(strips.shapes[strip, 1], widths[picture])
    assert (below + size <= strips.shapes[strip, 0]).all()
    assert np.array_equal(strips.areas, planes.shapes.prod(axis=1)[strips.pictures])
    sizes = planes.shapes.prod(axis=1, dtype=np.int64) * count
    assert np.array_equal(np.unique(strips.pictures), np.arange(len(shapes)))
    assert (strips.whole[strip] == (sizes <= most)[picture]).all()
    rows = (strips.shapes[:, 0] - size) // stride + 1
    some = np.diff(strips.patches.firsts) > 0
    assert ((strips.sizes <= max(most, room)) | (rows == 1))[some].all()


def test_strips_have_four_rows_of_patches_where_they_fit() -> None:
    planes = planes_of([(100, 50), (100, 50)], 1)
    strips = cut_pictures(planes, PatchGrid(planes.shapes, 33, 14), 1000, 50 * 80)
    # Five rows of patches make two strips, not one of four and one of one.
    assert strips.shapes.tolist() == [[47, 50], [61, 50]] * 2
    assert strips.offsets.tolist() == [0, 28 * 50, 5000, 5000 + 28 * 50]
    assert not strips.whole.any()
    two = cut_pictures(planes, PatchGrid(planes.shapes, 33, 14), 1000, 50 * 60)
    assert two.shapes[:, 0].tolist() == [33, 47, 47] * 2
