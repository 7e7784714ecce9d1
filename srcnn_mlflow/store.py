"""The HDF5 file between photographs and training: each plane once, and where its patches lie.

A picture has as many overlapping patches as it has pixels / stride^2, so keeping the patches
costs about six times the planes at stride 14 and four times that again as float32. The file
keeps every pair of 8-bit planes once, one behind another, with an index of patches. It also
writes the classical arrays of patches, for programs that expect them.

Layout of a file of planes, for the groups `train` and `valid`:

    lr, hr      uint8, flat: the planes of all pictures, row by row; lr is already upscaled
    shape       int32 (pictures, 2): height and width
    offset      int64 (pictures,): where a picture's plane begins in lr and hr
    name        the pictures' file names
    patches     int32 (patches, 3), in train only: picture, top, left

A materialized file has, at its root instead of in `train`, `lr` and `hr` of shape
(patches, patch_size, patch_size), float32 in 0..255.

Either kind begins with a block of 512 bytes that HDF5 leaves to the user: a line of text with the
CRC-32 of all that follows, so that no bit of the file can change unnoticed.
"""

import hashlib
import json
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from srcnn_mlflow import __version__
from srcnn_mlflow.atomic_write import atomic_write
from srcnn_mlflow.datasets import Dataset, Photo, digest, load_luma
from srcnn_mlflow.errors import StoreError
from srcnn_mlflow.faults import readable_size
from srcnn_mlflow.hdf5_output import Hdf5Output
from srcnn_mlflow.imaging import Plane, downscale, mod_crop, to_eight_bit, upscale
from srcnn_mlflow.locking import one_at_a_time
from srcnn_mlflow.machine import available_cores, free_bytes
from srcnn_mlflow.progress import Say, progress

STORE_FOLDER = Path("data/prepared")
FORMAT = 2
STORED_SPLITS = ("train", "valid")

ReadLuma = Callable[[Photo], Plane]
Pair = tuple[Plane, Plane]

# The least that HDF5 allows for.
_USER_BLOCK = 512
_CHUNK = 1 << 22

# Decoded colours, sums in 32 bits and planes in float, of a picture that is being made a pair.
_BYTES_A_PIXEL = 24


@dataclass(frozen=True)
class StoreSettings:
    """What, beside the photographs, decides every byte of a prepared file.

    Attributes:
        scale: 2, 3 or 4.
        patch_size: side of a training patch, in high-resolution pixels.
        stride: distance between neighbouring patches, in pixels.
        materialize: write the patches themselves, in the classical layout.
    """

    scale: int
    patch_size: int
    stride: int
    materialize: bool = False


@dataclass(frozen=True)
class Planes:
    """All planes of a split, one behind another.

    Attributes:
        lr: uint8, flat; the bicubic upscaled low-resolution planes.
        hr: uint8, flat, of the same length; the originals.
        shapes: int32 (pictures, 2), height and width.
        offsets: int64 (pictures,), where each plane begins.
    """

    lr: NDArray[np.uint8]
    hr: NDArray[np.uint8]
    shapes: NDArray[np.int32]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.shapes)

    def pair(self, picture: int) -> tuple[Plane, Plane]:
        """The upscaled low-resolution plane and the original, uint8 of shape (height, width)."""
        height, width = self.shapes[picture]
        where = slice(self.offsets[picture], self.offsets[picture] + int(height) * int(width))
        return self.lr[where].reshape(height, width), self.hr[where].reshape(height, width)


@dataclass(frozen=True)
class Store:
    """A prepared file, open for reading; planes are mapped into memory, not copied.

    Other commands replace a prepared file, which leaves a mapped one as it was; none writes into
    one. `check_unchanged` tells when something else has.

    Attributes:
        path: the file.
        settings: how it was made.
        train: the training planes.
        patches: int32 (patches, 3): picture, top, left of every training patch.
        valid: the validation planes, full size.
        identity: number, size and time of change of the file when it was opened.
    """

    path: Path
    settings: StoreSettings
    train: Planes
    patches: NDArray[np.int32]
    valid: Planes
    identity: "_Identity"

    def patch(self, index: int) -> tuple[Plane, Plane]:
        """One training pair, uint8 of shape (patch_size, patch_size)."""
        picture, top, left = self.patches[index]
        size = self.settings.patch_size
        lr, hr = self.train.pair(picture)
        window = slice(top, top + size), slice(left, left + size)
        return lr[window], hr[window]

    def check_unchanged(self) -> None:
        """Make sure that the mapped file is what it was when it was opened.

        Raises:
            StoreError: something has written into it.
        """
        present = _identify(self.path)
        # A file that was replaced or deleted lives on for those who have mapped it.
        if present and present.inode == self.identity.inode and present != self.identity:
            raise _damaged(self.path, "it has changed since it was opened")


