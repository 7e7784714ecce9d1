"""What a picture file says beside its pixels, and what of it holds of the enlarged picture."""

import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any, BinaryIO

from PIL import Image, ImageFile

# What damaged files make the decoders raise.
DAMAGED = (
    *(struct.error, zlib.error, ArithmeticError, AttributeError, EOFError, LookupError),
    *(OSError, RuntimeError, SyntaxError, TypeError, ValueError),
)
# TIFF 6.0 and EXIF 2.32. Kept of the first directory: what is said of the photograph (words,
# maker, resolution, dates, people, rights, rating), not how its pixels lie in the file.
_KEPT = (
    *(0x010E, 0x010F, 0x0110, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x013C),
    *(0x4746, 0x4749, 0x8298, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F, 0xC614, 0xC62F),
)
ORIENTATION = 0x0112
_FIRST, _DETAILS, _PLACE, _INTEROPERABILITY = 0, 0x8769, 0x8825, 0xA005
_X_RESOLUTION, _Y_RESOLUTION = 0x011A, 0x011B
_RESOLUTION_UNIT, _NO_UNIT, _INCH, _CENTIMETRE = 0x0128, 1, 2, 3
_SOFTWARE, _UNIQUE_ID = 0x0131, 0xA420
# EXIF's words for those of PNG.
_TAG_OF_KEY = {
    **{"Title": 0x010E, "Description": 0x010E, "Comment": 0x010E},
    **{"Author": 0x013B, "Copyright": 0x8298},
}
_XMP, _PROFILE = 0x02BC, 0x8773
_WIDTH, _HEIGHT = 0xA002, 0xA003
# Sensor pixels a unit of length: an enlarged picture has more of them.
_FOCAL_PLANE = (0xA20E, 0xA20F)
# A maker's note names places of its old file; the next two name pixels of the old picture, and
# the last is a directory of its own.
_NOT_KEPT = (0x927C, 0x9214, 0xA214, _INTEROPERABILITY)
# Turns that swap width and height.
_SIDEWAYS = (5, 6, 7, 8)
# PNG, third edition: how colours are meant, each with the length of its data.
_COLOUR_CHUNKS = {b"cHRM": 32, b"gAMA": 4, b"sRGB": 1, b"cICP": 4}
_METRE = 1 / 0.0254
_XMP_KEY = "XML:com.adobe.xmp"
# How XMP writes a value: as an attribute, or as an element.
_XMP_VALUE = r"""(?P<before>\b{name}\s*(?:=\s*["']|>)\s*)(?P<value>\d+)"""


Directories = Mapping[int, Mapping[int, Any]]


@dataclass(frozen=True)
class Metadata:
    """What is known of a picture beside its pixels.

    Attributes:
        profile: an ICC profile of the kind of the pixels (grey or RGB).
        colour: PNG chunks on colour by their names, where the file has such statements.
        exif: EXIF's tags by their directory, without orientation and thumbnail.
        xmp: an XMP packet.
        resolution: pixels a unit, across and down, and the PNG unit (0 unknown, 1 metre).
        text: words by their PNG key.
    """

    profile: bytes | None = None
    colour: Mapping[bytes, bytes] = field(default_factory=dict)
    exif: Directories = field(default_factory=dict)
    xmp: bytes = b""
    resolution: tuple[int, int, int] | None = None
    text: Mapping[str, str] = field(default_factory=dict)


def statements(image: ImageFile.ImageFile, exif: Image.Exif, file: BinaryIO) -> Mapping[str, Any]:
    """What a file that Pillow has decoded says beside its EXIF, for `read_metadata`."""
    said: dict[str, Any] = {str(name): value for name, value in image.info.items()}
    said |= {"text": getattr(image, "text", {}), "colour": _colour_chunks(image, file)}
    if image.mode in ("CMYK", "LAB"):  # which become sRGB
        said["icc_profile"] = None
    # Pillow gives a JPEG with EXIF 72 dots an inch where it says nothing.
    if image.format in ("JPEG", "MPO") and said.get("jfif_unit") not in (1, 2):
        said["dpi"] = said.get("dpi") if _X_RESOLUTION in exif else None
    return said


