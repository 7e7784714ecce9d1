"""What one name in that of a data set stands for: its files, and how they are split."""

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from srcnn_mlflow.machine.callers_folder import given_source
from srcnn_mlflow.machine.errors import DatasetError
from srcnn_mlflow.machine.faults import obstacle
from srcnn_mlflow.machine.places import kept
from srcnn_mlflow.machine.text import printable
from srcnn_mlflow.pictures.div2k import DIV2K_FOLDER, DIV2K_RANGES, div2k_files
from srcnn_mlflow.pictures.photos import Keep, Photo, scan
from srcnn_mlflow.pictures.picture_files import list_files
from srcnn_mlflow.pictures.samples import sample_files
from srcnn_mlflow.pictures.sets import NamedSet, find_set, named_sets

# Of every data set; some have a gate beside them.
SPLITS = ("train", "valid", "test")
GATE = "gate"
# What folders are called that hold a split, in small letters.
_SPLIT_NAMES = {
    **{"train": "train", "training": "train"},
    **{"valid": "valid", "val": "valid", "validation": "valid"},
    **{"test": "test", "testing": "test"},
    GATE: GATE,
}
# Of the test pictures that are split by their pixels, this share goes to a gate that is asked for:
# ten in a hundred test, and a gate has to have five to replace a champion.
_GATE_SHARE = 0.5


@dataclass(frozen=True)
class Part:
    """Photographs by split, of one of the names that a data set joins.

    Attributes:
        name: which.
        splits: photographs of `train`, `valid` and `test`, and of `gate` where it has one.
        skipped: one sentence for every file that could not be used.
        notes: what a person should know about how the splits came about.
        only_test: its name, where it is a test set.
    """

    name: str
    splits: Mapping[str, tuple[Photo, ...]]
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    only_test: tuple[str, ...] = ()


def load_part(name: str, keep: Keep | None, gate_split: bool) -> Part:
    """Find the photographs that one name stands for, and check each of them.

    Args:
        name: `samples`, `div2k`, a set by name, or a folder.
        keep: given every picture that no earlier command has decoded.
        gate_split: cut a gate out of the test pictures, where they are not split by hand.

    Raises:
        DatasetError: it is unknown, missing or holds no usable picture.
    """
    if name in DIV2K_RANGES:
        part = _divided(name, div2k_files(name, kept(DIV2K_FOLDER), gate_split), keep)
    elif name == "samples":
        part = _divided(name, sample_files(), keep)
    elif name in named_sets():
        part = _load_set(named_sets()[name], keep, gate_split)
    else:
        part = _load_folder(name, keep, gate_split)
    return _tell_uncut(part) if gate_split else part


def split_by_digest(name: str, photos: Sequence[Photo]) -> Part:
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
    return Part(name, {key: tuple(value) for key, value in splits.items()}, notes=tuple(notes))


def cut_gate(part: Part) -> Part:
    """Cut a gate out of the test pictures by the pixels of each, about half of them.

    A picture's place depends on nothing but itself, and the same in grey and in colour stays
    together. Where test or gate would be empty, it takes the picture with the lowest identity, and
    a note says so; a single test picture stays one.
    """
    test = part.splits["test"]
    identities = sorted({photo.identity for photo in test})
    chosen = {one for one in identities if int(one[8:16], 16) / 2**32 < _GATE_SHARE}
    notes = list(part.notes)
    if len(identities) < 2:
        chosen = set()
    elif len(chosen) in (0, len(identities)):
        empty = "test" if chosen else GATE
        chosen ^= {identities[0]}
        moved = next(photo.name for photo in test if photo.identity == identities[0])
        notes.append(f"{part.name}: no picture fell to the {empty} split, so it takes {moved}")
    splits = {
        "test": tuple(photo for photo in test if photo.identity not in chosen),
        GATE: tuple(photo for photo in test if photo.identity in chosen),
    }
    return replace(part, splits={**part.splits, **splits}, notes=tuple(notes))


def _tell_uncut(part: Part) -> Part:
    """Say of a part without a gate, which was asked for, why it has none."""
    if part.splits.get(GATE):
        return part
    if part.name in DIV2K_RANGES or not part.splits["test"]:
        why = "it has no test pictures to cut a gate out of"
    elif part.only_test or part.name == "samples":
        why = "its test pictures are named one by one, so that they stay the same for everyone"
    elif len({photo.identity for photo in part.splits["test"]}) == 1:
        why = "its only test picture stays one"
    else:
        why = f"its folders split it, so a gate is what lies in a folder {GATE} beside them"
    return replace(part, notes=(*part.notes, f"{part.name} gives no gate: {why}"))


def _load_folder(name: str, keep: Keep | None, gate_split: bool) -> Part:
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
        flat = cut_gate(flat) if gate_split else flat
        return replace(flat, skipped=(*_no_pictures(folder, files.others), *skipped))
    held = {split: list_files(one) for split, one in folders.items()}
    divided = _divided(name, {split: files.pictures for split, files in held.items()}, keep)
    others = [path for files in held.values() for path in files.others]
    return replace(
        divided,
        skipped=(*_no_pictures(folder, others), *divided.skipped),
        notes=(*divided.notes, *_beside(name, folder, folders.values())),
    )


def _load_set(wanted: NamedSet, keep: Keep | None, gate_split: bool) -> Part:
    found = find_set(wanted, keep)
    if wanted.tests_only:
        splits = {"train": (), "valid": (), "test": found.photos}
        return Part(wanted.name, splits, notes=found.notes, only_test=(wanted.name,))
    flat = split_by_digest(wanted.name, found.photos)
    flat = cut_gate(flat) if gate_split else flat
    return replace(flat, notes=(*found.notes, *flat.notes))


def _split_folders(name: str, folder: Path) -> dict[str, Path]:
    """The folders of a data set that are called like splits, by their split.

    What is called `gate` is a gate beside others only: alone, it is a folder like any other.

    Raises:
        DatasetError: two are called like the same split.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        split = _SPLIT_NAMES.get(path.name.casefold())
        if split is not None and path.is_dir():
            found.setdefault(split, []).append(path)
    if not found.keys() - {GATE}:
        return {}
    for split, (first, *more) in found.items():
        if more:
            raise DatasetError(
                f"data set {name} has two folders for its {split} split: {first.name} and "
                f"{more[0].name}; put their pictures into one"
            )
    return {split: paths[0] for split, paths in found.items()}


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


def _divided(name: str, files: Mapping[str, Sequence[Path]], keep: Keep | None) -> Part:
    """What is split already; `files` may lack a split."""
    names = [*SPLITS, GATE] if files.get(GATE) else SPLITS
    listed = {split: files.get(split, ()) for split in names}
    photos, skipped = scan(name, [path for paths in listed.values() for path in paths], keep)
    # In the order of the files, of which some are left out.
    usable = deque(photos)
    splits: dict[str, tuple[Photo, ...]] = {}
    for split, paths in listed.items():
        here = (path for path in paths if usable and usable[0].path == path)
        splits[split] = tuple(usable.popleft() for _ in here)
    return Part(name, splits, skipped)
