"""Usable pictures: each file with its size and what its pixels are called."""

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from srcnn_mlflow.machine.errors import DatasetError, ImageError
from srcnn_mlflow.machine.garbage import no_search
from srcnn_mlflow.machine.overlap import computed_ahead
from srcnn_mlflow.machine.places import home
from srcnn_mlflow.machine.progress import progress
from srcnn_mlflow.machine.text import printable
from srcnn_mlflow.pictures.decoding import open_picture
from srcnn_mlflow.pictures.digest_cache import DigestCache, Pixels, signature
from srcnn_mlflow.pictures.imaging import Plane, flatten, luma, strips
from srcnn_mlflow.pictures.likeness import Likeness
from srcnn_mlflow.pictures.picture import Picture

logger = logging.getLogger(__name__)

# Below the folder of work.
DIGESTS = Path("digests.json")
# Files that are looked at ahead: a waiting one takes more memory than what is known of a picture.
_MOST_WAITING = 256
_SECONDS_BETWEEN_SAVES = 60.0
# Takes the digest of a picture that had to be decoded, and the picture, of mode L or RGB.
Keep = Callable[[str, Image.Image], None]


@dataclass(frozen=True, slots=True)
class Photo:
    """One usable picture: its file, and what `Pixels` says of it."""

    path: Path
    width: int
    height: int
    digest: str
    identity: str
    likeness: Likeness

    @property
    def name(self) -> str:
        """The file's name, as tables and pictures show it."""
        return printable(self.path.name)


def load_luma(photo: Photo) -> Plane:
    """Read a photograph's 8-bit luma, uint8 of shape (height, width)."""
    return luma(flatten(open_picture(photo.path).image()))


def load_pixels(photo: Photo) -> Plane:
    """Read a photograph: uint8 of shape (height, width) for grey, or (height, width, 3)."""
    return np.asarray(flatten(open_picture(photo.path).image()))


def digest(photos: Iterable[Photo]) -> str:
    """Name a set of photographs by its pixels.

    Returns:
        The first 32 hex digits of a SHA-256 over the pictures' own digests, in sorted order, so
        that neither file names nor their order count.
    """
    together = hashlib.sha256()
    for one in sorted(photo.digest for photo in photos):
        together.update(bytes.fromhex(one))
    return together.hexdigest()[:32]


def scan(
    name: str, files: Sequence[Path], keep: Keep | None = None
) -> tuple[list[Photo], tuple[str, ...]]:
    """The same as `examine`, where some picture has to be usable.

    Raises:
        DatasetError: none is.
    """
    photos, refused = examine(name, files, keep)
    if not photos:
        reason = (
            f"none of its {len(files)} pictures can be used, the first because {refused[0]}"
            if files
            else "it holds no picture that is read, such as a PNG, JPEG, BMP, TIFF or WebP file"
        )
        raise DatasetError(f"data set {name} is empty: {reason}")
    return photos, refused


def examine(
    name: str, files: Sequence[Path], keep: Keep | None = None
) -> tuple[list[Photo], tuple[str, ...]]:
    """Open every file that no earlier command has, and tell the usable pictures from the others.

    Args:
        name: of the data set, for messages.
        files: the pictures.
        keep: given each that is decoded.

    Returns:
        The photographs, and one sentence for every file that cannot be used.
    """
    cache = DigestCache(home() / DIGESTS)
    # All of it stays.
    with no_search():
        known = [_known(path, cache) for path in files]
    unknown = [path for path, photo in zip(files, known, strict=True) if photo is None]
    looked_at = computed_ahead(unknown, lambda path: _try_photo(path, cache, keep), _MOST_WAITING)
    try:
        with closing(looked_at):
            kept = _kept_meanwhile(cache, looked_at)
            found = iter([*progress(kept, total=len(unknown), label=f"checking {name}")])
    finally:
        cache.save()
    every = [photo or next(found) for photo in known]
    refused = tuple(one for one in every if isinstance(one, str))
    return [one for one in every if isinstance(one, Photo)], refused


def _kept_meanwhile(cache: DigestCache, found: Iterator[Photo | str]) -> Iterator[Photo | str]:
    """Pass on what is found, written down now and then for who begins again after a kill."""
    last = time.monotonic()
    for one in found:
        yield one
        if time.monotonic() - last >= _SECONDS_BETWEEN_SAVES:
            cache.save()
            last = time.monotonic()


def _known(path: Path, cache: DigestCache) -> Photo | None:
    """What is known of a file that has not changed since it was looked at."""
    try:
        pixels = cache.find(path, signature(path))
    except OSError:
        return None
    return None if pixels is None else Photo(path, *pixels)


def _try_photo(path: Path, cache: DigestCache, keep: Keep | None) -> Photo | str:
    # Imported here, because it takes a third of a second, and known pictures need none of it.
    from srcnn_mlflow.pictures.likeness_hashes import likeness

    try:
        # Taken first, so that a file which changes meanwhile is decoded again next time.
        before = signature(path)
        pixels = cache.find(path, before)
        if pixels is None:
            picture = open_picture(path)
            _tell_notes(path, picture)
            image = flatten(picture.image())
            pixels = Pixels(image.width, image.height, *_pixel_digests(image), likeness(image))
            cache.add(path, before, pixels)
            if keep is not None:
                keep(pixels.digest, image)
    except ImageError as error:
        return str(error)
    except MemoryError:
        return f"{printable(path.name)} does not fit the memory of this machine"
    except OSError as error:
        return f"{printable(path.name)} cannot be read: {error.strerror}"
    return Photo(path, *pixels)


def _tell_notes(path: Path, picture: Picture) -> None:
    """Say what of a file does not come into the data set."""
    deep = ("8 of its 16 bits are taken",) if picture.white > 255 else ()
    for note in (*picture.notes, *deep):
        logger.info("note: of %s, %s", printable(path.name), note)


def _pixel_digests(image: Image.Image) -> tuple[str, str]:
    """The digest of a picture, and its identity: what the digest is of the same in grey."""
    size = f"{image.width}x{image.height} "
    pixels = hashlib.sha256(f"{image.mode} {size}".encode())
    grey = hashlib.sha256(f"L {size}".encode())
    coloured = False
    for _, rows in strips(image):
        pixels.update(rows.data)
        level = rows if image.mode == "L" else rows[..., 0]
        coloured = coloured or (image.mode != "L" and bool((rows != level[..., None]).any()))
        if not coloured:
            grey.update(np.ascontiguousarray(level).data)
    digest = pixels.hexdigest()
    return digest, digest if coloured else grey.hexdigest()