class _Identity(NamedTuple):
    inode: int
    size: int
    modified: int


def _identify(path: Path) -> _Identity | None:
    try:
        about = path.stat()
    except OSError:
        return None
    return _Identity(about.st_ino, about.st_size, about.st_mtime_ns)


def patch_corners(height: int, width: int, size: int, stride: int) -> NDArray[np.int32]:
    """List the top left corners of all whole patches, row by row.

    Returns:
        int32 of shape (patches, 2): top and left; empty where the picture is too small.
    """
    tops = np.arange(0, height - size + 1, stride, dtype=np.int32)
    lefts = np.arange(0, width - size + 1, stride, dtype=np.int32)
    return np.stack(np.meshgrid(tops, lefts, indexing="ij"), axis=-1).reshape(-1, 2)


def prepare(
    dataset: Dataset,
    settings: StoreSettings,
    say: Say,
    folder: Path = STORE_FOLDER,
    read_luma: ReadLuma = load_luma,
) -> Path:
    """Write the file that training reads, or find the one that is already there.

    The file has a temporary name until it is complete, so a broken-off start leaves nothing that
    could be taken for good. A second process that wants the same file waits for the first.

    Args:
        dataset: its train and valid splits are stored.
        settings: scale and patches.
        say: told what will be written, or that nothing need be.
        folder: where prepared files lie.
        read_luma: gives the luma of a photograph.

    Raises:
        StoreError: no picture is as large as a patch, or the disk is too full.
        WriteError: the folder may not be written, or the disk is full after all.
        DatasetError: a split is empty.
    """
    photos = {split: dataset.photos(split) for split in STORED_SPLITS}
    path = folder / _file_name(dataset, settings)
    if _is_whole(path, settings, say):
        return path
    with one_at_a_time(path.with_suffix(".lock"), f"prepares {path}", say):
        if _is_whole(path, settings, say):
            return path
        plan = {split: _Plan(photos[split], settings) for split in STORED_SPLITS}
        _name_small(photos["train"], settings.patch_size, "a patch", say)
        _name_small(photos["valid"], settings.scale, "the scale", say)
        size = _check_plan(plan, settings, dataset.name, folder)
        _announce(path, plan, size, settings, say, read_luma)
        _write(path, plan, size, _provenance(dataset, settings), settings, read_luma)
    return path


def _is_whole(path: Path, settings: StoreSettings, say: Say) -> bool:
    if not path.exists():
        return False
    try:
        _check_file(path, settings)
    except StoreError:
        say(f"{path} is damaged, so it is made again")
        return False
    say(f"already prepared: {path}")
    return True


def _name_small(photos: Sequence[Photo], least: int, what: str, say: Say) -> None:
    for photo in photos:
        if min(photo.width, photo.height) < least:
            size = f"{photo.width}x{photo.height}"
            say(f"left out: {photo.name}: {size} is smaller than {what}, {least}")


def _announce(
    path: Path,
    plan: "dict[str, _Plan]",
    size: int,
    settings: StoreSettings,
    say: Say,
    read_luma: ReadLuma,
) -> None:
    seconds, memory = _estimate(list(plan.values()), settings.scale, read_luma)
    say(
        f"preparing {path}: {sum(len(p.photos) for p in plan.values())} pictures, "
        f"{plan['train'].patch_count:,} patches; about {seconds:.0f} s, {memory / 1e6:.0f} MB of "
        f"memory and {size / 1e6:.0f} MB on disk"
    )


def _write(
    path: Path,
    plan: "dict[str, _Plan]",
    size: int,
    provenance: dict[str, str | int | bool],
    settings: StoreSettings,
    read_luma: ReadLuma,
) -> None:
    # What killed processes have left; the lock says that none of them is alive.
    for left in path.parent.glob(f"{path.name}.*.partial"):
        left.unlink()
    with atomic_write(path, size) as partial:
        with Hdf5Output(partial, "w+") as output:
            try:
                with h5py.File(output, "w", userblock_size=_USER_BLOCK) as file:
                    file.attrs.update(provenance)
                    for split in STORED_SPLITS:
                        pairs = _make_pairs(plan[split].photos, settings.scale, read_luma)
                        _write_split(file, split, plan[split], settings, output.checked(pairs))
            finally:
                output.check()
        seal = _seal(partial)
        with partial.open("r+b") as sealed:
            sealed.write(seal)


