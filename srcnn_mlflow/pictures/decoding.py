"""Open picture files safely: every picture that enters the package comes through `open_image`."""

import io
import logging
import re
import stat
import struct
import warnings
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageFile, UnidentifiedImageError

from srcnn_mlflow.machine.errors import ImageError
from srcnn_mlflow.machine.text import printable

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
# What Pillow itself takes for a decompression bomb.
MAX_PIXELS = 178_956_970
# `open_image` looks at every size before it decodes, and may be told to allow more than Pillow.
Image.MAX_IMAGE_PIXELS = None

# What Pillow finds odd about a file is harmless, or ends in an exception. It is silenced for good,
# because pictures are decoded in several threads, and `catch_warnings` would change all of them.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())
# What damaged files make the decoders raise.
_DAMAGED = (
    *(struct.error, zlib.error, ArithmeticError, AttributeError, EOFError, LookupError),
    *(OSError, SyntaxError, TypeError, ValueError),
)
# As many as libtiff allows; progressive pictures have about ten. Each scan goes over the whole
# picture, so a small file of very many would keep the decoder busy for hours.
MAX_SCANS = 100
# The JPEG markers that are followed by a length, and the end of the image (T.81, table B.1).
_JPEG_MARKER = re.compile(rb"\xff([\x02-\xcf\xd9-\xfe])")
_START_OF_SCAN, _END_OF_IMAGE = b"\xda", b"\xd9"
# EXIF 2.32, tag 0x0112.
_ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_MODES_16_BIT = ("I;16", "I;16B", "I;16L", "I;16N")
# TIFF 6.0, section 3.
_BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0
# A PNG names its transparent colour at the file's depth, and Pillow compares it with 8 bits.
_EIGHT_BIT_KEYS: dict[str, Callable[[int], int]] = {
    "L;2": lambda level: level * 85,
    "L;4": lambda level: level * 17,
    "RGB;16B": lambda level: level >> 8,
}


