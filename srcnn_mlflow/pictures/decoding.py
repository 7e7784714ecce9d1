"""Open picture files safely: every picture that enters the package comes through `open_picture`."""

import io
import logging
import re
import stat
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import BinaryIO

import imagecodecs
import numpy as np
from PIL import Image, ImageCms, ImageFile, UnidentifiedImageError

from srcnn_mlflow.machine.errors import ImageError
from srcnn_mlflow.machine.text import printable
from srcnn_mlflow.pictures.metadata import (
    DAMAGED,
    Metadata,
    identity_in,
    orientation,
    read_metadata,
    statements,
    tiff_statements,
)
from srcnn_mlflow.pictures.picture import Picture, Pixels
from srcnn_mlflow.pictures.tiff import SIGNATURES, TiffLayout, decode_tiff, read_layout

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF", "AVIF", "JPEG2000", "PPM", "QOI")
READ = "PNG, JPEG, BMP, TIFF, WebP, GIF, AVIF or JPEG 2000 picture"
# What Pillow itself takes for a decompression bomb.
MAX_PIXELS = 178_956_970
# `open_picture` looks at every size before it decodes, and may be told to allow more than Pillow.
Image.MAX_IMAGE_PIXELS = None

# What Pillow finds odd about a file is harmless, or ends in an exception. It is silenced for good,
# because pictures are decoded in several threads, and `catch_warnings` would change all of them.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())
# As many as libtiff allows; progressive pictures have about ten. Each scan goes over the whole
# picture, so a small file of very many would keep the decoder busy for hours.
MAX_SCANS = 100
# The JPEG markers that are followed by a length, and the end of the image (T.81, table B.1).
_JPEG_MARKER = re.compile(rb"\xff([\x02-\xcf\xd9-\xfe])")
_START_OF_SCAN, _END_OF_IMAGE = b"\xda", b"\xd9"
# EXIF 2.32, tag 0x0112: what turns each orientation upright.
_UPRIGHT: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: np.rot90(stored),
}
_HEIF = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
ONLY_FIRST = "only the first of its frames or pages is taken"
_BITS_PER_SAMPLE = 258  # TIFF 6.0
_MODES_16_BIT = ("I;16", "I;16B", "I;16L", "I;16N")
# A PNG names its transparent colour at the file's depth, and Pillow compares it with 8 bits.
_EIGHT_BIT_KEYS: dict[str, Callable[[int], int]] = {
    "L;2": lambda level: level * 85,
    "L;4": lambda level: level * 17,
}


