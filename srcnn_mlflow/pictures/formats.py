"""The kinds of files that enlarged pictures are written as, and what each can hold."""

from dataclasses import dataclass
from pathlib import Path

SAME = "same"


@dataclass(frozen=True)
class PictureFormat:
    """One kind of file.

    Attributes:
        name: what parameters call it.
        title: what people call it.
        endings: of its files' names; the first is the usual one.
        quality: the usual one, 1 to 100; None for what loses nothing.
        deep: whether it holds 16 bits a channel.
        transparent: whether it holds transparency.
        longest: pixels that a side may have; None where no picture is too large.
    """

    name: str
    title: str
    endings: tuple[str, ...]
    quality: int | None = None
    deep: bool = False
    transparent: bool = True
    longest: int | None = None


PNG = PictureFormat("png", "PNG", (".png",), deep=True)
# The longest sides are what libjpeg, WebP's bitstream and libavif's decoder allow.
JPEG = PictureFormat(
    *("jpeg", "JPEG", (".jpg", ".jpeg", ".jpe", ".jfif"), 95), transparent=False, longest=65_500
)
WEBP = PictureFormat("webp", "WebP", (".webp",), 90, longest=16_383)
AVIF = PictureFormat("avif", "AVIF", (".avif",), 85, longest=32_768)
TIFF = PictureFormat("tiff", "TIFF", (".tif", ".tiff"), deep=True)
FORMATS = {one.name: one for one in (PNG, JPEG, WEBP, AVIF, TIFF)}
FORMAT_NAMES = (*FORMATS, SAME)


def format_for(name: str, source: Path) -> PictureFormat:
    """The format that is meant by a name.

    Args:
        name: one of FORMAT_NAMES. `same` is that of the source by its ending, and PNG where no
            such file is written.
        source: the picture that is enlarged.
    """
    if name != SAME:
        return FORMATS[name]
    return next((one for one in FORMATS.values() if source.suffix.lower() in one.endings), PNG)


def ending_for(name: str, source: Path) -> str:
    """The ending of a result: the source's own, where the format is `same`."""
    chosen = format_for(name, source)
    kept = name == SAME and source.suffix.lower() in chosen.endings
    return source.suffix if kept else chosen.endings[0]
