"""What a prepared file will hold and take, before a pixel is read."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from srcnn_mlflow.machine.disk import free_bytes, readable_size
from srcnn_mlflow.machine.errors import StoreError
from srcnn_mlflow.machine.processors import available_cores
from srcnn_mlflow.pictures.pairs import ReadPixels, make_pair
from srcnn_mlflow.pictures.photos import Photo
from srcnn_mlflow.pictures.store_file import StoreSettings

# Decoded colours, sums in 32 bits and planes in float, of a picture that is being made a pair; its
# three planes are made one after another.
_BYTES_A_PIXEL = 24


def patch_corners(height: int, width: int, size: int, stride: int) -> NDArray[np.int32]:
    """List the top left corners of all whole patches, row by row.

    Returns:
        int32 of shape (patches, 2): top and left; empty where the picture is too small.

    >>> patch_corners(height=40, width=50, size=33, stride=14).tolist()
    [[0, 0], [0, 14]]
    """
    tops = np.arange(0, height - size + 1, stride, dtype=np.int32)
    lefts = np.arange(0, width - size + 1, stride, dtype=np.int32)
    return np.stack(np.meshgrid(tops, lefts, indexing="ij"), axis=-1).reshape(-1, 2)


class SplitPlan:
    """Sizes of everything a split will hold, known before a pixel is read."""

    def __init__(self, photos: Sequence[Photo], settings: StoreSettings) -> None:
        scale = settings.scale
        self.given = len(photos)
        self.photos = [p for p in photos if min(p.width, p.height) >= scale]
        self.shapes = np.array(
            [(p.height - p.height % scale, p.width - p.width % scale) for p in self.photos],
            dtype=np.int32,
        ).reshape(-1, 2)
        sizes = settings.planes * self.shapes.prod(axis=1, dtype=np.int64)
        self.samples = int(sizes.sum())
        self.offsets = (np.cumsum(sizes) - sizes).astype(np.int64)
        # Corners are listed picture by picture: a big set has hundreds of megabytes of them.
        steps = (self.shapes.astype(np.int64) - settings.patch_size) // settings.stride + 1
        self.patch_count = int(np.maximum(steps, 0).prod(axis=1).sum())

    @property
    def largest(self) -> str:
        """The largest picture, as it is cropped to multiples of the scale; empty where none is."""
        if not self.photos:
            return ""
        height, width = max(self.shapes.tolist(), key=lambda shape: (min(shape), max(shape)))
        return f", the largest being {width}x{height} when cropped to multiples of the scale"


Plan = Mapping[str, SplitPlan]


def check_content(plan: Plan, settings: StoreSettings, name: str) -> None:
    """Make sure that there is something to prepare.

    Args:
        plan: of the whole set, by split.
        settings: scale and patches.
        name: of the data set, for messages.

    Raises:
        StoreError: no picture is as large as a patch, or as the scale.
    """
    if not plan["train"].patch_count:
        raise StoreError(
            f"none of the {plan['train'].given} training pictures of data set {name} holds a patch "
            f"of {settings.patch_size}x{settings.patch_size} pixels{plan['train'].largest}; give "
            "larger pictures, or a smaller patch_size"
        )
    if not plan["valid"].samples:
        raise StoreError(
            f"all {plan['valid'].given} validation pictures of data set {name} have a side shorter "
            f"than the scale, {settings.scale}; give larger ones"
        )


def check_room(plan: Plan, settings: StoreSettings, name: str, folder: Path) -> int:
    """Make sure that there is room for what is to be prepared.

    Args:
        plan: of that, by split.
        settings: scale and patches.
        name: of the data set, for messages.
        folder: where it is to lie.

    Returns:
        How many bytes it will have.

    Raises:
        StoreError: the disk is too full.
    """
    size = size_of(plan, settings)
    free = free_bytes(folder)
    if size > free:
        raise StoreError(
            f"preparing data set {name} needs {readable_size(size)} under {folder}, and "
            f"{readable_size(free)} are free; make room, or use fewer pictures (train_images)"
        )
    return size


def size_of(plan: Plan, settings: StoreSettings) -> int:
    """How many bytes a file will have."""
    patches = plan["train"].patch_count
    if settings.materialize:
        size = 8 * patches * settings.planes * settings.patch_size**2
    else:
        size = 2 * plan["train"].samples + 12 * patches
    return size + 2 * plan["valid"].samples


def estimate_effort(plan: Plan, scale: int, read_pixels: ReadPixels) -> tuple[float, float]:
    """Seconds and bytes of memory that preparing will take, from making one pair.

    Some picture has to be as large as the scale.
    """
    pixels = sum(int(split.shapes.prod(axis=1).sum()) for split in plan.values())
    largest = max(int(split.shapes.prod(axis=1).max(initial=0)) for split in plan.values())
    sample = next(split.photos[0] for split in plan.values() if split.photos)
    start = time.perf_counter()
    make_pair(read_pixels(sample), scale)
    elapsed = time.perf_counter() - start
    workers = available_cores()
    seconds = elapsed * pixels / (sample.width * sample.height) / workers
    return seconds, _BYTES_A_PIXEL * largest * 2 * workers