def open_picture(source: Path | bytes, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decode one picture, upright, with 8 or 16 bits a channel as its file has.

    Palette pictures become colour, CMYK and L*a*b* become sRGB, EXIF rotation is applied, and of
    an animation or of several pages the first is taken.

    Args:
        source: a file, or the bytes of one: see `READ`; also PPM, QOI, and HEIC where the package
            `pillow-heif` is installed.
        max_pixels: refuse larger pictures before they are decoded.

    Raises:
        ImageError: not a picture, damaged, too large, or of a kind without a meaning in 8 or 16
            bits (floating point, signed or 32-bit integers).
    """
    name = printable(source.name) if isinstance(source, Path) else "the image"
    try:
        # Reading a pipe may wait for ever, and a device may never end.
        if isinstance(source, Path) and not stat.S_ISREG(source.stat().st_mode):
            raise ImageError(f"{name} is a folder, a pipe or a device, not a picture file")
        with source.open("rb") if isinstance(source, Path) else io.BytesIO(source) as file:
            return _decode(file, name, max_pixels)
    except UnidentifiedImageError:
        raise ImageError(f"{name} is not a {READ}") from None
    except MemoryError:
        raise ImageError(f"{name} does not fit the memory of this machine") from None
    except DAMAGED as error:
        # An error of the system repeats the path in its text, and that of a lookup is what it
        # did not find.
        missing = "it is damaged" if isinstance(error, LookupError) else error
        reason = getattr(error, "strerror", None) or missing
        raise ImageError(f"{name} cannot be read as a picture: {reason}") from error


def open_image(source: Path | bytes, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """`open_picture` for what is measured: rounded to 8 bits, of mode L, LA, RGB or RGBA."""
    return open_picture(source, max_pixels).image()


def size_of(contents: bytes) -> int:
    """How many pixels a picture file says that it has; 0 where that is not to be read."""
    try:
        with Image.open(io.BytesIO(contents), formats=_formats(contents[:12], "")) as image:
            return image.width * image.height
    except (ImageError, *DAMAGED):
        return 0


def identity_of(path: Path) -> str | None:
    """The unique id that a picture's EXIF names, without decoding its pixels; None for none."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            return identity_in(image.getexif())
    except DAMAGED:
        return None


def _decode(file: BinaryIO, name: str, max_pixels: int) -> Picture:
    signature = file.read(12)
    formats = _formats(signature, name)
    layout = read_layout(file, name) if signature[:4] in SIGNATURES else None
    if layout is not None and not layout.by_pillow:
        return _decode_by_libtiff(file, layout, name, max_pixels)
    file.seek(0)
    image = _opened(file, formats, layout, name)
    _check_size(image.size, name, max_pixels)
    _check_scans(image, name)
    notes = _notes(image, layout)
    pixels = _pixels(image, file, name)
    exif = _exif(image)
    grey = pixels.ndim == 2 or pixels.shape[2] == 2
    metadata = read_metadata(statements(image, exif, file), exif, grey)
    return _upright(pixels, exif, metadata, notes)


def _decode_by_libtiff(file: BinaryIO, layout: TiffLayout, name: str, max_pixels: int) -> Picture:
    _check_size((layout.width, layout.height), name, max_pixels)
    file.seek(0)
    exif = Image.Exif()
    exif.load_from_fp(file)
    said = tiff_statements(exif)
    metadata = read_metadata(said, exif, grey=layout.grey)
    file.seek(0)
    notes = (ONLY_FIRST,) if layout.more_pages else ()
    return _upright(decode_tiff(file.read(), layout), exif, metadata, notes)


def _formats(signature: bytes, name: str) -> tuple[str, ...]:
    """Which formats a file may have; what people take for a picture, or a picture for, is named."""
    if not signature:
        raise ImageError(f"{name} is empty")
    if signature[4:8] != b"ftyp" or signature[8:12] not in _HEIF:
        return FORMATS
    if not reads_heif():
        raise ImageError(
            f"{name} is a HEIC picture, which needs the package pillow-heif; install it, or save "
            "the picture as JPEG or PNG"
        )
    return ("HEIF", *FORMATS)


@cache
def reads_heif() -> bool:
    """Whether the optional package that decodes HEIC is there; Pillow is told of it."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def _opened(
    file: BinaryIO, formats: tuple[str, ...], layout: TiffLayout | None, name: str
) -> ImageFile.ImageFile:
    try:
        return Image.open(file, formats=formats)
    except UnidentifiedImageError:
        if "HEIF" in formats:
            raise ImageError(
                f"{name} is a HEIC picture that cannot be read; save it as JPEG or PNG"
            ) from None
        if layout is None:
            raise
        raise ImageError(
            f"{name} is a TIFF file with {layout.samples} samples a pixel of {layout.bits} bits "
            f"(photometric {layout.photometric}), which is not read; save it as RGB or grey"
        ) from None


def _exif(image: Image.Image) -> Image.Exif:
    """What EXIF says; damaged EXIF counts as none."""
    try:
        return image.getexif()
    except DAMAGED:
        return Image.Exif()


def _upright(
    pixels: Pixels, exif: Image.Exif, metadata: Metadata, notes: tuple[str, ...]
) -> Picture:
    turned: Pixels = np.ascontiguousarray(_UPRIGHT[orientation(exif)](pixels))  # type: ignore[assignment]
    return Picture(turned if turned.ndim == 3 else turned[..., None], metadata, notes)


def _notes(image: ImageFile.ImageFile, layout: TiffLayout | None) -> tuple[str, ...]:
    """What of a file does not come out of it."""
    more = layout.more_pages if layout else getattr(image, "is_animated", False)
    bits = _bits(image)
    return (
        *((ONLY_FIRST,) if more else ()),
        *((f"8 of its {bits} bits are taken",) if bits > 8 else ()),
    )


def _bits(image: ImageFile.ImageFile) -> int:
    """Bits a channel where Pillow reads 8 of more."""
    if image.format == "HEIF":
        return int(image.info.get("bit_depth", 8))
    assert image.fp is not None
    if image.mode in _MODES_16_BIT or image.format not in ("AVIF", "JPEG2000"):
        return 8
    image.fp.seek(0)
    beginning = image.fp.read(4096)
    if image.format == "AVIF":  # AV1-ISOBMFF, section 2.3.3
        _, found, box = beginning.partition(b"av1C")
        return 8 if not found or not box[2] & 0x40 else 12 if box[2] & 0x20 else 10
    _, found, size = beginning.partition(b"\xff\x4f\xff\x51")  # T.800, annex A.5.1
    return (size[38] & 0x7F) + 1 if found else 8


def _check_size(size: tuple[int, int], name: str, max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise ImageError(
            f"{name} is {width}x{height}, {width * height:,} pixels; the most allowed is "
            f"{max_pixels:,}"
        )


def _check_scans(image: ImageFile.ImageFile, name: str) -> None:
    """Refuse a JPEG that goes over its pixels more often than any encoder would."""
    if image.format not in ("JPEG", "MPO"):
        return
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


def _pixels(image: ImageFile.ImageFile, file: BinaryIO, name: str) -> Pixels:
    """Decode, as they lie in the file: uint8 or uint16, of 2 dimensions where it is all grey."""
    # How pixels lie in a PNG is known only until they are decoded.
    raw_mode = str(image.tile[0].args) if image.format == "PNG" and image.tile else ""
    key = image.info.get("transparency")
    if key is not None and raw_mode in _EIGHT_BIT_KEYS:
        image.info["transparency"] = _EIGHT_BIT_KEYS[raw_mode](key)
    image.load()
    if raw_mode.endswith(";16B"):  # of which Pillow keeps 8
        file.seek(0)
        deep: Pixels = imagecodecs.png_decode(file.read())
        return deep
    if image.mode in _MODES_16_BIT:
        return _as_sixteen_bit(image)
    if image.mode == "I" and image.format == "PPM":
        return np.asarray(image).astype(np.uint16)
    return np.asarray(_as_eight_bit(image, name))


def _as_sixteen_bit(image: Image.Image) -> Pixels:
    """Levels of 12 bits, which Pillow widens without scaling them, or of 16."""
    (bits,) = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (16,))
    white = 2**bits - 1
    doubled = np.asarray(image).astype(np.uint64) * (2 * 65_535) + white
    levels: Pixels = (doubled // (2 * white)).astype(np.uint16)
    return levels


def _as_eight_bit(image: Image.Image, name: str) -> Image.Image:
    transparent = image.mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info
    if image.mode in ("I", "F"):
        raise ImageError(f"{name} holds numbers of 32 bits; save it with 8 or 16 bits a channel")
    if image.mode == "P" and not image.getpalette():
        raise ImageError(f"{name} cannot be read as a picture: it has no palette")
    if image.mode == "CMYK":
        return _cmyk_to_rgb(image, image.info.get("icc_profile"))
    if image.mode in ("1", "L", "LA", "La"):
        mode = "LA" if transparent else "L"
    else:
        mode = "RGBA" if transparent else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _cmyk_to_rgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if profile is None:
        return image.convert("RGB")
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
    return converted
