"""Fetch pictures of a set by name: several at once, each resumed, verified, and whole or absent."""

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import requests

from srcnn_mlflow.machine.addresses import server_of, shown_address
from srcnn_mlflow.machine.disk import free_bytes
from srcnn_mlflow.machine.errors import DatasetError
from srcnn_mlflow.machine.locking import one_at_a_time
from srcnn_mlflow.machine.progress import progress
from srcnn_mlflow.machine.server_faults import server_fault
from srcnn_mlflow.pictures.download import FRUITLESS_TRIES, RemoteFile, WrongContentsError, download
from srcnn_mlflow.pictures.sets import FOLDER_VARIABLE, ListedPicture, NamedSet

# Of GitHub, without its pages around the files.
SETS_ADDRESS = "https://raw.githubusercontent.com"
ADDRESS_VARIABLE = "SRCNN_SETS_ADDRESS"

AT_ONCE = 8
# A person who is offline should not wait long to hear so.
FIRST_TRIES = 3
_MOST_NAMED = 5

logger = logging.getLogger(__name__)


def fetch_pictures(wanted: NamedSet, missing: Sequence[ListedPicture], folder: Path) -> None:
    """Fetch pictures of a set into a folder, each of which appears only when it is verified.

    Args:
        wanted: the set.
        missing: those of its pictures to fetch, from `$SRCNN_SETS_ADDRESS` or from GitHub.
        folder: where they go.

    Raises:
        DatasetError: too little room, out of reach, or not the expected contents.
    """
    address = os.environ.get(ADDRESS_VARIABLE, SETS_ADDRESS).rstrip("/")
    _check_room(wanted, missing, folder)
    with one_at_a_time(folder / ".download.lock", f"downloads into {folder}"):
        logger.info(
            "downloading %d picture(s) of %s, %.1f MB, from %s/%s to %s",
            *(len(missing), wanted.name, sum(one.size for one in missing) / 1e6),
            *(shown_address(address), wanted.address, folder),
        )
        try:
            _fetch_all(f"{address}/{wanted.address}", wanted, missing, folder)
        except requests.RequestException as error:
            raise DatasetError(_out_of_reach(wanted, missing, folder, address, error)) from error
        except OSError as error:
            raise DatasetError(
                f"pictures of {wanted.name} cannot be written to {folder.absolute()}: {error}"
            ) from error


def _fetch_all(
    address: str, wanted: NamedSet, missing: Sequence[ListedPicture], folder: Path
) -> None:
    # One alone tells whether there is a connection at all.
    _fetch(address, missing[0], folder, FIRST_TRIES)
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        waiting = [
            pool.submit(_fetch, address, one, folder, FRUITLESS_TRIES) for one in missing[1:]
        ]
        label = f"downloading {wanted.name}"
        for done in progress(as_completed(waiting), total=len(waiting), label=label):
            done.result()
    finally:
        # What the others have begun is finished; the next try goes on from there.
        pool.shutdown(cancel_futures=True)


def _fetch(address: str, picture: ListedPicture, folder: Path, tries: int) -> None:
    url = f"{address}/{picture.file}"
    shown = f"{shown_address(address)}/{picture.file}"
    file = RemoteFile(url, picture.name, picture.size, picture.sha256)
    try:
        try:
            download(file, folder, tries=tries, shown=False)
        except WrongContentsError:
            logger.warning("%s is not the expected file; it is fetched once more", shown)
            download(file, folder, tries=tries, shown=False)
    except WrongContentsError as error:
        raise DatasetError(
            f"{shown} is not the expected file: its SHA-256 is not {picture.sha256}, twice; it was "
            f"deleted. Try again later, or give a mirror's address in {ADDRESS_VARIABLE}"
        ) from error


def _check_room(wanted: NamedSet, missing: Sequence[ListedPicture], folder: Path) -> None:
    needed, free = sum(one.size for one in missing), free_bytes(folder)
    if needed > free:
        raise DatasetError(
            f"fetching {wanted.name} needs {needed / 1e6:.1f} MB under {folder.absolute()}, and "
            f"{free / 1e6:.1f} MB are free; make room, or choose another data set"
        )


def _out_of_reach(
    wanted: NamedSet,
    missing: Sequence[ListedPicture],
    folder: Path,
    address: str,
    error: Exception,
) -> str:
    # Another process, or another thread, may have brought some of them.
    absent = [one.file for one in missing if not (folder / one.name).exists()]
    more = f" and {len(absent) - _MOST_NAMED} more" if len(absent) > _MOST_NAMED else ""
    fault = server_fault(error)
    reason = f"{server_of(address)} {fault.said}" if fault else str(error)
    return (
        f"set {wanted.name} cannot be fetched: {reason}. What has arrived is kept for the next "
        "try. "
        f"Without a connection, put {', '.join(absent[:_MOST_NAMED])}{more} of {wanted.page} into "
        f"{folder.absolute()}, under any name and in any lossless format; or put them into a "
        f"folder {wanted.name} of one that {FOLDER_VARIABLE} names. A mirror's address goes into "
        f"{ADDRESS_VARIABLE}"
    )
