"""Fetch DIV2K (Agustsson and Timofte, 2017): resumed, verified, and unpacked with care."""

import logging
import os
import re
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import requests

from srcnn_mlflow.machine.disk import free_bytes
from srcnn_mlflow.machine.errors import DatasetError
from srcnn_mlflow.machine.locking import one_at_a_time
from srcnn_mlflow.machine.progress import progress
from srcnn_mlflow.pictures.download import RemoteFile, WrongContentsError, download

DIV2K_ADDRESS = "https://data.vision.ee.ethz.ch/cvl/DIV2K"
ADDRESS_VARIABLE = "SRCNN_DIV2K_ADDRESS"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Archive:
    """A zip file of pictures in one folder.

    Attributes:
        name: of the file, with `.zip`; the folder inside is called the same without it.
        size: in bytes.
        sha256: of the file, as 64 hex digits.
        pictures: how many it holds.
    """

    name: str
    size: int
    sha256: str
    pictures: int

    @property
    def folder(self) -> str:
        """The folder that the archive unpacks to."""
        return self.name.removesuffix(".zip")


# Sizes and checksums as a public data catalogue lists them.
DIV2K_ARCHIVES = (
    Archive(
        "DIV2K_train_HR.zip",
        3_530_603_713,
        "9d0b9c463f6e35b6c62cc6a930ee2224f670b34c1df841a57670f9acf0f6c335",
        800,
    ),
    Archive(
        "DIV2K_valid_HR.zip",
        448_993_893,
        "20dd31fd84d777bc1cf5d6b7654a3f569c0aec74458ae094122ad1d0489900fc",
        100,
    ),
)


def fetch_archives(archives: Sequence[Archive], folder: Path) -> None:
    """Download archives and unpack their pictures; what is there already stays.

    A broken-off download goes on where it stopped, in this call and in a later one. A folder of
    pictures appears under its name only when it is complete.

    Args:
        archives: what to fetch from `$SRCNN_DIV2K_ADDRESS`, or the official address.
        folder: where the folders of pictures go.

    Raises:
        DatasetError: too little room, out of reach, or not the expected contents.
    """
    address = os.environ.get(ADDRESS_VARIABLE, DIV2K_ADDRESS).rstrip("/")
    with one_at_a_time(folder / "download.lock", f"downloads into {folder}"):
        missing = [archive for archive in archives if not (folder / archive.folder).is_dir()]
        _check_room(missing, folder)
        for archive in missing:
            size = archive.size / 1e9
            logger.info("downloading %s/%s, %.2f GB, to %s", address, archive.name, size, folder)
            path = _download(f"{address}/{archive.name}", archive, folder)
            logger.info("unpacking %s", archive.name)
            unpack(path, archive, folder)
            path.unlink()


def unpack(path: Path, archive: Archive, folder: Path) -> None:
    """Unpack an archive into its folder, which appears only when it is complete.

    Args:
        path: the zip file.
        archive: what it should hold.
        folder: where its folder goes.

    Raises:
        DatasetError: damaged, not the expected pictures, or far larger than its file.
    """
    partial = folder / f"{archive.folder}.partial"
    shutil.rmtree(partial, ignore_errors=True)  # a killed process may have left one
    try:
        with zipfile.ZipFile(path) as file:
            members = [member for member in file.infolist() if not member.is_dir()]
            _check_members(members, archive, path)
            partial.mkdir()
            for member in progress(members, total=len(members), label=f"unpacking {archive.name}"):
                target = partial / Path(member.filename).name
                with file.open(member) as source, target.open("wb") as picture:
                    shutil.copyfileobj(source, picture)
        partial.replace(folder / archive.folder)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise DatasetError(
            f"{path} is not a usable zip file ({error}); delete it, and run again to fetch it anew"
        ) from error
    except OSError as error:
        raise DatasetError(f"{path} cannot be unpacked into {folder}: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _check_members(members: Sequence[zipfile.ZipInfo], archive: Archive, path: Path) -> None:
    """Only pictures of the expected names, which neither leave the folder nor explode."""
    expected = re.compile(re.escape(archive.folder) + r"/\d{4}\.png")
    for member in members:
        if not expected.fullmatch(member.filename):
            raise DatasetError(
                f"{path} holds {member.filename!r}, where only pictures such as "
                f"{archive.folder}/0001.png belong; nothing was unpacked"
            )
    if len(members) != archive.pictures:
        raise DatasetError(
            f"{path} holds {len(members)} pictures, not {archive.pictures}; nothing was unpacked"
        )
    # PNG files hardly shrink any further, so a zip of them is about as large as they are.
    total = sum(member.file_size for member in members)
    if total > 2 * max(archive.size, path.stat().st_size):
        raise DatasetError(
            f"{path} would unpack to {total:,} bytes, far more than its own "
            f"{path.stat().st_size:,}; nothing was unpacked"
        )


def _check_room(archives: Sequence[Archive], folder: Path) -> None:
    # Each archive is deleted once its pictures are there, so one at a time exists twice.
    needed = sum(archive.size for archive in archives)
    needed += max((archive.size for archive in archives), default=0)
    free = free_bytes(folder)
    if needed > free:
        raise DatasetError(
            f"fetching {', '.join(archive.name for archive in archives)} needs "
            f"{needed / 1e9:.1f} GB under {folder}, and {free / 1e9:.1f} GB are free; make room, "
            "or choose another data set"
        )


def _download(url: str, archive: Archive, folder: Path) -> Path:
    try:
        return download(RemoteFile(url, archive.name, archive.size, archive.sha256), folder)
    except requests.RequestException as error:
        raise DatasetError(
            f"{url} cannot be fetched: {error}. What has arrived is kept for the next try. Without "
            f"a connection, put {archive.name} into {folder.absolute()}, or its pictures into "
            f"{folder.absolute() / archive.folder}; a mirror's address goes into {ADDRESS_VARIABLE}"
        ) from error
    except WrongContentsError as error:
        raise DatasetError(
            f"{url} is not the expected file: its SHA-256 is not {archive.sha256}; it was deleted. "
            f"Try again, or give a mirror's address in {ADDRESS_VARIABLE}"
        ) from error
    except OSError as error:
        raise DatasetError(f"{archive.name} cannot be written to {folder}: {error}") from error
