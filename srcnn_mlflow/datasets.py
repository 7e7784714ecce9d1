"""Which photographs an experiment uses, and which split each belongs to.

A data set is named by a string: `samples`, `div2k`, a folder, or several joined by `+`. The
same pictures split as in the report are `div2k-report`.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from srcnn_mlflow.digest_cache import DigestCache, Pixels, signature
from srcnn_mlflow.errors import DatasetError, ImageError
from srcnn_mlflow.imaging import (
    Plane,
    flatten,
    luma,
    open_image,
    picture_files,
    printable,
    strips,
)
from srcnn_mlflow.machine import available_cores
from srcnn_mlflow.progress import Say, progress

if TYPE_CHECKING:
    from srcnn_mlflow.acquisition import Archive

SPLITS = ("train", "valid", "test")

DIGESTS = Path("data/digests.json")

DIV2K_FOLDER = Path("data/DIV2K")
# 0801-0900 are the official validation pictures; in `div2k` they test, and never choose anything.
# The report that this project started from chose its best epoch on them, and reported on them.
DIV2K_RANGES = {
    "div2k": {"train": range(1, 771), "valid": range(771, 801), "test": range(801, 901)},
    "div2k-report": {"train": range(1, 801), "valid": range(801, 901), "test": range(0)},
}

# Both pictures of the stereo pair train, so that no test picture has a twin; the retina and the
# textures are there for their detail. Test holds the pictures people know by sight.
SAMPLES = {
    "train": (
        "skimage/data/brick.png",
        "skimage/data/coins.png",
        "skimage/data/grass.png",
        "skimage/data/gravel.png",
        "skimage/data/hubble_deep_field.jpg",
        "skimage/data/motorcycle_left.png",
        "skimage/data/motorcycle_right.png",
        "skimage/data/retina.jpg",
    ),
    "valid": (
        "skimage/data/camera.png",
        "sklearn/datasets/images/flower.jpg",
    ),
    "test": (
        "skimage/data/astronaut.png",
        "skimage/data/chelsea.png",
        "sklearn/datasets/images/china.jpg",
        "skimage/data/coffee.png",
        "skimage/data/rocket.jpg",
    ),
}


# Takes the digest and the luma of a picture that had to be decoded.
Keep = Callable[[str, Plane], None]


@dataclass(frozen=True)
class Photo:
    """One usable picture: its file, its size in pixels, and the SHA-256 of those pixels."""

    path: Path
    width: int
    height: int
    digest: str

    @property
    def name(self) -> str:
        """The file's name, as tables and pictures show it."""
        return printable(self.path.name)


@dataclass(frozen=True)
class Dataset:
    """Photographs by split, and what was left out on the way.

    Attributes:
        name: the string that named it.
        splits: photographs of `train`, `valid` and `test`; a split may be empty.
        skipped: one sentence for every file that could not be used.
        notes: what a person should know about how the splits came about.
    """

    name: str
    splits: Mapping[str, tuple[Photo, ...]]
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def photos(self, split: str) -> tuple[Photo, ...]:
        """The photographs of a split, or of all of them for `all`.

        Raises:
            DatasetError: the split has none.
        """
        names = SPLITS if split == "all" else (split,)
        photos = tuple(photo for name in names for photo in self.splits[name])
        if not photos:
            raise DatasetError(
                f"data set {self.name} has no picture in its {split} split; add some, or choose "
                "another data set or split"
            )
        return photos

    def with_train_images(self, count: int) -> "Dataset":
        """Keep only `count` training photographs, those with the lowest digests."""
        chosen = sorted(self.splits["train"], key=lambda photo: photo.digest)[:count]
        return replace(self, splits={**self.splits, "train": tuple(chosen)})


def load_dataset(name: str, say: Say = print, keep: Keep | None = None) -> Dataset:
    """Find the photographs that a name stands for, and check each of them.

    Args:
        name: `samples`, `div2k`, a folder, or several of these joined by `+`.
        say: told when `div2k` has to be downloaded.
        keep: given the luma of every picture that no earlier command has decoded.

    Raises:
        DatasetError: a part is unknown, missing or holds no usable picture, or the same pixels
            stand in two splits.
    """
    parts = [_load_part(part.strip(), say, keep) for part in name.split("+")]
    dataset = Dataset(
        name=name,
        splits={split: tuple(p for part in parts for p in part.splits[split]) for split in SPLITS},
        skipped=tuple(line for part in parts for line in part.skipped),
        notes=tuple(line for part in parts for line in part.notes),
    )
    _refuse_leaks(dataset)
    return _without_repeats(dataset)


