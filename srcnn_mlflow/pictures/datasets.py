"""Which photographs an experiment uses, and which split each belongs to.

A data set is named by a string: `samples`, `div2k`, a set by name such as `set5`, a folder, or
several joined by `+`. The same pictures split as in the report are `div2k-report`.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from srcnn_mlflow.machine.callers_folder import given_source
from srcnn_mlflow.machine.errors import DatasetError
from srcnn_mlflow.machine.faults import obstacle
from srcnn_mlflow.machine.text import printable
from srcnn_mlflow.pictures.div2k import DIV2K_FOLDER, DIV2K_RANGES, div2k_files
from srcnn_mlflow.pictures.leaks import once, refuse_same, tell_alike, tell_doubles
from srcnn_mlflow.pictures.photos import Keep, Photo, digest, scan
from srcnn_mlflow.pictures.picture_files import list_files, split_joined
from srcnn_mlflow.pictures.samples import sample_files
from srcnn_mlflow.pictures.sets import NamedSet, find_set, named_sets
from srcnn_mlflow.pictures.shrunk import SHRUNK, shrunk_copies

logger = logging.getLogger(__name__)

SPLITS = ("train", "valid", "test")
# What folders are called that hold a split, in small letters.
_SPLIT_NAMES = {
    **{"train": "train", "training": "train"},
    **{"valid": "valid", "val": "valid", "validation": "valid"},
    **{"test": "test", "testing": "test"},
}
# Those in which every picture counts as much as any other.
MEASURED = ("valid", "test")


@dataclass(frozen=True)
class Split:
    """One split of a data set, as a step of an experiment uses it.

    Attributes:
        dataset: the string that named the data set.
        name: `train`, `valid`, `test` or `all`.
        photos: at least one.
        digest: what their pixels are called together.
    """

    dataset: str
    name: str
    photos: tuple[Photo, ...]
    digest: str

    @property
    def label(self) -> str:
        """How tables and tags call it."""
        return f"{self.dataset} {self.name}"


@dataclass(frozen=True)
class Dataset:
    """Photographs by split, and what was left out on the way.

    Attributes:
        name: the string that named it.
        splits: photographs of `train`, `valid` and `test`; a split may be empty.
        skipped: one sentence for every file that could not be used.
        notes: what a person should know about how the splits came about.
        warnings: one sentence for every picture that stands there twice, or looks like another.
        only_test: those of its parts that are test sets, whose pictures train and choose nothing.
    """

    name: str
    splits: Mapping[str, tuple[Photo, ...]]
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    only_test: tuple[str, ...] = ()

    def photos(self, split: str) -> tuple[Photo, ...]:
        """The photographs of a split, or of all of them for `all`.

        Raises:
            DatasetError: the split has none.
        """
        names = SPLITS if split == "all" else (split,)
        photos = tuple(photo for name in names for photo in self.splits[name])
        if not photos:
            left_out = (
                f" ({len(self.skipped)} of its files cannot be used, the first because "
                f"{self.skipped[0]})"
                if self.skipped
                else ""
            )
            tests = f": {' and '.join(self.only_test)} only tests" if self.only_test else ""
            raise DatasetError(
                f"data set {self.name} has no picture in its {split} split{left_out}{tests}; "
                f"{'take' if tests else 'add some, or choose'} another data set or split"
            )
        return photos

    def split(self, name: str) -> Split:
        """A split, or all of them as `all`, with its digest.

        Raises:
            DatasetError: it has no photograph.
        """
        photos = self.photos(name)
        return Split(self.name, name, photos, digest(photos))

    def measured(self, name: str) -> Split:
        """A split as it is measured on, where the same picture counts once.

        Raises:
            DatasetError: it has no photograph.
        """
        photos = once(self.photos(name))
        return Split(self.name, name, photos, digest(photos))

    def with_train_images(self, count: int) -> "Dataset":
        """Keep only `count` training photographs, those with the lowest digests."""
        chosen = sorted(self.splits["train"], key=lambda photo: photo.digest)[:count]
        return replace(self, splits={**self.splits, "train": tuple(chosen)})


def load_dataset(name: str, keep: Keep | None = None) -> Dataset:
    """Find the photographs that a name stands for, and check each of them.

    Args:
        name: `samples`, `div2k`, a set by name, a folder, or several of these joined by `+`; with
            `@shrunk` behind it all, smaller copies of its training pictures train too.
        keep: given the luma of every picture that no earlier command has decoded.

    Raises:
        DatasetError: a part is unknown, missing or holds no usable picture, or the same picture
            stands in two splits.
    """
    whole = _whole(name)
    parts = [_load_part(part, keep) for part in _parts(whole)]
    dataset = Dataset(
        name=name,
        splits={split: tuple(p for part in parts for p in part.splits[split]) for split in SPLITS},
        skipped=tuple(line for part in parts for line in part.skipped),
        notes=tuple(line for part in parts for line in part.notes),
        only_test=tuple(one for part in parts for one in part.only_test),
    )
    refuse_same(name, dataset.splits)
    dataset = _with_warnings(_without_repeats(dataset))
    return dataset if whole == name else _with_copies(dataset, keep)


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


def _whole(name: str) -> str:
    """A name without what asks for shrunk copies; that of a folder may end like it."""
    return name if given_source(name).is_dir() else name.removesuffix(SHRUNK)


def _with_copies(dataset: Dataset, keep: Keep | None) -> Dataset:
    originals = dataset.splits["train"]
    copies = shrunk_copies(dataset.name, originals, keep)
    return replace(dataset, splits={**dataset.splits, "train": (*originals, *copies)})


def _parts(name: str) -> list[str]:
    """What a name joins by `+`; the name of a folder may hold one.

    Raises:
        DatasetError: a part is empty, which as a path would be the present folder.
    """
    parts = split_joined(name, lambda part: given_source(part).is_dir())
    if not all(parts):
        raise DatasetError(
            f"data set {name!r} has an empty part; join names by single + signs, such as "
            "samples+photos"
        )
    return parts


def _load_part(name: str, keep: Keep | None) -> Dataset:
    if name == "samples":
        return _split_dataset(name, sample_files(), keep)
    if name in DIV2K_RANGES:
        return _split_dataset(name, div2k_files(name, DIV2K_FOLDER), keep)
    if name in named_sets():
        return _load_set(named_sets()[name], keep)
    folder = given_source(name)
    if not folder.is_dir():
        instead = obstacle(folder)
        what = f"is no folder ({instead})" if instead else f"is not a folder that exists ({folder})"
        known = ", ".join(["samples", "div2k", *named_sets()])
        raise DatasetError(
            f"data set {name!r} {what}; give {known}, a folder of pictures, or several of these "
            "joined by +"
        )
    folders = _split_folders(name, folder)
    if not folders:
        files = list_files(folder)
        photos, skipped = scan(name, files.pictures, keep)
        flat = split_by_digest(name, photos)
        return replace(flat, skipped=(*_no_pictures(folder, files.others), *skipped))
    held = {split: list_files(one) for split, one in folders.items()}
    divided = _split_dataset(
        name, {split: held[split].pictures if split in held else [] for split in SPLITS}, keep
    )
    others = [path for files in held.values() for path in files.others]
    return replace(
        divided,
        skipped=(*_no_pictures(folder, others), *divided.skipped),
        notes=(*divided.notes, *_beside(name, folder, folders.values())),
    )


def _load_set(wanted: NamedSet, keep: Keep | None) -> Dataset:
    found = find_set(wanted, keep)
    if not wanted.tests_only:
        flat = split_by_digest(wanted.name, found.photos)
        return replace(flat, notes=(*found.notes, *flat.notes))
    splits: dict[str, tuple[Photo, ...]] = {split: () for split in SPLITS}
    return Dataset(
        wanted.name,
        {**splits, "test": found.photos},
        notes=found.notes,
        only_test=(wanted.name,),
    )


def _split_folders(name: str, folder: Path) -> dict[str, Path]:
    """The folders of a data set that are called like splits, by their split.

    Raises:
        DatasetError: two are called like the same split.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        split = _SPLIT_NAMES.get(path.name.casefold())
        if split is None or not path.is_dir():
            continue
        if split in found:
            raise DatasetError(
                f"data set {name} has two folders for its {split} split: {found[split].name} and "
                f"{path.name}; put their pictures into one"
            )
        found[split] = path
    return found


