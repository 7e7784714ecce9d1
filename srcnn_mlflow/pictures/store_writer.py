"""Write the file that training reads, or find the one that is there already."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
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
from srcnn_mlflow.machine.processors import available_cores
from srcnn_mlflow.machine.progress import progress
from srcnn_mlflow.pictures.datasets import Dataset, Split
from srcnn_mlflow.pictures.imaging import Plane
from srcnn_mlflow.pictures.pairs import Pair, ReadPixels, make_pairs
from srcnn_mlflow.pictures.photos import Photo, load_luma, load_pixels
from srcnn_mlflow.pictures.shards import Part, divide
from srcnn_mlflow.pictures.store import Store, open_store
from srcnn_mlflow.pictures.store_file import (
    STORE_FOLDER,
    STORED_SPLITS,
    USER_BLOCK,
    Identity,
    StoreSettings,
    check_file,
    file_name,
    identify,
    provenance,
    seal,
)
from srcnn_mlflow.pictures.store_plan import (
    SplitPlan,
    check_content,
    check_room,
    estimate_effort,
    patch_corners,
    size_of,
)

logger = logging.getLogger(__name__)

# By how many planes are asked for.
_READERS: Mapping[int, ReadPixels] = {1: load_luma, 3: load_pixels}


@dataclass(frozen=True)
class Prepared:
    """A prepared set, and the photographs that were made into it.

    Attributes:
        files: in which it lies, in the order of its pictures.
        train: what it was made of to train on.
        valid: what it was made of to validate on.
        test: what it was not made of; None where the data set has no test pictures.
        checked: what each file was when every byte of it was checked, or written.
    """

    files: tuple[Path, ...]
    train: Split
    valid: Split
    test: Split | None
    checked: tuple[Identity | None, ...] = ()

    def __str__(self) -> str:
        """Where it lies."""
        first = self.files[0]
        return str(first) if len(self.files) == 1 else f"{len(self.files)} files in {first.parent}"

    def open(self) -> Store:
        """Map it into memory; of a file that is still what was checked, no byte is checked again.

        Raises:
            StoreError: a file is missing, damaged or materialized.
        """
        return open_store(*self.files, checked=self.checked)


def prepare(
    dataset: Dataset,
    settings: StoreSettings,
    folder: Path | None = None,
    read_pixels: ReadPixels | None = None,
    first: int = 0,
) -> Prepared:
    """Write what training reads, or find what is already there.

    A file has a temporary name until it is complete, so a broken-off start leaves nothing that
    could be taken for good. Processes that want the same set share the making of its files; one
    that wants a file which another one makes waits for it.

    Args:
        dataset: its train and valid splits are stored.
        settings: scale and patches.
        folder: where prepared files lie; None for the one below the folder of work.
        read_pixels: gives the luma of a photograph, or its pixels where three planes are asked for;
            None to decode its file.
        first: with which file this process begins, where there are several.

    Raises:
        StoreError: no picture is as large as a patch, or the disk is too full.
        WriteError: the folder may not be written, or the disk is full after all.
        DatasetError: a split is empty.
    """
    train, valid = (dataset.split(name) for name in STORED_SPLITS)
    test = dataset.split("test") if dataset.splits.get("test") else None

    def place(part: Part) -> Path:
        name = file_name(settings, part)
        return folder.absolute() / name if folder else kept(f"{STORE_FOLDER}/{name}")

    parts = divide(train, valid, settings)
    # As former versions have prepared sets of any size.
    if len(parts) > 1 and _whole(place((train, valid)), (train, valid), settings):
        parts = ((train, valid),)
    files = {place(part): part for part in parts}
    checked = _check_all(files, settings)
    missing = [path for path, whole in checked.items() if whole is None]
    made = False
    if missing:
        read = read_pixels or _READERS[settings.planes]
        effort = _check(dataset.name, files, missing, settings, read)
        begin = first % len(missing)
        in_turn = [*missing[begin:], *missing[:begin]]
        # What others are at work on comes last.
        for wait in (False, True):
            for path in list(in_turn):
                with one_at_a_time(path.with_suffix(".lock"), f"prepares {path}", wait) as mine:
                    if not mine:
                        continue
                    in_turn.remove(path)
                    # Another process may have made it since.
                    checked[path] = _whole(path, files[path], settings)
                    if checked[path] is None:
                        if not made:
                            logger.info("preparing %s", effort)
                        made = True
                        _write(path, files[path], settings, read)
                        checked[path] = identify(path)
    prepared = Prepared(tuple(files), train, valid, test, tuple(checked.values()))
    if not made:
        logger.info("already prepared: %s", prepared)
    return prepared


def _check_all(files: Mapping[Path, Part], settings: StoreSettings) -> dict[Path, Identity | None]:
    """What each file is; None for those that are not there, or not as they were written."""
    with ThreadPoolExecutor(available_cores()) as pool:
        found = pool.map(lambda path: _whole(path, files[path], settings), files)
        return dict(zip(files, found, strict=True))


def _whole(path: Path, part: Part, settings: StoreSettings) -> Identity | None:
    """What a file is that is there, as it was written; else None."""
    # Taken first, so that a change while it is being checked is noticed later.
    identity = identify(path)
    if identity is None:
        return None
    try:
        check_file(path, settings, part)
    except StoreError:
        logger.warning("%s is damaged, so it is made again", path)
        return None
    return identity


def _check(
    name: str,
    files: Mapping[Path, Part],
    missing: Sequence[Path],
    settings: StoreSettings,
    read_pixels: ReadPixels,
) -> str:
    """What will be made, in words, if there is something to make and room for it."""
    photos = {
        split: [photo for path in missing for photo in files[path][number].photos]
        for number, split in enumerate(STORED_SPLITS)
    }
    plan = {split: SplitPlan(of_split, settings) for split, of_split in photos.items()}
    _name_small(photos["train"], settings.scale, settings.patch_size, "a patch")
    _name_small(photos["valid"], settings.scale, settings.scale, "the scale")
    if len(missing) == len(files):
        check_content(plan, settings, name)
    size = check_room(plan, settings, name, missing[0].parent)
    seconds, memory = estimate_effort(plan, settings.scale, read_pixels)
    where = str(missing[0])
    if len(files) > 1:
        where = f"{len(missing)} of {len(files)} files in {missing[0].parent}"
    return (
        f"{where}: {sum(len(split.photos) for split in plan.values())} pictures, "
        f"{plan['train'].patch_count:,} patches; about {seconds:.0f} s, {memory / 1e6:.0f} MB of "
        f"memory and {size / 1e6:.0f} MB on disk"
    )


def _name_small(photos: Sequence[Photo], scale: int, least: int, what: str) -> None:
    """Name what is smaller than something when it is cropped to multiples of the scale."""
    for photo in photos:
        shorter = min(photo.width, photo.height)
        if shorter - shorter % scale < least:
            size = f"{photo.width}x{photo.height}"
            if shorter >= least:
                size += f", cropped to multiples of {scale},"
            logger.warning("left out: %s: %s is smaller than %s, %d", photo.name, size, what, least)


def _write(path: Path, part: Part, settings: StoreSettings, read_pixels: ReadPixels) -> None:
    plan = {split.name: SplitPlan(split.photos, settings) for split in part}
    # What killed processes have left; the lock says that none of them is alive.
    for left in path.parent.glob(f"{path.name}.*.partial"):
        left.unlink()
    with atomic_write(path, size_of(plan, settings)) as partial:
        with Hdf5Output(partial, "w+") as output:
            try:
                with h5py.File(output, "w", userblock_size=USER_BLOCK) as file:
                    file.attrs.update(provenance(settings, part))
                    for name, split in plan.items():
                        made = make_pairs(split.photos, settings.scale, read_pixels)
                        with closing(made) as pairs:
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
