"""Each format holds the pixels and what is known of them, as far as it can, and tells the rest."""

import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image

from srcnn_mlflow.machine.errors import ImageError
from srcnn_mlflow.pictures import decoding
from srcnn_mlflow.pictures.decoding import identity_of, open_picture
from srcnn_mlflow.pictures.encoding import check_size, fit, write_picture
from srcnn_mlflow.pictures.formats import FORMATS, PNG, SAME, TIFF, ending_for, format_for
from srcnn_mlflow.pictures.metadata import Directories, Metadata, enlarged, with_identity
from srcnn_mlflow.pictures.picture import Picture
from tests.conftest import textured_pixels
from tests.pictures.test_metadata import GREY_PROFILE, PQ, RGB_PROFILE

PHOTO = textured_pixels(40, 50, 1)
ALPHA = np.full((40, 50, 1), 255, np.uint8)
ALPHA[:, :20] = 0
DEEP = PHOTO.astype(np.uint16) * 257 + 3
IDENTITY = "0123456789abcdef" * 2
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="1"/></x:xmpmeta>'
DATE = "2019:12:31 23:59:59"
SAID = Metadata(
    profile=RGB_PROFILE,
    exif={
        **{0: {0x010F: "Maker", 0x0131: "camera 1.0"}, 0x8769: {0x9003: DATE}},
        0x8825: {1: "N", 2: (52.0, 31.0, 12.0)},
    },
    xmp=XMP,
    resolution=(11811, 11811, 1),
    text={"Author": "Zoë", "Comment": "a line", "Nothing like it": "words"},
)
every_format = pytest.mark.parametrize("name", FORMATS)


def written(picture: Picture, name: str, quality: int | None = None) -> bytes:
    fitting, _ = fit(picture, FORMATS[name])
    said = with_identity(enlarged(fitting.metadata, 2, 50, 40, "srcnn-mlflow 1, m"), IDENTITY)
    file = io.BytesIO()
    write_picture(replace(fitting, metadata=said), file, FORMATS[name], quality, 6)
    return file.getvalue()


def off_by(result: Picture, pixels: np.ndarray) -> float:
    return float(np.abs(result.pixels.astype(float) - pixels).mean())


@every_format
@pytest.mark.parametrize("bands", [1, 2, 3, 4])
def test_every_kind_of_picture_comes_back(name: str, bands: int) -> None:
    pixels = np.concatenate([PHOTO[..., : (1, 3)[bands > 2]], ALPHA], axis=-1)[..., :bands]
    result = open_picture(written(Picture(pixels), name))
    seen = ALPHA[..., 0] > 0
    if bands in (2, 4) and name == "jpeg":
        assert result.bands == bands - 1
        assert result.pixels[~seen].min() > 240
    elif bands in (2, 4):
        assert np.abs(result.pixels[..., -1] - pixels[..., -1].astype(int)).max() <= 2
    colours = pixels[..., : (1, 3)[bands > 2]][seen]
    difference = np.abs(result.pixels[..., : result.colours][seen].astype(float) - colours)
    assert difference.mean() < (0.01 if FORMATS[name].quality is None else 8)


@every_format
@pytest.mark.parametrize("bands", [1, 2, 3, 4])
def test_sixteen_bits_are_kept_or_told(name: str, bands: int) -> None:
    deep = np.concatenate([DEEP, DEEP[..., :1]], axis=-1)
    pixels = deep[..., :bands] if bands in (1, 3, 4) else deep[..., 2:]
    _, notes = fit(Picture(pixels), FORMATS[name])
    result = open_picture(written(Picture(pixels), name))
    if FORMATS[name].deep:
        assert not notes
        assert (result.pixels == pixels).all()
    else:
        assert notes[0] == f"8 of its 16 bits are kept, as {FORMATS[name].title} has no more"
        assert result.pixels.dtype == np.uint8


@every_format
def test_what_is_known_of_a_picture_is_kept(name: str, tmp_path: Path) -> None:
    contents = written(Picture(PHOTO, SAID), name)
    image: Any = Image.open(io.BytesIO(contents))
    assert image.info["icc_profile"] == RGB_PROFILE
    exif = image.getexif()
    assert exif[0x010F] == "Maker"
    assert exif.get_ifd(ExifTags.IFD.Exif)[0x9003] == DATE
    assert exif.get_ifd(ExifTags.IFD.GPSInfo)[2] == (52.0, 31.0, 12.0)
    if name == "png":
        assert image.text["Software"] == "srcnn-mlflow 1, m"
        assert exif[0x0131] == "camera 1.0"
    else:
        assert exif[0x0131] == "srcnn-mlflow 1, m"
        assert exif[0x013B].encode("latin-1").decode() == "Zoë"
        assert float(exif[0x011A]) == pytest.approx(300, abs=0.02)
    if name in ("png", "jpeg", "tiff"):
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.6)
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    assert (xmp.encode() if isinstance(xmp, str) else xmp) == XMP
    (tmp_path / "a").write_bytes(contents)
    assert identity_of(tmp_path / "a") == IDENTITY
    # Once more enlarged, it is all there still.
    again = open_picture(contents).metadata
    assert again.profile == RGB_PROFILE
    assert again.xmp == XMP
    assert again.exif[0x8769][0x9003] == DATE