def open_store(path: Path) -> Store:
    """Map a prepared file of planes into memory, after checking every byte of it.

    Raises:
        StoreError: the file is missing, damaged, materialized, or not one of ours.
    """
    # Taken first, so that a change while the file is being checked is noticed later.
    identity = _identify(path)
    settings = _check_file(path)
    if settings.materialize:
        raise StoreError(f"{path} holds materialized patches; training reads a file of planes")
    assert identity is not None
    with h5py.File(path, "r") as file:
        splits = {split: _map_planes(path, file[split]) for split in STORED_SPLITS}
        patches = file["train/patches"][:]
    return Store(path, settings, splits["train"], patches, splits["valid"], identity)


class _Plan:
    """Sizes of everything a split will hold, known before a pixel is read."""

    def __init__(self, photos: Sequence[Photo], settings: StoreSettings) -> None:
        scale = settings.scale
        self.photos = [p for p in photos if min(p.width, p.height) >= scale]
        self.shapes = np.array(
            [(p.height - p.height % scale, p.width - p.width % scale) for p in self.photos],
            dtype=np.int32,
        ).reshape(-1, 2)
        ends = np.cumsum(self.shapes.prod(axis=1, dtype=np.int64))
        self.pixels = int(ends[-1]) if len(ends) else 0
        self.offsets = np.concatenate([[0], ends[:-1]]).astype(np.int64)
        # Corners are listed picture by picture: a big set has hundreds of megabytes of them.
        steps = (self.shapes.astype(np.int64) - settings.patch_size) // settings.stride + 1
        self.patch_count = int(np.maximum(steps, 0).prod(axis=1).sum())


def _check_plan(plan: dict[str, _Plan], settings: StoreSettings, name: str, folder: Path) -> int:
    if not plan["train"].patch_count:
        raise StoreError(
            f"patch_size {settings.patch_size} is larger than every training picture of data set "
            f"{name}; choose a smaller one"
        )
    if not plan["valid"].pixels:
        raise StoreError(f"every validation picture of data set {name} is smaller than the scale")
    patches = plan["train"].patch_count
    if settings.materialize:
        size = 8 * patches * settings.patch_size**2
    else:
        size = 2 * plan["train"].pixels + 12 * patches
    size += 2 * plan["valid"].pixels
    free = free_bytes(folder)
    if size > free:
        raise StoreError(
            f"preparing data set {name} needs {readable_size(size)} under {folder}, and "
            f"{readable_size(free)} are free; make room, or use fewer pictures (train_images)"
        )
    return size


def _estimate(plans: Sequence[_Plan], scale: int, read_luma: ReadLuma) -> tuple[float, float]:
    """Seconds and bytes of memory that preparing will take, from making one pair."""
    pixels = sum(plan.pixels for plan in plans)
    largest = max(int(plan.shapes.prod(axis=1).max()) for plan in plans)
    sample = plans[0].photos[0]
    start = time.perf_counter()
    make_pair(read_luma(sample), scale)
    elapsed = time.perf_counter() - start
    workers = available_cores()
    seconds = elapsed * pixels / (sample.width * sample.height) / workers
    return seconds, _BYTES_A_PIXEL * largest * 2 * workers


def _file_name(dataset: Dataset, settings: StoreSettings) -> str:
    identity = {
        "format": FORMAT,
        **asdict(settings),
        **{split: digest(dataset.photos(split)) for split in STORED_SPLITS},
    }
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    return f"x{settings.scale}-{settings.patch_size}-{settings.stride}-{key}.h5"


def _provenance(dataset: Dataset, settings: StoreSettings) -> dict[str, str | int | bool]:
    return {
        "format": FORMAT,
        **asdict(settings),
        "dataset": dataset.name,
        **{f"{split}_digest": digest(dataset.photos(split)) for split in STORED_SPLITS},
        "srcnn_mlflow": __version__,
        **{package: version(package) for package in ("h5py", "numpy", "pillow")},
    }


def _write_split(
    file: h5py.File, split: str, plan: _Plan, settings: StoreSettings, pairs: Iterator[Pair]
) -> None:
    pairs = progress(pairs, total=len(plan.photos), label=f"preparing {split}")
    if split == "train" and settings.materialize:
        _write_patches(file, pairs, plan, settings)
        return
    _write_planes(file.create_group(split), pairs, plan)
    if split == "train":
        _write_index(
            file.create_dataset("train/patches", (plan.patch_count, 3), np.int32), plan, settings
        )


