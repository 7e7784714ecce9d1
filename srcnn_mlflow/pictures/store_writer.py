"""Write the file that training reads, or find the one that is there already."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from srcnn_mlflow.machine.atomic_write import atomic_write
from srcnn_mlflow.machine.errors import StoreError
from srcnn_mlflow.machine.hdf5_output import Hdf5Output
from srcnn_mlflow.machine.locking import one_at_a_time
from srcnn_mlflow.machine.places import kept
from srcnn_mlflow.machine.progress import progress
from srcnn_mlflow.pictures.datasets import Dataset, Split
from srcnn_mlflow.pictures.imaging import Plane
from srcnn_mlflow.pictures.pairs import Pair, ReadPixels, make_pairs
from srcnn_mlflow.pictures.photos import Photo, load_luma, load_pixels
from srcnn_mlflow.pictures.store_file import (
    STORE_FOLDER,
    STORED_SPLITS,
    USER_BLOCK,
    StoreSettings,
    check_file,
    file_name,
    provenance,
    seal,
)
from srcnn_mlflow.pictures.store_plan import (
    Plan,
    SplitPlan,
    check_plan,
    estimate_effort,
    patch_corners,
)

logger = logging.getLogger(__name__)

# By how many planes are asked for.
_READERS: Mapping[int, ReadPixels] = {1: load_luma, 3: load_pixels}


@dataclass(frozen=True)
class Prepared:
    """A prepared file, and the photographs that were made into it.

    Attributes:
        path: the file.
        train: what it was made of to train on.
        valid: what it was made of to validate on.
        test: what it was not made of; None where the data set has no test pictures.
    """

    path: Path
    train: Split
    valid: Split
    test: Split | None


def prepare(
    dataset: Dataset,
    settings: StoreSettings,
    folder: Path | None = None,
    read_pixels: ReadPixels | None = None,
) -> Prepared:
    """Write the file that training reads, or find the one that is already there.

    The file has a temporary name until it is complete, so a broken-off start leaves nothing that
    could be taken for good. A second process that wants the same file waits for the first.

    Args:
        dataset: its train and valid splits are stored.
        settings: scale and patches.
        folder: where prepared files lie; None for the one below the folder of work.
        read_pixels: gives the luma of a photograph, or its pixels where three planes are asked for;
            None to decode its file.

    Raises:
        StoreError: no picture is as large as a patch, or the disk is too full.
        WriteError: the folder may not be written, or the disk is full after all.
        DatasetError: a split is empty.
    """
    train, valid = (dataset.split(name) for name in STORED_SPLITS)
    test = dataset.split("test") if dataset.splits.get("test") else None
    name = file_name(settings, (train, valid))
    path = folder.absolute() / name if folder else kept(f"{STORE_FOLDER}/{name}")
    prepared = Prepared(path, train, valid, test)
    if not _is_whole(prepared, settings):
        with one_at_a_time(prepared.path.with_suffix(".lock"), f"prepares {prepared.path}"):
            if not _is_whole(prepared, settings):
                _make(prepared, settings, read_pixels or _READERS[settings.planes])
    return prepared


def _is_whole(prepared: Prepared, settings: StoreSettings) -> bool:
    path = prepared.path
    if not path.exists():
        return False
    try:
        check_file(path, settings, (prepared.train, prepared.valid))
    except StoreError:
        logger.warning("%s is damaged, so it is made again", path)
        return False
    logger.info("already prepared: %s", path)
    return True


def _make(prepared: Prepared, settings: StoreSettings, read_pixels: ReadPixels) -> None:
    path, splits = prepared.path, (prepared.train, prepared.valid)
    plan = {split.name: SplitPlan(split.photos, settings) for split in splits}
    _name_small(prepared.train.photos, settings.scale, settings.patch_size, "a patch")
    _name_small(prepared.valid.photos, settings.scale, settings.scale, "the scale")
    size = check_plan(plan, settings, prepared.train.dataset, path.parent)
    seconds, memory = estimate_effort(plan, settings.scale, read_pixels)
    logger.info(
        "preparing %s: %d pictures, %s patches; about %.0f s, %.0f MB of memory and %.0f MB on "
        "disk",
        path,
        sum(len(split.photos) for split in plan.values()),
        f"{plan['train'].patch_count:,}",
        seconds,
        memory / 1e6,
        size / 1e6,
    )
    _write(path, plan, size, provenance(settings, splits), settings, read_pixels)


def _name_small(photos: Sequence[Photo], scale: int, least: int, what: str) -> None:
    """Name what is smaller than something when it is cropped to multiples of the scale."""
    for photo in photos:
        shorter = min(photo.width, photo.height)
        if shorter - shorter % scale < least:
            size = f"{photo.width}x{photo.height}"
            if shorter >= least:
                size += f", cropped to multiples of {scale},"
            logger.warning("left out: %s: %s is smaller than %s, %d", photo.name, size, what, least)


def _write(
    path: Path,
    plan: Plan,
    size: int,
    provenance: dict[str, str | int | bool],
    settings: StoreSettings,
    read_pixels: ReadPixels,
) -> None:
    # What killed processes have left; the lock says that none of them is alive.
    for left in path.parent.glob(f"{path.name}.*.partial"):
        left.unlink()
    with atomic_write(path, size) as partial:
        with Hdf5Output(partial, "w+") as output:
            try:
                with h5py.File(output, "w", userblock_size=USER_BLOCK) as file:
                    file.attrs.update(provenance)
                    for name, split in plan.items():
                        pairs = make_pairs(split.photos, settings.scale, read_pixels)
                        _write_split(file, name, split, settings, output.checked(pairs))
            finally:
                output.check()
        first_block = seal(partial)
        with partial.open("r+b") as sealed:
            sealed.write(first_block)


def _write_split(
    file: h5py.File, split: str, plan: SplitPlan, settings: StoreSettings, pairs: Iterator[Pair]
) -> None:
    pairs = progress(pairs, total=len(plan.photos), label=f"preparing {split}")
    if split == "train" and settings.materialize:
        _write_patches(file, pairs, plan, settings)
        return
    _write_planes(file.create_group(split), pairs, plan, settings)
    if split == "train":
        _write_index(
            file.create_dataset("train/patches", (plan.patch_count, 3), np.int32), plan, settings
        )


def _write_planes(
    group: h5py.Group, pairs: Iterator[Pair], plan: SplitPlan, settings: StoreSettings
) -> None:
    lr = group.create_dataset("lr", (plan.samples,), np.uint8)
    hr = group.create_dataset("hr", (plan.samples,), np.uint8)
    grey = np.zeros(len(plan.photos), np.bool_)
    for picture, pair in enumerate(pairs):
        flat = [_planes(pixels, settings).ravel() for pixels in pair]
        where = slice(plan.offsets[picture], plan.offsets[picture] + flat[0].size)
        lr[where], hr[where] = flat
        grey[picture] = pair[0].ndim == 2
    if settings.planes > 1:
        group["grey"] = grey
    group["shape"] = plan.shapes
    group["offset"] = plan.offsets
    group["name"] = [photo.name for photo in plan.photos]


def _write_index(output: h5py.Dataset, plan: SplitPlan, settings: StoreSettings) -> None:
    done = 0
    for picture, (height, width) in enumerate(plan.shapes):
        corners = patch_corners(height, width, settings.patch_size, settings.stride)
        numbers = np.full(len(corners), picture, np.int32)
        output[done : done + len(corners)] = np.column_stack([numbers, corners])
        done += len(corners)


def _write_patches(
    file: h5py.File, pairs: Iterator[Pair], plan: SplitPlan, settings: StoreSettings
) -> None:
    size = settings.patch_size
    shape = (size, size) if settings.planes == 1 else (settings.planes, size, size)
    outputs = [
        file.create_dataset(name, (plan.patch_count, *shape), np.float32) for name in ("lr", "hr")
    ]
    done = 0
    for pair in pairs:
        height, width = pair[0].shape[:2]
        corners = patch_corners(height, width, size, settings.stride)
        if not len(corners):
            continue
        for output, pixels in zip(outputs, pair, strict=True):
            # The places of a window first, whatever it holds.
            windows = sliding_window_view(_planes(pixels, settings), (size, size), axis=(-2, -1))
            windows = np.moveaxis(windows, (-4, -3), (0, 1))
            output[done : done + len(corners)] = windows[corners[:, 0], corners[:, 1]]
        done += len(corners)


def _planes(pixels: Plane, settings: StoreSettings) -> Plane:
    """A picture's luma as it is; or its red, green and blue, (3, height, width), grey thrice."""
    if settings.planes == 1:
        return pixels
    return np.stack([pixels] * 3) if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