def load_luma(photo: Photo) -> Plane:
    """Read a photograph's 8-bit luma, uint8 of shape (height, width)."""
    return luma(flatten(open_image(photo.path)))


def digest(photos: Iterable[Photo]) -> str:
    """Name a set of photographs by its pixels.

    Returns:
        The first 32 hex digits of a SHA-256 over the pictures' own digests, in sorted order, so
        that neither file names nor their order count.
    """
    together = hashlib.sha256()
    for one in sorted(photo.digest for photo in photos):
        together.update(bytes.fromhex(one))
    return together.hexdigest()[:32]


def split_by_digest(name: str, photos: Sequence[Photo]) -> Dataset:
    """Divide a flat folder by the pixels of each picture, about 80/10/10.

    A picture's place depends on nothing but itself, so adding files moves none. A split that
    would be empty takes the picture with the lowest digest, with its copies, and a note says so.
    """
    splits: dict[str, list[Photo]] = {split: [] for split in SPLITS}
    for photo in photos:
        share = int(photo.digest[:8], 16) / 2**32
        splits["train" if share < 0.8 else "valid" if share < 0.9 else "test"].append(photo)
    notes = []
    # Train comes last: it gives pictures away only while one stays.
    for split in ("valid", "test", "train"):
        donor = max(splits.values(), key=len)
        if not splits[split] and len({photo.digest for photo in donor}) > 1:
            lowest = min(photo.digest for photo in donor)
            splits[split] = [photo for photo in donor if photo.digest == lowest]
            donor[:] = [photo for photo in donor if photo.digest != lowest]
            moved = " and ".join(photo.name for photo in splits[split])
            notes.append(
                f"{name}: no picture fell to the {split} split, so it takes {moved}; with "
                f"{len(photos)} pictures the averages say little"
            )
    return Dataset(name, {key: tuple(value) for key, value in splits.items()}, notes=tuple(notes))


def _load_part(name: str, say: Say, keep: Keep | None) -> Dataset:
    if name == "samples":
        return _split_dataset(name, _sample_files(), keep)
    if name in DIV2K_RANGES:
        return _split_dataset(name, _div2k_files(name, DIV2K_FOLDER, say), keep)
    # The shell leaves a ~ alone in `-P dataset=~/photos`.
    folder = Path(name).expanduser()
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.is_file() else "is not a folder that exists"
        raise DatasetError(
            f"data set {name!r} {what}; give samples, div2k, a folder of pictures, or several of "
            "these joined by +"
        )
    if any((folder / split).is_dir() for split in SPLITS):
        folders = {split: folder / split for split in SPLITS}
        files = {key: picture_files(one) if one.is_dir() else [] for key, one in folders.items()}
        return _split_dataset(name, files, keep)
    photos, skipped = scan(name, picture_files(folder), keep)
    return replace(split_by_digest(name, photos), skipped=skipped)


def _split_dataset(name: str, files: Mapping[str, Sequence[Path]], keep: Keep | None) -> Dataset:
    photos, skipped = scan(name, [path for split in SPLITS for path in files[split]], keep)
    by_path = {photo.path: photo for photo in photos}
    return Dataset(
        name,
        {
            split: tuple(by_path[path] for path in files[split] if path in by_path)
            for split in SPLITS
        },
        skipped,
    )


def _sample_files() -> dict[str, list[Path]]:
    def locate(relative: str) -> Path:
        package, _, rest = relative.partition("/")
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise DatasetError(
                f"data set samples needs the package {package}; install the requirements again"
            )
        return Path(spec.submodule_search_locations[0]) / rest

    return {split: [locate(relative) for relative in SAMPLES[split]] for split in SPLITS}


def _div2k_files(name: str, folder: Path, say: Say) -> dict[str, list[Path]]:
    # Imported here, because what speaks HTTP takes longer to import than all else.
    from srcnn_mlflow.acquisition import fetch_archives

    if missing := _missing_archives(_numbered_pictures(folder)):
        fetch_archives(missing, folder, say)
    found = _numbered_pictures(folder)
    if missing := _missing_archives(found):
        raise DatasetError(
            f"data set div2k lacks some of the pictures of {missing[0].folder} under "
            f"{folder.absolute()}; delete that folder and run again to fetch it anew"
        )
    return {
        split: [found[number] for number in numbers]
        for split, numbers in DIV2K_RANGES[name].items()
    }