def tiff_statements(tags: Image.Exif) -> Mapping[str, Any]:
    """What the tags of a TIFF file say, for `read_metadata`."""
    across, down = tags.get(_X_RESOLUTION), tags.get(_Y_RESOLUTION)
    said = {"icc_profile": tags.get(_PROFILE), "xmp": tags.get(_XMP)}
    if across is None or down is None:
        return said
    unit = tags.get(_RESOLUTION_UNIT, _INCH)
    if unit not in (_INCH, _CENTIMETRE):
        return {**said, "aspect": (across, down)}
    to_inch = 1 if unit == _INCH else 2.54
    return {**said, "dpi": (float(across) * to_inch, float(down) * to_inch)}


def read_metadata(said: Mapping[str, Any], exif: Image.Exif, grey: bool) -> Metadata:
    """Take what a file says of its picture, for the picture turned upright.

    What is damaged counts as not there.

    Args:
        said: of `statements`.
        exif: of the file; its orientation is taken as done.
        grey: whether its pixels are used as grey, so that profiles fit.
    """
    sideways = orientation(exif) in _SIDEWAYS
    colour = dict(said.get("colour", {}))
    if grey:  # which has no primaries
        colour.pop(b"cHRM", None)
    return Metadata(
        profile=fitting_profile(said.get("icc_profile"), grey),
        colour=colour,
        exif=_kept_exif(exif, sideways),
        xmp=_xmp(said.get("xmp")),
        resolution=_resolution(said, sideways),
        text=_text(said),
    )


def orientation(exif: Image.Exif) -> int:
    """EXIF orientation, 1 to 8; 1 where there is none that means anything."""
    try:
        value = exif.get(ORIENTATION)
    except DAMAGED:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def fitting_profile(profile: Any, grey: bool) -> bytes | None:
    """An ICC profile if it is sound and of the kind of the pixels (ICC.1, section 7.2)."""
    if not isinstance(profile, bytes) or len(profile) < 128 or profile[36:40] != b"acsp":
        return None
    (length,) = struct.unpack_from(">I", profile)
    fits = length <= len(profile) and profile[16:20] == (b"GRAY" if grey else b"RGB ")
    return profile if fits else None


def enlarged(metadata: Metadata, scale: int, width: int, height: int, made_by: str) -> Metadata:
    """Bring metadata to an enlarged picture: sizes are mended, and its maker is named.

    The resolution stays as it is: the enlarged picture is printed larger, not finer.

    Args:
        metadata: of the original.
        scale: how many times it was enlarged.
        width: of the enlarged picture, in pixels.
        height: likewise.
        made_by: the program and its model.
    """
    return replace(
        metadata,
        exif=_enlarged_exif(metadata.exif, scale, width, height),
        xmp=_enlarged_xmp(metadata.xmp, scale, width, height),
        text={**metadata.text, "Software": made_by},
    )


def with_note(metadata: Metadata, note: str) -> Metadata:
    """Add a sentence to what is said of a picture in words."""
    words = f"{metadata.text.get('Comment', '')} {note}".strip()
    return replace(metadata, text={**metadata.text, "Comment": words})


def with_identity(metadata: Metadata, identity: str) -> Metadata:
    """Name a picture by EXIF's unique id.

    Args:
        metadata: of the picture; its former id, which is that of another picture, is replaced.
        identity: 32 hexadecimal digits.
    """
    details = {**metadata.exif.get(_DETAILS, {}), _UNIQUE_ID: identity}
    return replace(metadata, exif={**metadata.exif, _DETAILS: details})


def identity_in(exif: Image.Exif) -> str | None:
    """EXIF's unique id, where there is one."""
    try:
        found = exif.get_ifd(_DETAILS).get(_UNIQUE_ID)
    except DAMAGED:
        return None
    return found.rstrip("\0") if isinstance(found, str) else None