def _write_planes(group: h5py.Group, pairs: Iterator[Pair], plan: _Plan) -> None:
    lr = group.create_dataset("lr", (plan.pixels,), np.uint8)
    hr = group.create_dataset("hr", (plan.pixels,), np.uint8)
    for picture, planes in enumerate(pairs):
        where = slice(plan.offsets[picture], plan.offsets[picture] + planes[0].size)
        lr[where], hr[where] = (plane.ravel() for plane in planes)
    group["shape"] = plan.shapes
    group["offset"] = plan.offsets
    group["name"] = [photo.name for photo in plan.photos]


def _write_index(output: h5py.Dataset, plan: _Plan, settings: StoreSettings) -> None:
    done = 0
    for picture, (height, width) in enumerate(plan.shapes):
        corners = patch_corners(height, width, settings.patch_size, settings.stride)
        numbers = np.full(len(corners), picture, np.int32)
        output[done : done + len(corners)] = np.column_stack([numbers, corners])
        done += len(corners)


def _write_patches(
    file: h5py.File, pairs: Iterator[Pair], plan: _Plan, settings: StoreSettings
) -> None:
    size = settings.patch_size
    outputs = [
        file.create_dataset(name, (plan.patch_count, size, size), np.float32)
        for name in ("lr", "hr")
    ]
    done = 0
    for planes in pairs:
        height, width = planes[0].shape
        corners = patch_corners(height, width, size, settings.stride)
        if not len(corners):
            continue
        for output, plane in zip(outputs, planes, strict=True):
            windows = sliding_window_view(plane, (size, size))
            output[done : done + len(corners)] = windows[corners[:, 0], corners[:, 1]]
        done += len(corners)


def _make_pairs(photos: Sequence[Photo], scale: int, read_luma: ReadLuma) -> Iterator[Pair]:
    """Compute pairs in parallel, in order, with only a few in memory at any time.

    Threads, not processes: decoding, resizing and arithmetic all leave the interpreter's lock,
    and planes need not be copied from one process to another.
    """

    def make(photo: Photo) -> Pair:
        return make_pair(read_luma(photo), scale)

    workers = available_cores()
    with ThreadPoolExecutor(workers) as pool:
        waiting = iter(photos)
        running: list[Future[Pair]] = [
            pool.submit(make, photo) for photo in islice(waiting, workers + 1)
        ]
        while running:
            yield running.pop(0).result()
            running += [pool.submit(make, photo) for photo in islice(waiting, 1)]


def make_pair(plane: Plane, scale: int) -> tuple[Plane, Plane]:
    """Make a training pair: bicubic down and up again, and the original.

    Args:
        plane: luma, uint8 of shape (height, width).

    Returns:
        Two uint8 planes of the same shape, both sides multiples of the scale.
    """
    hr = mod_crop(plane, scale)
    return to_eight_bit(upscale(downscale(hr, scale), scale)), hr


def _check_file(path: Path, expected: StoreSettings | None = None) -> StoreSettings:
    if not path.is_file():
        raise StoreError(f"there is no prepared file {path}; run prepare first")
    with path.open("rb") as content:
        seal = content.read(_USER_BLOCK)
    if seal != _seal(path):
        raise _damaged(path, "it is not as it was written")
    with h5py.File(path, "r") as file:
        settings = StoreSettings(
            scale=int(file.attrs["scale"]),
            patch_size=int(file.attrs["patch_size"]),
            stride=int(file.attrs["stride"]),
            materialize=bool(file.attrs["materialize"]),
        )
    if expected and settings != expected:
        raise _damaged(path, "it was made with other settings")
    return settings


def _seal(path: Path) -> bytes:
    """The first block of a file whose other bytes are these."""
    checksum = 0
    with path.open("rb") as content:
        content.seek(_USER_BLOCK)
        while chunk := content.read(_CHUNK):
            checksum = zlib.crc32(chunk, checksum)
    text = f"srcnn-mlflow prepared file, format {FORMAT}, CRC-32 of the rest {checksum:08x}\n"
    return text.encode().ljust(_USER_BLOCK, b"\0")


def _map_planes(path: Path, group: h5py.Group) -> Planes:
    return Planes(
        lr=_map(path, group["lr"]),
        hr=_map(path, group["hr"]),
        shapes=group["shape"][:],
        offsets=group["offset"][:],
    )


def _map(path: Path, dataset: h5py.Dataset) -> NDArray[np.uint8]:
    # Copy-on-write, because torch refuses to share an array that can never be written.
    return np.memmap(path, np.uint8, "c", dataset.id.get_offset(), dataset.shape)


def _damaged(path: Path, reason: str) -> StoreError:
    return StoreError(f"{path} is damaged ({reason}); delete it and run prepare again")
