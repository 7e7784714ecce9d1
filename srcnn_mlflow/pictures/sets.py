"""Sets by name, such as `set5`: which pictures they are (`sets.toml`), found or fetched."""

import os
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from srcnn_mlflow.machine.callers_folder import given_source
from srcnn_mlflow.machine.errors import DatasetError
from srcnn_mlflow.machine.places import kept
from srcnn_mlflow.machine.text import printable
from srcnn_mlflow.pictures.photos import Keep, Photo, examine
from srcnn_mlflow.pictures.picture_files import picture_files

# Below the folder of work.
SETS_FOLDER = "sets"
FOLDER_VARIABLE = "SRCNN_SETS"


@dataclass(frozen=True)
class ListedPicture:
    """A picture of a set.

    Attributes:
        name: of the file, as it is kept.
        file: its name where it is fetched.
        size: of that file, in bytes.
        sha256: of that file, as 64 hex digits.
        pixels: the digest of its photograph, whatever the file.
    """

    name: str
    file: str
    size: int
    sha256: str
    pixels: str


@dataclass(frozen=True)
class NamedSet:
    """A set by name.

    Attributes:
        name: by which it is asked for.
        about: what it is, and where it was published.
        tests_only: none of its pictures ever trains or chooses.
        address: repository, commit and folder on GitHub, joined by `/`.
        pictures: in their order.
    """

    name: str
    about: str
    tests_only: bool
    address: str
    pictures: tuple[ListedPicture, ...]

    @property
    def page(self) -> str:
        """Where a person can look at it."""
        owner, repository, commit, *folders = self.address.split("/")
        return f"https://github.com/{owner}/{repository}/tree/{commit}/{'/'.join(folders)}"


@dataclass(frozen=True)
class FoundSet:
    """The photographs of a set.

    Attributes:
        photos: all of them, in the set's order.
        notes: what a person should know of the folders in which they lay.
    """

    photos: tuple[Photo, ...]
    notes: tuple[str, ...]


@cache
def named_sets() -> Mapping[str, NamedSet]:
    """All sets, by name."""
    listed = tomllib.loads(files(__package__).joinpath("sets.toml").read_text(encoding="utf-8"))
    return {
        name: NamedSet(
            name,
            one["about"],
            one["role"] == "test",
            one["address"],
            tuple(ListedPicture(*picture) for picture in one["pictures"]),
        )
        for name, one in listed.items()
    }


def find_set(wanted: NamedSet, keep: Keep | None = None) -> FoundSet:
    """Find the pictures of a set by their pixels, and fetch those that are not there.

    They are looked for in the folder called like the set, in small letters or not, of the folder
    that `SRCNN_SETS` names, and in `sets` of the folder of work.

    Args:
        wanted: which.
        keep: given every picture that no earlier command has decoded.

    Raises:
        DatasetError: some are missing, and cannot be had.
    """
    own = kept(f"{SETS_FOLDER}/{wanted.name}")
    photos = _look_everywhere(wanted.name, keep)
    found = _match(wanted.pictures, photos)
    if missing := [one for one in wanted.pictures if one not in found]:
        # Imported here, because what speaks HTTP takes longer to import than all else.
        from srcnn_mlflow.pictures.sets_download import fetch_pictures

        fetch_pictures(wanted, missing, own)
        fetched, reasons = examine(wanted.name, [own / one.name for one in missing], keep)
        found |= _match(missing, fetched)
        if still := [one.name for one in missing if one not in found]:
            raise DatasetError(
                f"{own / still[0]} is the right file, but its pixels are not read as those of "
                f"{wanted.name}{f' ({reasons[0]})' if reasons else ''}; install the requirements "
                "again"
            )
    in_order = tuple(found[one] for one in wanted.pictures)
    return FoundSet(in_order, tuple(_tell_others(wanted.name, photos, in_order)))


def is_at_hand(wanted: NamedSet) -> bool:
    """Whether a set needs no download."""
    return len(_match(wanted.pictures, _look_everywhere(wanted.name, None))) == len(wanted.pictures)


def _look_everywhere(name: str, keep: Keep | None) -> list[Photo]:
    places = [*_given_places(name), kept(f"{SETS_FOLDER}/{name}")]
    return [photo for place in places for photo in _look_into(place, name, keep)]


def _given_places(name: str) -> Iterator[Path]:
    """The folders called like a set in the one that the user names."""
    text = os.environ.get(FOLDER_VARIABLE)
    if not text:
        return
    folder = given_source(text)
    if not folder.is_dir():
        raise DatasetError(
            f"{FOLDER_VARIABLE} is {text!r}, which is no folder that exists ({folder}); name one "
            f"that holds folders of sets, such as {name}, or unset it"
        )
    for path in sorted(folder.iterdir()):
        if path.name.casefold() == name and path.is_dir():
            yield path


def _look_into(folder: Path, name: str, keep: Keep | None) -> list[Photo]:
    if not folder.is_dir():
        return []
    photos, _ = examine(name, picture_files(folder), keep)
    return photos


def _match(
    pictures: Iterable[ListedPicture], photos: Iterable[Photo]
) -> dict[ListedPicture, Photo]:
    """Find each picture's photograph; one that is listed twice needs two files."""
    by_pixels: dict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        by_pixels[photo.digest].append(photo)
    found = {}
    for picture in pictures:
        same = by_pixels[picture.pixels]
        # Where two files are the same picture, each keeps its own name.
        if same:
            place = next((k for k, one in enumerate(same) if one.path.stem == _stem(picture)), 0)
            found[picture] = same.pop(place)
    return found


def _stem(picture: ListedPicture) -> str:
    return Path(picture.name).stem


def _tell_others(name: str, photos: Sequence[Photo], used: Sequence[Photo]) -> Iterator[str]:
    digests = {photo.digest for photo in used}
    others = [photo for photo in photos if photo.digest not in digests]
    if others:
        yield (
            f"{len(others)} picture(s) that lie where {name} does are not of it, such as "
            f"{printable(str(others[0].path))}, and are not used"
        )
