"""Which files of a folder are pictures, by their names."""

import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from srcnn_mlflow.machine.garbage import no_search

SUFFIXES = frozenset(
    {
        *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".tif", ".tiff"),
        *(".webp", ".gif", ".avif", ".avifs", ".heic", ".heif", ".jp2", ".j2k", ".jpx", ".jpf"),
        *(".ppm", ".pgm", ".pbm", ".pnm", ".qoi"),
    }
)


@dataclass(frozen=True)
class FolderFiles:
    """What a folder and all folders in it hold, each in order.

    Attributes:
        pictures: what the endings call pictures; whatever is none after all, such as a broken
            link, is left for `open_picture` to name.
        others: all other files, but for hidden ones.
    """

    pictures: list[Path]
    others: list[Path]


def list_files(folder: Path, without: Collection[Path] = ()) -> FolderFiles:
    """List the files of a folder and of all folders in it; what is hidden is left out.

    Args:
        folder: links to folders are followed, each folder once.
        without: folders inside that are not looked into.
    """
    pictures: list[Path] = []
    others: list[Path] = []
    with no_search():
        # As paths compare, but each is taken apart once.
        paths = sorted(_files(folder, without), key=lambda path: path.parts)
    for path in paths:
        (pictures if path.suffix.lower() in SUFFIXES else others).append(path)
    return FolderFiles(pictures, others)


def picture_files(folder: Path) -> list[Path]:
    """The pictures of `list_files`."""
    return list_files(folder).pictures


def _files(folder: Path, without: Collection[Path]) -> Iterator[Path]:
    seen = {_identity(one) for one in without if one.exists()}
    for place, folders, files in os.walk(folder, followlinks=True):
        here, kept = Path(place), []
        for name in sorted(folders):
            path = here / name
            identity = _identity(path)
            # A folder that is called like a picture is named as what it is not.
            if path.suffix.lower() in SUFFIXES and not name.startswith("."):
                yield path
            elif not name.startswith(".") and identity not in seen:
                seen.add(identity)
                kept.append(name)
        folders[:] = kept
        yield from (here / name for name in files if not name.startswith("."))


def _identity(folder: Path) -> tuple[int, int]:
    about = folder.stat()
    return about.st_dev, about.st_ino


def split_joined(text: str, is_one: Callable[[str], bool]) -> list[str]:
    """Take apart what is joined by `+`, but for names that hold a `+` themselves.

    Args:
        text: names joined by `+`, with blanks around them or not.
        is_one: whether a text is one name; the longest that is counts.

    Returns:
        The names; one is empty where a sign has nothing beside it.
    """
    parts = text.split("+")
    names = []
    while parts:
        count = next(
            (many for many in range(len(parts), 1, -1) if is_one("+".join(parts[:many]).strip())), 1
        )
        names.append("+".join(parts[:count]).strip())
        del parts[:count]
    return names
