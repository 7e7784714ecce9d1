"""The HDF5 file between photographs and training: each plane once, and where its patches lie.

A picture has as many overlapping patches as it has pixels / stride^2, so keeping the patches
costs about six times the planes at stride 14 and four times that again as float32. The file
keeps every pair of 8-bit planes once, one behind another, with an index of patches. It also
writes the classical arrays of patches, for programs that expect them.

Layout of a file of planes, for the groups `train` and `valid`:

    lr, hr      uint8, flat: the planes of all pictures, row by row; lr is already upscaled
    shape       int32 (pictures, 2): height and width
    offset      int64 (pictures,): where a picture's planes begin in lr and hr
    grey        bool (pictures,), of three planes only: whether they are a grey picture's
    name        the pictures' file names
    patches     int32 (patches, 3), in train only: picture, top, left

A picture has one plane, its luma; or three, its red, green and blue, one behind another.

A materialized file has, at its root instead of in `train`, `lr` and `hr` of shape
(patches, patch_size, patch_size), float32 in 0..255; of three planes of shape
(patches, 3, patch_size, patch_size).

Either kind begins with a block of 512 bytes that HDF5 leaves to the user: a line of text with the
CRC-32 of all that follows, so that no bit of the file can change unnoticed.
"""

import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import h5py

from srcnn_mlflow import __version__
from srcnn_mlflow.machine.errors import StoreError
from srcnn_mlflow.pictures.datasets import Split

# Below the folder of work.
STORE_FOLDER = "prepared"
FORMAT = 2
STORED_SPLITS = ("train", "valid")
# The least that HDF5 allows for.
USER_BLOCK = 512
_CHUNK = 1 << 20
_SEAL = f"srcnn-mlflow prepared file, format {FORMAT},"


@dataclass(frozen=True)
class StoreSettings:
    """What, beside the photographs, decides every byte of a prepared file.

    Attributes:
        scale: 2, 3 or 4.
        patch_size: side of a training patch, in high-resolution pixels.
        stride: distance between neighbouring patches, in pixels.
        materialize: write the patches themselves, in the classical layout.
        planes: of a picture: 1 for luma, 3 for red, green and blue.
    """

    scale: int
    patch_size: int
    stride: int
    materialize: bool = False
    planes: int = 1

    def facts(self) -> dict[str, int | bool]:
        """By name; without what files of luma have never said of themselves."""
        facts: dict[str, int | bool] = asdict(self)
        if self.planes == 1:
            del facts["planes"]
        return facts


def file_name(settings: StoreSettings, splits: Sequence[Split]) -> str:
    """What a prepared file is called: other settings or other pixels give another name."""
    identity = {
        "format": FORMAT,
        **settings.facts(),
        **{split.name: split.digest for split in splits},
    }
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    colours = "" if settings.planes == 1 else "-rgb"
    return f"x{settings.scale}-{settings.patch_size}-{settings.stride}{colours}-{key}.h5"


def provenance(settings: StoreSettings, splits: Sequence[Split]) -> dict[str, str | int | bool]:
    """What a prepared file says of itself."""
    return {
        "format": FORMAT,
        **settings.facts(),
        "dataset": splits[0].dataset,
        **{f"{split.name}_digest": split.digest for split in splits},
        "srcnn_mlflow": __version__,
        **{package: version(package) for package in ("h5py", "numpy", "pillow")},
    }


class Identity(NamedTuple):
    """What changes when a file is replaced, or written into."""

    inode: int
    size: int
    modified: int


def identify(path: Path) -> Identity | None:
    """What a file is now; None where there is none."""
    try:
        about = path.stat()
    except OSError:
        return None
    return Identity(about.st_ino, about.st_size, about.st_mtime_ns)


def check_file(
    path: Path,
    expected: StoreSettings | None = None,
    splits: Sequence[Split] = (),
    checked: Identity | None = None,
) -> StoreSettings:
    """Check every byte of a prepared file; gives how it was made.

    Args:
        path: the file.
        expected: how it should have been made; None for whatever it says.
        splits: what it should have been made of.
        checked: what it was when it was checked last. As long as it is that, no byte is read again.

    Raises:
        StoreError: it is missing, damaged, or was made with other settings or of other pictures
            than expected.
    """
    if not path.is_file():
        raise StoreError(f"there is no prepared file {path}; run prepare first")
    if checked is None or identify(path) != checked:
        _check_seal(path)
    with h5py.File(path, "r") as file:
        settings = StoreSettings(
            scale=int(file.attrs["scale"]),
            patch_size=int(file.attrs["patch_size"]),
            stride=int(file.attrs["stride"]),
            materialize=bool(file.attrs["materialize"]),
            planes=int(file.attrs.get("planes", 1)),
        )
        made_of = {split.name: file.attrs.get(f"{split.name}_digest") for split in splits}
    if expected and settings != expected:
        raise damaged(path, "it was made with other settings")
    if made_of != {split.name: split.digest for split in splits}:
        raise damaged(path, "it was made of other pictures")
    return settings


def _check_seal(path: Path) -> None:
    with path.open("rb") as content:
        written = content.read(USER_BLOCK)
    if not written.startswith(_SEAL.encode()):
        raise damaged(path, "it does not begin as a prepared file of this version")
    if written != seal(path):
        raise damaged(path, "it is not as it was written")


def seal(path: Path) -> bytes:
    """The first block of a file whose other bytes are these."""
    checksum = 0
    with path.open("rb") as content:
        content.seek(USER_BLOCK)
        while chunk := content.read(_CHUNK):
            checksum = zlib.crc32(chunk, checksum)
    text = f"{_SEAL} CRC-32 of the rest {checksum:08x}\n"
    return text.encode().ljust(USER_BLOCK, b"\0")


def damaged(path: Path, reason: str) -> StoreError:
    """What is to be said of a prepared file that cannot be used."""
    return StoreError(f"{path} is damaged ({reason}); delete it and run prepare again")