def test_a_file_that_is_none_of_ours_has_no_identity(tmp_path: Path) -> None:
    Image.fromarray(PHOTO).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(written(Picture(PHOTO), "png")[:60])
    for name in ("a.png", "b.png", "missing.png"):
        assert identity_of(tmp_path / name) is None


def test_a_tiff_is_what_a_second_reader_reads() -> None:
    for pixels in (PHOTO, DEEP, np.concatenate([DEEP, DEEP[..., :1]], axis=-1)):
        large = np.tile(pixels, (20, 12, 1))  # several strips
        contents = written(Picture(large, SAID), "tiff")
        assert (tifffile.imread(io.BytesIO(contents)) == large).all()


@pytest.mark.parametrize("name", ["webp", "avif"])
def test_grey_with_a_profile_of_its_own_looks_as_it_did(name: str) -> None:
    """Levels of a linear profile are far from those of sRGB."""
    grey = np.full((40, 50, 1), 55, np.uint8)
    result = open_picture(written(Picture(grey, Metadata(profile=GREY_PROFILE)), name))
    assert result.metadata.profile is None
    # IEC 61966-2-1: 55 of 255 in linear light.
    assert abs(result.pixels[..., 0].mean() - 128.6) < 2


@every_format
def test_colours_that_only_a_png_describes_are_told(name: str) -> None:
    picture = Picture(PHOTO, Metadata(colour={b"cICP": PQ}))
    _, notes = fit(picture, FORMATS[name])
    assert len(notes) == (0 if name == "png" else 1)
    sRGB = Picture(PHOTO, Metadata(colour={b"sRGB": b"\0", b"gAMA": (45_455).to_bytes(4, "big")}))  # noqa: N806
    assert not fit(sRGB, FORMATS[name])[1]


@pytest.mark.parametrize(
    ("name", "size", "fits"),
    [
        *(("webp", (16_383, 4), True), ("webp", (16_384, 4), False)),
        *(("jpeg", (4, 65_500), True), ("jpeg", (4, 65_501), False)),
        *(("avif", (32_768, 4), True), ("avif", (32_769, 4), False)),
        ("png", (70_000, 4), True),
        ("tiff", (70_000, 4), True),
    ],
)
def test_how_large_a_format_may_be(name: str, size: tuple[int, int], fits: bool) -> None:
    pixels = np.full((size[1], size[0], 1), 77, np.uint8)
    if fits:
        assert open_picture(written(Picture(pixels), name)).pixels.shape[:2] == size[::-1]
    else:
        told = rf"would be {size[0]}x{size[1]} pixels, and a \w+ file holds at most .* a side; give"
        with pytest.raises(ImageError, match=told):
            check_size(*size, FORMATS[name])


def test_metadata_too_long_for_a_jpeg_costs_nothing_else(tmp_path: Path) -> None:
    exif: Directories = {0: {0x010F: "Maker"}, 0x8769: {0x9003: DATE, 0x9286: b"x" * 70_000}}
    said = Metadata(exif=exif, xmp=b"<x>" + b" " * 70_000, text={"Comment": "y" * 70_000})
    contents = written(Picture(PHOTO, said), "jpeg")
    assert len(contents) < 65_000 + 3_000  # the comment, cut, and the pixels
    (tmp_path / "a.jpg").write_bytes(contents)
    assert identity_of(tmp_path / "a.jpg") == IDENTITY


@pytest.mark.parametrize("name", ["jpeg", "webp", "avif"])
def test_quality_is_heeded(name: str) -> None:
    sizes = [len(written(Picture(PHOTO), name, quality)) for quality in (10, 60, 100)]
    assert sizes == sorted(sizes)
    assert 2 * sizes[0] < sizes[2]


@pytest.mark.parametrize(
    ("source", "ending"),
    [
        *(("a.JPG", ".JPG"), ("a.jfif", ".jfif"), ("a.png", ".png"), ("a.tif", ".tif")),
        *(("a.webp", ".webp"), ("a.avif", ".avif"), ("a.gif", ".png"), ("a.heic", ".png")),
    ],
)
def test_the_same_is_by_the_ending(source: str, ending: str) -> None:
    assert ending_for(SAME, Path(source)) == ending
    assert ending in (ending_for("png", Path(source)), source[1:])


def test_formats_by_name() -> None:
    assert format_for("tiff", Path("a.png")) is TIFF
    assert format_for(SAME, Path("a.bmp")) is PNG


def test_a_phones_heic_is_read_where_its_package_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", 6
    file = io.BytesIO()
    options: dict[str, Any] = {"quality": 95, "exif": exif.tobytes(), "icc_profile": RGB_PROFILE}
    Image.fromarray(PHOTO).save(file, "HEIF", **options)
    picture = open_picture(file.getvalue())
    assert off_by(picture, np.rot90(PHOTO, -1)) < 8
    assert picture.metadata.profile == RGB_PROFILE
    assert picture.metadata.exif[0][0x010F] == "Maker"
    with pytest.raises(ImageError, match="is a HEIC picture that cannot be read; save it as"):
        open_picture(file.getvalue()[:300])
    # Without it, what to do is told.
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    decoding.reads_heif.cache_clear()
    with pytest.raises(ImageError, match="needs the package pillow-heif; install it, or save"):
        open_picture(file.getvalue())
    decoding.reads_heif.cache_clear()
