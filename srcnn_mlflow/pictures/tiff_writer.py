"""Write TIFF files, 8 or 16 bits deep: strips of deflated differences, and their tags."""

import struct
import zlib
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from srcnn_mlflow.machine.errors import ImageError
from srcnn_mlflow.pictures.metadata import DAMAGED
from srcnn_mlflow.pictures.picture import Picture, Pixels

# TIFF 6.0, its supplement of 2002 (deflate) and ICC.1, annex B.4.
_WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIP_PLACES, _SAMPLES, _ROWS, _STRIP_SIZES = 273, 277, 278, 279
# Pillow moves strips, wherever they are said to be, and leaves tiles alone.
_TILE_PLACES = 324
_PREDICTOR, _EXTRA_SAMPLES, _PROFILE, _XMP = 317, 338, 34675, 700
_ADOBE_DEFLATE, _BLACK_IS_ZERO, _RGB, _DIFFERENCES, _UNASSOCIATED = 8, 1, 2, 2, 2
_HEADER = b"II*\0"
_LARGEST = 2**32 - 1
_STRIP_BYTES, _LEVEL = 2**20, 6


def write_tiff(picture: Picture, tags: Mapping[int, Any], file: BinaryIO) -> None:
    """Write a picture as a TIFF file.

    Args:
        picture: of 8 or 16 bits; of its metadata the ICC profile and XMP are taken.
        tags: further ones of its first directory, EXIF's own directories below theirs.
        file: empty, and written from its beginning.

    Raises:
        ImageError: it would be larger than TIFF files can be.
    """
    file.write(_HEADER + bytes(4))
    rows = max(1, _STRIP_BYTES // picture.pixels[0].nbytes)
    places, sizes = [], []
    for top in range(0, picture.height, rows):
        strip = zlib.compress(_differences(picture.pixels[top : top + rows]), _LEVEL)
        places.append(file.tell())
        sizes.append(len(strip))
        file.write(strip)
    if file.tell() % 2:
        file.write(b"\0")  # a directory begins at an even place
    place, layout = file.tell(), _layout(picture, rows, places, sizes)
    try:
        described = _directory({**tags, **layout}, place)
    except DAMAGED:  # of what the original said
        described = _directory(layout, place)
    if place + len(described) > _LARGEST:
        raise ImageError("would have more than the 4 GB that a TIFF file holds; give format=png")
    file.write(described)
    file.seek(len(_HEADER))
    file.write(struct.pack("<I", place))


def _differences(strip: Pixels) -> bytes:
    """Each sample less the one before it in its row, of which deflate makes less."""
    differences = np.concatenate([strip[:, :1], strip[:, 1:] - strip[:, :-1]], axis=1)
    return differences.astype(differences.dtype.newbyteorder("<")).tobytes()


def _directory(tags: Mapping[int, Any], place: int) -> bytes:
    directory = ImageFileDirectory_v2(_HEADER + bytes(4))
    for tag, value in tags.items():
        directory[tag] = value
    return _with_strips(directory.tobytes(place))


def _with_strips(directory: bytes) -> bytes:
    """Call tiles strips, which are further ahead in the order of tags."""
    (count,) = struct.unpack_from("<H", directory)
    entries = [directory[2 + 12 * number : 14 + 12 * number] for number in range(count)]
    tags = {struct.unpack_from("<H", entry)[0]: entry for entry in entries}
    tags[_STRIP_PLACES] = struct.pack("<H", _STRIP_PLACES) + tags.pop(_TILE_PLACES)[2:]
    ordered = b"".join(tags[tag] for tag in sorted(tags))
    return directory[:2] + ordered + directory[2 + 12 * count :]


def _layout(picture: Picture, rows: int, places: list[int], sizes: list[int]) -> Mapping[int, Any]:
    bits = 8 * picture.pixels.dtype.itemsize
    tags: dict[int, Any] = {
        **{_WIDTH: picture.width, _LENGTH: picture.height, _BITS: (bits,) * picture.bands},
        **{_COMPRESSION: _ADOBE_DEFLATE, _PREDICTOR: _DIFFERENCES, _SAMPLES: picture.bands},
        _PHOTOMETRIC: _BLACK_IS_ZERO if picture.colours == 1 else _RGB,
        **{_ROWS: rows, _TILE_PLACES: tuple(places), _STRIP_SIZES: tuple(sizes)},
    }
    if picture.bands > picture.colours:
        tags[_EXTRA_SAMPLES] = (_UNASSOCIATED,)
    if picture.metadata.profile is not None:
        tags[_PROFILE] = picture.metadata.profile
    if picture.metadata.xmp:
        tags[_XMP] = picture.metadata.xmp
    return tags
