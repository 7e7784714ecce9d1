"""What lies in the folder of work, and which of it can be had again."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from srcnn_mlflow.pictures.div2k import DIV2K_FOLDER
from srcnn_mlflow.pictures.photos import DIGESTS
from srcnn_mlflow.pictures.sets import SETS_FOLDER, named_sets
from srcnn_mlflow.pictures.shrunk import SHRUNK_FOLDER
from srcnn_mlflow.pictures.store_file import STORE_FOLDER
from srcnn_mlflow.tracking.outbox import OUTBOX_FOLDER
from srcnn_mlflow.tracking.study import STUDIES_FOLDER, SWEEPS_FOLDER

# Everything that commands keep, by its place below the folder of work.
PURPOSES = {
    STORE_FOLDER: "pictures prepared for training",
    SETS_FOLDER: "sets by name that were downloaded",
    DIV2K_FOLDER: "DIV2K",
    SHRUNK_FOLDER: "smaller copies of training pictures",
    str(DIGESTS): "what is known of picture files",
    OUTBOX_FOLDER: "epochs that wait for a tracking server",
    SWEEPS_FOLDER: "the trials of sweeps",
    STUDIES_FOLDER: "the trainings of studies",
}


@dataclass(frozen=True)
class Renewable:
    """What can be had again.

    Attributes:
        name: as a person reads it.
        how: it is had again.
        files: all of it; links, and what they lead to, are somebody's own.
    """

    name: str
    how: str
    files: tuple[Path, ...]

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(file.stat().st_size for file in self.files)


def renewables(folder: Path) -> list[Renewable]:
    """What of a folder of work a command makes or downloads again when it needs it.

    Files that no command has made are never among it, wherever they lie.
    """
    prepared = _files(folder / STORE_FOLDER, "*.h5", "*.partial")
    shrunk = _files(folder / SHRUNK_FOLDER, "*/*.png", "*/*.partial")
    found = [
        Renewable(STORE_FOLDER, "made again by the next training", prepared),
        Renewable(SHRUNK_FOLDER, "made again where a data set ends with @shrunk", shrunk),
        Renewable(str(DIGESTS), "found out again from the pictures", _files(folder, str(DIGESTS))),
        *_downloads(folder),
    ]
    return [one for one in found if one.files]


def _downloads(folder: Path) -> Iterator[Renewable]:
    for name, one in named_sets().items():
        place = folder / SETS_FOLDER / name
        files = _files(place, *(picture.name for picture in one.pictures))
        yield Renewable(f"{SETS_FOLDER}/{name}", "downloaded again", files)
    pictures = "DIV2K_*_HR/[0-9][0-9][0-9][0-9].png"
    files = _files(folder / DIV2K_FOLDER, pictures, "*.zip", "*.partial/*")
    yield Renewable(DIV2K_FOLDER, "downloaded again", files)


def _files(folder: Path, *patterns: str) -> tuple[Path, ...]:
    if any(one.is_symlink() for one in (folder, folder.parent)):
        return ()
    found = {path for pattern in patterns for path in folder.glob(pattern)}
    return tuple(
        sorted(
            path
            for path in found
            if path.is_file() and not path.is_symlink() and not path.parent.is_symlink()
        )
    )
