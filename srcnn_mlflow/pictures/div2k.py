"""`div2k` and `div2k-report`: 900 photographs by their numbers, and two ways to split them."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from srcnn_mlflow.machine.errors import DatasetError

if TYPE_CHECKING:
    from srcnn_mlflow.pictures.div2k_download import Archive

# Below the folder of work.
DIV2K_FOLDER = "DIV2K"
# 0801-0900 are the official validation pictures; in `div2k` they test, and never choose anything.
# The report that this project started from chose its best epoch on them, and reported on them.
DIV2K_RANGES = {
    "div2k": {"train": range(1, 771), "valid": range(771, 801), "test": range(801, 901)},
    "div2k-report": {"train": range(1, 801), "valid": range(801, 901), "test": range(0)},
}
# Those of the test pictures that become a gate, where one is asked for.
DIV2K_GATE = range(871, 901)


def div2k_files(name: str, folder: Path, gate_split: bool = False) -> dict[str, list[Path]]:
    """Find the pictures of each split, and download what is missing.

    Args:
        name: `div2k` or `div2k-report`.
        folder: where they lie, however deep, or are to be unpacked.
        gate_split: cut a split `gate` out of `test`.

    Raises:
        DatasetError: they cannot be had, or some are missing.
    """
    # Imported here, because what speaks HTTP takes longer to import than all else.
    from srcnn_mlflow.pictures.div2k_download import fetch_archives

    if missing := _missing_archives(_numbered_pictures(folder)):
        fetch_archives(missing, folder)
    found = _numbered_pictures(folder)
    if missing := _missing_archives(found):
        raise DatasetError(
            f"data set div2k lacks some of the pictures of {missing[0].folder} under "
            f"{folder.absolute()}; delete that folder and run again to fetch it anew"
        )
    ranges: dict[str, Sequence[int]] = {**DIV2K_RANGES[name]}
    if gate_split:
        test = ranges["test"]
        ranges["gate"] = [number for number in test if number in DIV2K_GATE]
        ranges["test"] = [number for number in test if number not in DIV2K_GATE]
    return {split: [found[number] for number in numbers] for split, numbers in ranges.items()}


def _numbered_pictures(folder: Path) -> dict[int, Path]:
    """Pictures by number, however deep they lie; those of other resolutions have longer names."""
    paths = sorted(folder.glob("**/*.png"))
    return {int(path.stem): path for path in paths if re.fullmatch(r"\d{4}", path.stem)}


def _missing_archives(found: Mapping[int, Path]) -> "list[Archive]":
    from srcnn_mlflow.pictures.div2k_download import DIV2K_ARCHIVES

    train, valid = DIV2K_ARCHIVES
    holds = {train: range(1, 801), valid: range(801, 901)}
    return [one for one, numbers in holds.items() if any(n not in found for n in numbers)]