def in_exif(metadata: Metadata) -> Metadata:
    """Say in EXIF what a PNG says beside it, as far as EXIF has tags for it.

    Its own words on author, rights and description stand.
    """
    first = dict(metadata.exif.get(_FIRST, {}))
    for key, tag in _TAG_OF_KEY.items():
        if metadata.text.get(key):
            first.setdefault(tag, metadata.text[key].encode().decode("latin-1"))
    if "Software" in metadata.text:
        first[_SOFTWARE] = metadata.text["Software"]
    if metadata.resolution is not None and _X_RESOLUTION not in first:
        across, down, unit = metadata.resolution
        to_inch = 1 / _METRE if unit else 1.0
        first[_X_RESOLUTION], first[_Y_RESOLUTION] = across * to_inch, down * to_inch
        first[_RESOLUTION_UNIT] = _INCH if unit else _NO_UNIT
    return replace(metadata, exif={**metadata.exif, _FIRST: first})


def tiff_tags(metadata: Metadata) -> Mapping[int, Any]:
    """The tags of a TIFF file's first directory, EXIF's own directories below theirs."""
    tags, details = dict(metadata.exif.get(_FIRST, {})), dict(metadata.exif.get(_DETAILS, {}))
    if metadata.exif.get(_INTEROPERABILITY):
        details[_INTEROPERABILITY] = dict(metadata.exif[_INTEROPERABILITY])
    below = {_DETAILS: details, _PLACE: dict(metadata.exif.get(_PLACE, {}))}
    tags |= {tag: content for tag, content in below.items() if content}
    return {tag: _as_read(value) for tag, value in tags.items()}


def png_chunks(metadata: Metadata) -> Iterator[bytes]:
    """The chunks that a PNG file holds between its header and its pixels."""
    for name, data in metadata.colour.items():
        yield _chunk(name, data)
    if metadata.profile is not None:
        yield _chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(metadata.profile))
    if metadata.resolution is not None:
        yield _chunk(b"pHYs", struct.pack(">IIB", *metadata.resolution))
    exif = exif_bytes(metadata.exif)
    if exif:
        yield _chunk(b"eXIf", exif)
    if metadata.xmp:
        yield _text_chunk(_XMP_KEY, metadata.xmp)
    for key, words in metadata.text.items():
        yield _text_chunk(key, words.encode("utf-8", "replace"))


def _text_chunk(key: str, words: bytes) -> bytes:
    return _chunk(b"iTXt", key.encode("latin-1", "replace")[:79] + b"\0\0\0\0\0" + words)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _colour_chunks(image: ImageFile.ImageFile, file: BinaryIO) -> dict[bytes, bytes]:
    if image.format == "AVIF" and not image.info.get("icc_profile"):
        return _colour_of_avif(file)
    found: dict[bytes, bytes] = {}
    place = 8
    while image.format == "PNG":
        file.seek(place)
        header = file.read(8)
        if len(header) < 8 or header[4:] == b"IDAT":
            break
        length, name = struct.unpack(">I4s", header)
        if _COLOUR_CHUNKS.get(name) == length:
            found[name] = file.read(length)
        place += 12 + length
    return found


def _colour_of_avif(file: BinaryIO) -> dict[bytes, bytes]:
    """The code points of an AVIF file (ISO 14496-12, `colr`) as PNG says them (H.273)."""
    file.seek(0)
    _, box, after = file.read(4096).partition(b"colrnclx")
    if not box or len(after) < 4:
        return {}
    primaries, transfer = struct.unpack_from(">HH", after)
    # What is unspecified, or plainly sRGB, need not be said.
    if (primaries, transfer) in ((1, 13), (2, 2)) or max(primaries, transfer) > 255:
        return {}
    return {b"cICP": bytes((primaries, transfer, 0, 1))}


def _resolution(said: Mapping[str, Any], sideways: bool) -> tuple[int, int, int] | None:
    aspect, dpi = said.get("aspect"), said.get("dpi")
    try:
        if aspect:
            across, down, unit = round(aspect[0]), round(aspect[1]), 0
        elif dpi:
            across, down, unit = round(float(dpi[0]) * _METRE), round(float(dpi[1]) * _METRE), 1
        else:
            return None
    except DAMAGED:
        return None
    says_nothing = unit == 0 and across == down
    if says_nothing or not (0 < across < 2**31 and 0 < down < 2**31):
        return None
    return (down, across, unit) if sideways else (across, down, unit)


