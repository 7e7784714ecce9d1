"""Which photographs an experiment uses, and which split each belongs to.

A data set is named by a string: `samples`, `div2k`, a set by name such as `set5`, a folder, or
several joined by `+`. The same pictures split as in the report are `div2k-report`.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from srcnn_mlflow.machine.callers_folder import given_source
from srcnn_mlflow.machine.errors import DatasetError
from srcnn_mlflow.pictures.dataset_parts import GATE, SPLITS, load_part
from srcnn_mlflow.pictures.leaks import once, refuse_same, tell_alike, tell_doubles
from srcnn_mlflow.pictures.photos import Keep, Photo, digest
from srcnn_mlflow.pictures.picture_files import split_joined
from srcnn_mlflow.pictures.shrunk import SHRUNK, shrunk_copies

__all__ = ["GATE", "SPLITS", "Dataset", "Split", "describe", "load_dataset"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Split:
    """One split of a data set, as a step of an experiment uses it.

    Attributes:
        dataset: the string that named the data set.
        name: `train`, `valid`, `test`, `gate` or `all`.
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
        splits: photographs of `train`, `valid` and `test`, of which one may be empty; and of
            `gate`, where the data set has one.
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
        names = tuple(self.splits) if split == "all" else (split,)
        photos = tuple(photo for name in names for photo in self.splits.get(name, ()))
        if not photos and split == GATE:
            raise DatasetError(
                f"data set {self.name} has no {GATE}; give gate_split=true, which cuts one out of "
                "the test pictures of div2k, t91, bsd200 and flat folders, or put pictures that "
                f"decide promotions alone into a folder {GATE} beside train, valid and test"
            )
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


def load_dataset(name: str, keep: Keep | None = None, gate_split: bool = False) -> Dataset:
    """Find the photographs that a name stands for, and check each of them.

    Args:
        name: `samples`, `div2k`, a set by name, a folder, or several of these joined by `+`; with
            `@shrunk` behind it all, smaller copies of its training pictures train too.
        keep: given every picture that no earlier command has decoded.
        gate_split: cut a split `gate` out of `test`, where a part is not split by hand.

    Raises:
        DatasetError: a part is unknown, missing or holds no usable picture, or the same picture
            stands in two splits.
    """
    whole = _whole(name)
    parts = [load_part(part, keep, gate_split) for part in _parts(whole)]
    splits = (*SPLITS, GATE) if any(part.splits.get(GATE) for part in parts) else SPLITS
    dataset = Dataset(
        name=name,
        splits={
            split: tuple(photo for part in parts for photo in part.splits.get(split, ()))
            for split in splits
        },
        skipped=tuple(line for part in parts for line in part.skipped),
        notes=tuple(line for part in parts for line in part.notes),
        only_test=tuple(one for part in parts for one in part.only_test),
    )
    refuse_same(name, dataset.splits)
    dataset = _with_warnings(_without_repeats(dataset))
    return dataset if whole == name else _with_copies(dataset, keep)


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


def _without_repeats(dataset: Dataset) -> Dataset:
    """Count a file once that two parts of a data set both name."""
    folders: dict[Path, Path] = {}

    def place(path: Path) -> tuple[Path, str]:
        if path.is_symlink():
            path = path.resolve()
        if path.parent not in folders:
            folders[path.parent] = path.parent.resolve()
        return folders[path.parent], path.name

    def unrepeated(photos: Sequence[Photo]) -> tuple[Photo, ...]:
        # A file named twice has the same pixels twice. To look up where every file really lies
        # takes longer than all else that is known of a picture.
        counts = Counter(photo.digest for photo in photos)
        first: dict[Path | tuple[Path, str], Photo] = {}
        for photo in photos:
            first[place(photo.path) if counts[photo.digest] > 1 else photo.path] = photo
        return tuple(first.values())

    splits = {split: unrepeated(photos) for split, photos in dataset.splits.items()}
    repeats = sum(len(dataset.splits[split]) - len(splits[split]) for split in splits)
    note = f"{repeats} file(s) are named by two parts of {dataset.name}, and count once"
    return replace(dataset, splits=splits, notes=(*dataset.notes, *([note] if repeats else [])))


def _with_warnings(dataset: Dataset) -> Dataset:
    """Count a picture once that is measured on, and tell doubles and pictures that look alike.

    In training a double stays: it weighs twice there, as it did in all runs before, but spoils no
    measurement.
    """
    measured = {name: once(photos) for name, photos in dataset.splits.items() if name != "train"}
    warnings = (*tell_doubles(dataset.splits, tuple(measured)), *tell_alike(dataset.splits))
    return replace(dataset, splits={**dataset.splits, **measured}, warnings=warnings)


def describe(dataset: Dataset, splits: Sequence[str]) -> None:
    """Tell a person how many pictures the splits in use have, and which files were left out."""
    counts = ", ".join(f"{len(dataset.splits[split])} {split}" for split in splits)
    logger.info("data set %s: %s pictures", dataset.name, counts)
    if set(splits) != set(dataset.splits):  # how pictures are split says nothing about all of them
        for note in dataset.notes:
            logger.info(note)
    for line in dataset.warnings:
        logger.warning(line)
    for line in dataset.skipped:
        logger.warning("skipped: %s", line)
    if dataset.skipped:
        logger.warning("%d file(s) skipped", len(dataset.skipped))
