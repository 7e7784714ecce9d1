"""Write pictures as files of several formats, with what is known of them."""

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any, BinaryIO

import imagecodecs
import numpy as np
from PIL import ImageCms

from srcnn_mlflow.machine.errors import ImageError
from srcnn_mlflow.pictures.formats import AVIF, JPEG, PNG, TIFF, WEBP, PictureFormat
from srcnn_mlflow.pictures.imaging import flatten
from srcnn_mlflow.pictures.metadata import exif_bytes, in_exif, png_chunks, short_of, tiff_tags
from srcnn_mlflow.pictures.picture import Picture
from srcnn_mlflow.pictures.tiff_writer import write_tiff

# The signature and the header, which every PNG begins with.
_BEGINNING = 8 + 25
# A JPEG's EXIF, XMP and comment have to fit into a segment each (T.81, B.1.1.4).
_SEGMENT = 65_000
# From here on a JPEG's colours are kept at every pixel.
_FINE = 90
# AVIF's encoder is six times as fast as by itself, for files some percent larger.
_AVIF_SPEED = 8
# How PNG says that colours are those of sRGB, or nearly (section 11.3.2).
_GAMMA_OF_SRGB = (45_455).to_bytes(4, "big")


def write_png(picture: Picture, file: BinaryIO, level: int) -> None:
    """Write a picture and its metadata as a PNG file.

    Args:
        picture: of 8 or 16 bits.
        file: written from where it stands.
        level: of compression, 0 to 9.
    """
    pixels = picture.pixels[..., 0] if picture.bands == 1 else picture.pixels
    encoded = memoryview(imagecodecs.png_encode(np.ascontiguousarray(pixels), level=level))
    file.write(encoded[:_BEGINNING])
    for chunk in png_chunks(picture.metadata):
        file.write(chunk)
    file.write(encoded[_BEGINNING:])


def check_size(width: int, height: int, chosen: PictureFormat) -> None:
    """Make sure that a format holds pictures as large as this.

    Raises:
        ImageError: it does not; the message is a clause, of which the picture is the subject.
    """
    if chosen.longest is not None and max(width, height) > chosen.longest:
        raise ImageError(
            f"would be {width}x{height} pixels, and a {chosen.title} file holds at most "
            f"{chosen.longest:,} a side; give format=png or tiff"
        )


def fit(picture: Picture, chosen: PictureFormat) -> tuple[Picture, tuple[str, ...]]:
    """Bring a picture to what a format can hold.

    Transparency is laid on white, 16 bits are rounded to 8, grey with a profile of its own becomes
    sRGB where files have no grey.

    Returns:
        The picture, and what is lost, a short clause each.
    """
    notes = []
    if picture.pixels.dtype == np.uint16 and not chosen.deep:
        notes.append(f"8 of its 16 bits are kept, as {chosen.title} has no more")
        picture = replace(picture, pixels=Picture.of(picture.image()).pixels)
    if picture.bands > picture.colours and not chosen.transparent:
        if picture.pixels[..., -1].min() < picture.white:
            notes.append(f"its transparency is laid on white, as {chosen.title} has none")
        picture = replace(picture, pixels=Picture.of(flatten(picture.image())).pixels)
    if chosen is not PNG and _says_more(picture):
        notes.append(f"what it says of its colours beside a profile is lost in {chosen.title}")
    if picture.colours == 1 and picture.metadata.profile and chosen in (WEBP, AVIF):
        picture = _in_srgb(picture)
    return picture, tuple(notes)


def write_picture(
    picture: Picture, file: BinaryIO, chosen: PictureFormat, quality: int | None, level: int
) -> None:
    """Write a picture and its metadata.

    Args:
        picture: of `fit`, for this format.
        file: empty, and written from its beginning.
        chosen: the format.
        quality: 1 to 100, for formats that lose something; None for the usual one.
        level: of PNG's compression, 0 to 9.

    Raises:
        ImageError: as `check_size` does, the format does not hold it.
    """
    check_size(picture.width, picture.height, chosen)
    if chosen is PNG:
        write_png(picture, file, level)
    elif chosen is TIFF:
        write_tiff(picture, tiff_tags(in_exif(picture.metadata)), file)
    else:
        _BY_PILLOW[chosen.name](picture, file, quality or chosen.quality or 0)


def _write_jpeg(picture: Picture, file: BinaryIO, quality: int) -> None:
    said = picture.metadata
    exif = exif_bytes(in_exif(said).exif)
    if len(exif) > _SEGMENT:
        exif = exif_bytes(short_of(said.exif))
    options: dict[str, Any] = {
        "exif": b"Exif\0\0" + exif if exif else b"",
        "xmp": said.xmp if len(said.xmp) <= _SEGMENT else b"",
        "comment": said.text.get("Comment", "").encode("utf-8", "replace")[:_SEGMENT],
        "icc_profile": said.profile,
    }
    if said.resolution is not None and said.resolution[2]:
        options["dpi"] = tuple(pixels * 0.0254 for pixels in said.resolution[:2])
    subsampling = "4:4:4" if quality >= _FINE else "4:2:0"
    picture.image().save(file, "JPEG", quality=quality, subsampling=subsampling, **options)


def _write_webp(picture: Picture, file: BinaryIO, quality: int) -> None:
    picture.image().save(file, "WEBP", quality=quality, **_statements(picture))


def _write_avif(picture: Picture, file: BinaryIO, quality: int) -> None:
    options = {"quality": quality, "speed": _AVIF_SPEED, **_statements(picture)}
    try:
        picture.image().save(file, "AVIF", **options)
    except (KeyError, OSError) as error:
        if getattr(error, "errno", None) is not None:  # the disk's
            raise
        raise ImageError(
            f"cannot be written as AVIF by this machine's Pillow ({error}); give another format"
        ) from error


_BY_PILLOW: dict[str, Callable[[Picture, BinaryIO, int], None]] = {
    **{JPEG.name: _write_jpeg, WEBP.name: _write_webp, AVIF.name: _write_avif}
}


def _statements(picture: Picture) -> dict[str, Any]:
    said = in_exif(picture.metadata)
    return {"exif": exif_bytes(said.exif), "xmp": said.xmp, "icc_profile": said.profile}


def _says_more(picture: Picture) -> bool:
    colour = picture.metadata.colour
    if picture.metadata.profile is not None or b"sRGB" in colour:
        return b"cICP" in colour
    return b"cICP" in colour or colour.get(b"gAMA", _GAMMA_OF_SRGB) != _GAMMA_OF_SRGB


def _in_srgb(picture: Picture) -> Picture:
    """Grey levels as the red, green and blue that their own profile makes of them."""
    assert picture.metadata.profile is not None
    image = picture.image()
    grey = image.getchannel(0)
    try:
        colour = ImageCms.profileToProfile(
            grey,
            ImageCms.ImageCmsProfile(io.BytesIO(picture.metadata.profile)),
            ImageCms.createProfile("sRGB"),
            outputMode="RGB",
        )
    except (OSError, ImageCms.PyCMSError):
        colour = grey.convert("RGB")  # a damaged profile counts as none
    assert colour is not None  # only an in-place conversion gives None
    if image.mode == "LA":
        colour.putalpha(image.getchannel("A"))
    pixels = Picture.of(colour).pixels
    return replace(picture, pixels=pixels, metadata=replace(picture.metadata, profile=None))