def _text(said: Mapping[str, Any]) -> dict[str, str]:
    text = {
        key: str(words)
        for key, words in said.get("text", {}).items()
        # Profiles in hexadecimal digits, as ImageMagick writes them, are EXIF and XMP once more.
        if key != _XMP_KEY and key.strip() and not key.startswith("Raw profile type")
    }
    comment = said.get("comment")
    if comment and "Comment" not in text:
        words = comment.decode("utf-8", "replace") if isinstance(comment, bytes) else str(comment)
        text["Comment"] = words
    return {key: words.replace("\0", "") for key, words in text.items()}


def _xmp(packet: Any) -> bytes:
    packet = packet.encode() if isinstance(packet, str) else packet
    packet = packet.rstrip(b"\0") if isinstance(packet, bytes) else b""
    return b"" if b"\0" in packet else _with_numbers(packet, {"tiff:Orientation": 1})


def _enlarged_xmp(packet: bytes, scale: int, width: int, height: int) -> bytes:
    sizes = {
        **{"tiff:ImageWidth": width, "exif:PixelXDimension": width},
        **{"tiff:ImageLength": height, "exif:PixelYDimension": height},
    }
    packet = _with_numbers(packet, sizes)
    panorama = re.compile(_XMP_VALUE.format(name=r"GPano:\w+Pixels").encode())
    return panorama.sub(lambda at: at["before"] + b"%d" % (int(at["value"]) * scale), packet)


def _with_numbers(packet: bytes, numbers: Mapping[str, int]) -> bytes:
    for name, number in numbers.items():
        pattern = _XMP_VALUE.format(name=name).encode()
        packet = re.sub(pattern, rb"\g<before>%d" % number, packet)
    return packet


def _kept_exif(exif: Image.Exif, sideways: bool) -> Directories:
    first = {tag: exif[tag] for tag in _KEPT if tag in exif}
    if sideways and {_X_RESOLUTION, _Y_RESOLUTION} <= first.keys():
        first[_X_RESOLUTION], first[_Y_RESOLUTION] = first[_Y_RESOLUTION], first[_X_RESOLUTION]
    directories = {_FIRST: first}
    for directory in (_DETAILS, _PLACE, _INTEROPERABILITY):
        try:
            found = exif.get_ifd(directory)
        except DAMAGED:
            continue
        directories[directory] = {tag: found[tag] for tag in found if tag not in _NOT_KEPT}
    return {directory: found for directory, found in directories.items() if found}


def _enlarged_exif(exif: Directories, scale: int, width: int, height: int) -> Directories:
    details = dict(exif.get(_DETAILS, {}))
    details.update(
        {tag: size for tag, size in ((_WIDTH, width), (_HEIGHT, height)) if tag in details}
    )
    for tag in _FOCAL_PLANE:
        if isinstance(details.get(tag), Real):
            details[tag] = float(details[tag]) * scale
    return {**exif, _DETAILS: details} if details else exif


def exif_bytes(directories: Directories) -> bytes:
    """EXIF as a PNG holds it; without whatever cannot be written, and nothing where it is empty."""
    if not directories:
        return b""
    try:
        return _exif_bytes(directories)
    except DAMAGED:
        return _exif_bytes(short_of(directories))


def short_of(directories: Directories) -> Directories:
    """The id of a picture alone, where the rest of its EXIF is too long or cannot be written."""
    identity = directories.get(_DETAILS, {}).get(_UNIQUE_ID)
    return {_DETAILS: {_UNIQUE_ID: identity}} if isinstance(identity, str) else {}


def _exif_bytes(directories: Directories) -> bytes:
    exif = Image.Exif()
    parts = {
        _FIRST: exif,
        _DETAILS: exif.get_ifd(_DETAILS),
        _PLACE: exif.get_ifd(_PLACE),
        _INTEROPERABILITY: {},
    }
    for directory, content in directories.items():
        for tag, value in content.items():
            parts[directory][tag] = _as_read(value)
    if parts[_INTEROPERABILITY]:
        parts[_DETAILS][_INTEROPERABILITY] = parts[_INTEROPERABILITY]
    return exif.tobytes().removeprefix(b"Exif\0\0") if any(directories.values()) else b""


def _as_read(value: Any) -> Any:
    """Words as the bytes that they are in the file: Pillow would write ASCII alone."""
    words = isinstance(value, str) and not value.isascii()
    return value.encode("latin-1", "replace") if words else value