def _numbered_pictures(folder: Path) -> dict[int, Path]:
    """Pictures by number, however deep they lie; those of other resolutions have longer names."""
    paths = sorted(folder.glob("**/*.png"))
    return {int(path.stem): path for path in paths if re.fullmatch(r"\d{4}", path.stem)}


def _missing_archives(found: Mapping[int, Path]) -> "list[Archive]":
    from srcnn_mlflow.acquisition import DIV2K_ARCHIVES

    train, valid = DIV2K_ARCHIVES
    holds = {train: range(1, 801), valid: range(801, 901)}
    return [one for one, numbers in holds.items() if any(n not in found for n in numbers)]


def scan(
    name: str, files: Sequence[Path], keep: Keep | None = None
) -> tuple[list[Photo], tuple[str, ...]]:
    """Open every file that no earlier command has, and tell the usable pictures from the others.

    Args:
        name: of the data set, for messages.
        files: the pictures.
        keep: given the luma of each that is decoded.

    Returns:
        The photographs, and one sentence for every file that cannot be used.

    Raises:
        DatasetError: there is no usable picture.
    """
    cache = DigestCache(DIGESTS)

    def examine(path: Path) -> Photo | str:
        return _try_photo(path, cache, keep)

    with ThreadPoolExecutor(available_cores()) as pool:
        results = list(
            progress(pool.map(examine, files), total=len(files), label=f"checking {name}")
        )
    cache.save()
    photos = [result for result in results if isinstance(result, Photo)]
    if not photos:
        reason = (
            f"none of its {len(files)} pictures can be used, the first because {results[0]}"
            if files
            else "it holds no PNG, JPEG, BMP, TIFF or WebP file"
        )
        raise DatasetError(f"data set {name} is empty: {reason}")
    return photos, tuple(result for result in results if isinstance(result, str))


def _try_photo(path: Path, cache: DigestCache, keep: Keep | None) -> Photo | str:
    try:
        # Taken first, so that a file which changes meanwhile is decoded again next time.
        before = signature(path)
        pixels = cache.find(path, before)
        if pixels is None:
            image = flatten(open_image(path))
            pixels = Pixels(image.width, image.height, _pixel_digest(image))
            cache.add(path, before, pixels)
            if keep is not None:
                keep(pixels.digest, luma(image))
    except ImageError as error:
        return str(error)
    except OSError as error:
        return f"{printable(path.name)} cannot be read: {error.strerror}"
    return Photo(path, *pixels)


def _pixel_digest(image: Image.Image) -> str:
    pixels = hashlib.sha256(f"{image.mode} {image.width}x{image.height} ".encode())
    for _, rows in strips(image):
        pixels.update(rows.data)
    return pixels.hexdigest()


def _without_repeats(dataset: Dataset) -> Dataset:
    """Count a file once that two parts of a data set both name."""
    splits = {
        split: tuple({photo.path.resolve(): photo for photo in photos}.values())
        for split, photos in dataset.splits.items()
    }
    repeats = sum(len(dataset.splits[split]) - len(splits[split]) for split in SPLITS)
    note = f"{repeats} file(s) are named by two parts of {dataset.name}, and count once"
    return replace(dataset, splits=splits, notes=(*dataset.notes, *([note] if repeats else [])))


def _refuse_leaks(dataset: Dataset) -> None:
    seen: dict[str, tuple[str, Photo]] = {}
    for split in SPLITS:
        for photo in dataset.splits[split]:
            other_split, other = seen.setdefault(photo.digest, (split, photo))
            if other_split != split:
                raise DatasetError(
                    f"data set {dataset.name} has the same pixels in two splits: {other.path} in "
                    f"{other_split} and {photo.path} in {split}; remove one of them"
                )


def describe(dataset: Dataset, splits: Sequence[str], say: Say) -> None:
    """Tell a person how many pictures the splits in use have, and which files were left out."""
    counts = ", ".join(f"{len(dataset.splits[split])} {split}" for split in splits)
    say(f"data set {dataset.name}: {counts} pictures")
    if set(splits) != set(SPLITS):  # how pictures are split says nothing about all of them
        for note in dataset.notes:
            say(note)
    for line in dataset.skipped:
        say(f"skipped: {line}")
    if dataset.skipped:
        say(f"{len(dataset.skipped)} file(s) skipped")