def open_image(source: Path | bytes, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode one picture, upright, with 8 bits a channel.

    Palette pictures become colour, CMYK is converted with its embedded profile where it has
    a sound one, 16-bit grey is scaled down to 8 bits (of 16-bit colour, Pillow keeps the high
    bytes), EXIF rotation is applied, and of an animation the first frame is taken. An embedded
    RGB colour profile stays in `info["icc_profile"]`.

    Args:
        source: a file, or the bytes of one: PNG, JPEG, BMP, TIFF or WebP.
        max_pixels: refuse larger pictures before they are decoded.

    Returns:
        A picture of mode L, LA, RGB or RGBA.

    Raises:
        ImageError: not a picture, damaged, too large, or of a kind without an 8-bit meaning
            (floating point or 32-bit integers).
    """
    name = printable(source.name) if isinstance(source, Path) else "the image"
    try:
        # Reading a pipe may wait for ever, and a device may never end.
        if isinstance(source, Path) and not stat.S_ISREG(source.stat().st_mode):
            raise ImageError(f"{name} is a folder, a pipe or a device, not a picture file")
        image: Image.Image = Image.open(
            source if isinstance(source, Path) else io.BytesIO(source), formats=FORMATS
        )
        _check_size(image, name, max_pixels)
        _check_scans(image, name)
        raw_mode = _raw_mode(image)
        _mend_transparency(image, raw_mode)
        image.load()
        if raw_mode == "LA;16B":  # which Pillow makes colour
            image = image.convert("LA")
        return _as_eight_bit(_upright(image), name)
    except UnidentifiedImageError:
        raise ImageError(f"{name} is not a PNG, JPEG, BMP, TIFF or WebP picture") from None
    except MemoryError:
        raise ImageError(f"{name} does not fit the memory of this machine") from None
    except _DAMAGED as error:
        # An error of the system repeats the path in its text.
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{name} cannot be read as a picture: {reason}") from error


def _check_size(image: Image.Image, name: str, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(
            f"{name} is {width}x{height}, {width * height:,} pixels; the most allowed is "
            f"{max_pixels:,}"
        )


def _check_scans(image: Image.Image, name: str) -> None:
    """Refuse a JPEG that goes over its pixels more often than any encoder would."""
    if image.format not in ("JPEG", "MPO"):
        return
    assert isinstance(image, ImageFile.ImageFile)
    assert image.fp is not None
    image.fp.seek(0)
    contents = image.fp.read()
    scans, place = 0, 0
    while found := _JPEG_MARKER.search(contents, place):
        if found[1] == _END_OF_IMAGE:
            return
        scans += found[1] == _START_OF_SCAN
        if scans > MAX_SCANS:
            raise ImageError(f"{name} has more than {MAX_SCANS} scans; save it again")
        place = found.end() + int.from_bytes(contents[found.end() : found.end() + 2])


def _raw_mode(image: Image.Image) -> str:
    """How pixels lie in a PNG; known only until they are decoded."""
    assert isinstance(image, ImageFile.ImageFile)
    return str(image.tile[0].args) if image.format == "PNG" and image.tile else ""


def _mend_transparency(image: Image.Image, raw_mode: str) -> None:
    """Bring the transparent colour of a PNG to 8 bits."""
    key = image.info.get("transparency")
    if key is None or raw_mode not in _EIGHT_BIT_KEYS:
        return
    to_eight_bit_key = _EIGHT_BIT_KEYS[raw_mode]
    image.info["transparency"] = (
        tuple(map(to_eight_bit_key, key)) if isinstance(key, tuple) else to_eight_bit_key(key)
    )


def _upright(image: Image.Image) -> Image.Image:
    """Turn a picture as its EXIF orientation says; damaged EXIF counts as none."""
    try:
        orientation = image.getexif().get(0x0112)
    except _DAMAGED:
        return image
    turn = _ORIENTATIONS.get(orientation) if isinstance(orientation, int) else None
    if turn is None:
        return image
    upright = image.transpose(turn)
    upright.info = image.info
    return upright


def _as_eight_bit(image: Image.Image, name: str) -> Image.Image:
    profile = image.info.get("icc_profile")
    transparent = image.mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info
    if image.mode in _MODES_16_BIT:
        return _sixteen_to_eight_bit(image)
    if image.mode in ("I", "F"):
        raise ImageError(
            f"{name} holds {'32-bit integers' if image.mode == 'I' else 'floating point numbers'}; "
            "save it with 8 or 16 bits a channel"
        )
    if image.mode == "P" and not image.getpalette():
        raise ImageError(f"{name} cannot be read as a picture: it has no palette")
    if image.mode == "CMYK":
        return _cmyk_to_rgb(image, profile)
    if image.mode in ("1", "L") and not transparent:
        return _bare(image.convert("L"), None)
    if image.mode in ("1", "L", "LA", "La"):
        return _bare(image.convert("LA"), None)
    mode = "RGBA" if transparent else "RGB"
    return _bare(image if image.mode == mode else image.convert(mode), profile)


def _sixteen_to_eight_bit(image: Image.Image) -> Image.Image:
    deep = np.asarray(image).astype(np.uint32)
    tags: Mapping[int, Any] = getattr(image, "tag_v2", {})
    # Pillow widens 12 bits without scaling them, and leaves inverted levels to its callers.
    (bits,) = tags.get(_BITS_PER_SAMPLE, (16,))
    white = 2**bits - 1
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        deep = white - deep
    grey = Image.fromarray(((2 * 255 * deep + white) // (2 * white)).astype(np.uint8))
    key = image.info.get("transparency")
    if key is not None:
        grey.putalpha(Image.fromarray(np.where(deep == key, 0, 255).astype(np.uint8)))
    return grey


def _cmyk_to_rgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if profile is None:
        return _bare(image.convert("RGB"), None)
    try:
        converted = ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            outputMode="RGB",
        )
    except (OSError, ImageCms.PyCMSError):
        return _cmyk_to_rgb(image, None)  # a damaged profile counts as none
    assert converted is not None  # only an in-place conversion gives None
    return _bare(converted, None)


def _bare(image: Image.Image, profile: bytes | None) -> Image.Image:
    image.info = {"icc_profile": profile} if profile else {}
    return image