def _beside(name: str, folder: Path, splits: Collection[Path]) -> tuple[str, ...]:
    """What lies beside the folders of splits, and so belongs to none."""
    pictures = list_files(folder, without=splits).pictures
    if not pictures:
        return ()
    first = printable(str(pictures[0].relative_to(folder)))
    return (
        f"{name}: {len(pictures)} picture(s) beside the folders of its splits, such as {first}, "
        "belong to none and are not used",
    )


def _no_pictures(folder: Path, others: Sequence[Path]) -> list[str]:
    return [
        f"{printable(str(path.relative_to(folder)))} is no picture, by its name" for path in others
    ]


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


def _without_repeats(dataset: Dataset) -> Dataset:
    """Count a file once that two parts of a data set both name."""
    splits = {
        split: tuple({photo.path.resolve(): photo for photo in photos}.values())
        for split, photos in dataset.splits.items()
    }
    repeats = sum(len(dataset.splits[split]) - len(splits[split]) for split in SPLITS)
    note = f"{repeats} file(s) are named by two parts of {dataset.name}, and count once"
    return replace(dataset, splits=splits, notes=(*dataset.notes, *([note] if repeats else [])))


def _with_warnings(dataset: Dataset) -> Dataset:
    """Count a picture once that is measured on, and tell doubles and pictures that look alike.

    In training a double stays: it weighs twice there, as it did in all runs before, but spoils no
    measurement.
    """
    warnings = (*tell_doubles(dataset.splits, MEASURED), *tell_alike(dataset.splits))
    measured = {split: once(dataset.splits[split]) for split in MEASURED}
    return replace(dataset, splits={**dataset.splits, **measured}, warnings=warnings)


def describe(dataset: Dataset, splits: Sequence[str]) -> None:
    """Tell a person how many pictures the splits in use have, and which files were left out."""
    counts = ", ".join(f"{len(dataset.splits[split])} {split}" for split in splits)
    logger.info("data set %s: %s pictures", dataset.name, counts)
    if set(splits) != set(SPLITS):  # how pictures are split says nothing about all of them
        for note in dataset.notes:
            logger.info(note)
    for line in dataset.warnings:
        logger.warning(line)
    for line in dataset.skipped:
        logger.warning("skipped: %s", line)
    if dataset.skipped:
        logger.warning("%d file(s) skipped", len(dataset.skipped))
