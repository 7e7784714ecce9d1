"""What a file says beside its pixels is kept where it holds of the enlarged picture."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from srcnn_mlflow.pictures.decoding import open_picture
from srcnn_mlflow.pictures.encoding import write_png
from srcnn_mlflow.pictures.imaging import enlarge
from srcnn_mlflow.pictures.metadata import enlarged, fitting_profile, with_note
from srcnn_mlflow.pictures.picture import Picture
from tests.conftest import textured_pixels
from tests.corpus import DEEP_COLOUR, big_endian, chunk, encoded, png

PHOTO = textured_pixels(20, 30, 1)
RGB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
IFD = ExifTags.IFD


def grey_profile() -> bytes:
    """An ICC profile of grey with a gamma of 1.0, as scanners write it (ICC.1, section 7)."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, 256) + bytes(2)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    words = b"desc" + bytes(4) + struct.pack(">I", 5) + b"grey\0" + bytes(78)
    tags = {b"kTRC": curve, b"wtpt": white, b"desc": words}
    table, data, place = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += name + struct.pack(">II", place + len(data), len(content))
        data += content
    header = bytearray(128)
    header[8:12], header[12:24] = b"\x02\x10\0\0", b"mntrGRAYXYZ "
    header[36:40], header[68:80] = b"acsp", struct.pack(">3i", 63190, 65536, 54061)
    header[:4] = struct.pack(">I", place + len(data))
    return bytes(header) + struct.pack(">I", len(tags)) + table + data


GREY_PROFILE = grey_profile()


def result_of(contents: bytes, scale: int = 2) -> tuple[bytes, Any]:
    """The PNG file that a picture becomes, and the same opened by Pillow."""
    picture = open_picture(contents)
    large = enlarge(picture, scale)
    said = enlarged(picture.metadata, scale, large.width, large.height, "srcnn-mlflow, model 7")
    file = io.BytesIO()
    write_png(Picture(large.pixels, said), file, 6)
    opened = Image.open(io.BytesIO(file.getvalue()))
    opened.load()
    return file.getvalue(), opened


def chunks_of(contents: bytes) -> dict[bytes, bytes]:
    found, place = {}, 8
    while place < len(contents):
        length, name = struct.unpack_from(">I4s", contents, place)
        data = contents[place + 8 : place + 8 + length]
        (checksum,) = struct.unpack_from(">I", contents, place + 8 + length)
        assert checksum == zlib.crc32(name + data)
        found[name] = data
        place += 12 + length
    return found


def test_the_grey_profile_is_one_that_a_colour_manager_takes() -> None:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(GREY_PROFILE))
    assert profile.profile.xcolor_space.strip() == "GRAY"


@pytest.mark.parametrize(
    ("mode", "form", "profile", "kept"),
    [
        ("L", "PNG", GREY_PROFILE, True),
        ("LA", "PNG", GREY_PROFILE, True),
        ("1", "PNG", GREY_PROFILE, True),
        ("I;16", "PNG", GREY_PROFILE, True),
        ("L", "JPEG", GREY_PROFILE, True),
        ("L", "TIFF", GREY_PROFILE, True),
        ("RGB", "PNG", RGB_PROFILE, True),
        ("RGBA", "PNG", RGB_PROFILE, True),
        ("P", "PNG", RGB_PROFILE, True),
        ("RGB", "JPEG", RGB_PROFILE, True),
        ("RGB", "TIFF", RGB_PROFILE, True),
        ("RGBA", "WEBP", RGB_PROFILE, True),
        ("RGB", "AVIF", RGB_PROFILE, True),
        ("RGB", "PNG", GREY_PROFILE, False),
        ("L", "PNG", RGB_PROFILE, False),
        ("L", "JPEG", RGB_PROFILE, False),
        # Its inks become sRGB.
        ("CMYK", "JPEG", RGB_PROFILE, False),
        ("RGB", "PNG", RGB_PROFILE[:200], False),
        ("RGB", "PNG", b"x" * 500, False),
    ],
)
def test_a_profile_is_kept_where_it_fits_the_pixels(
    mode: str, form: str, profile: bytes, kept: bool
) -> None:
    image = Image.fromarray(PHOTO)
    image = Image.fromarray(DEEP_COLOUR[..., 0]) if mode == "I;16" else image.convert(mode)
    _, opened = result_of(encoded(image, form, icc_profile=profile))
    assert opened.info.get("icc_profile") == (profile if kept else None)


def test_a_profile_of_a_planar_tiff_of_16_bits_is_kept() -> None:
    contents = io.BytesIO()
    planes = np.moveaxis(DEEP_COLOUR, -1, 0)
    tags = [(34675, 7, len(RGB_PROFILE), RGB_PROFILE, True)]
    tifffile.imwrite(
        contents, planes, photometric="rgb", planarconfig="separate", extratags=tags, metadata=None
    )
    result, opened = result_of(contents.getvalue())
    assert opened.info["icc_profile"] == RGB_PROFILE
    assert result[24] == 16  # bits a sample


GAMMA = struct.pack(">I", 100_000)
PRIMARIES = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
PQ = bytes([9, 16, 0, 1])
COLOUR_CHUNKS = {b"gAMA": GAMMA, b"cHRM": PRIMARIES, b"cICP": PQ, b"sRGB": b"\1"}


@pytest.mark.parametrize("name", COLOUR_CHUNKS)
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("kind", [0, 2])
def test_what_a_png_says_of_its_colours_is_kept(name: bytes, depth: int, kind: int) -> None:
    pixels = DEEP_COLOUR if depth == 16 else (DEEP_COLOUR >> 8).astype(np.uint8)
    samples = pixels[..., 0] if kind == 0 else pixels.reshape(len(pixels), -1)
    rows = big_endian(samples) if depth == 16 else [row.tobytes() for row in samples]
    contents = png((64, 48), depth, kind, rows, chunk(name, COLOUR_CHUNKS[name]))
    found = chunks_of(result_of(contents)[0])
    # Grey has no primaries.
    assert found.get(name) == (None if (name, kind) == (b"cHRM", 0) else COLOUR_CHUNKS[name])


def test_a_palette_keeps_what_is_said_of_its_colours() -> None:
    info = PngImagePlugin.PngInfo()
    info.add(b"gAMA", GAMMA)
    contents = encoded(Image.fromarray(PHOTO).quantize(8), pnginfo=info)
    assert chunks_of(result_of(contents)[0])[b"gAMA"] == GAMMA


def test_a_damaged_statement_of_colour_is_left_out() -> None:
    rows = [row.tobytes() for row in PHOTO[..., 0]]
    contents = png((30, 20), 8, 0, rows, chunk(b"cICP", b"\1\1"))
    assert b"cICP" not in chunks_of(result_of(contents)[0])


XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description
 tiff:Orientation="6" exif:PixelXDimension='30' xmp:Rating="4" tiff:ImageWidth="30"
 GPano:FullPanoWidthPixels="8000" GPano:CroppedAreaLeftPixels="10">
 <exif:PixelYDimension>20</exif:PixelYDimension><tiff:ImageLength> 20</tiff:ImageLength>
 <dc:title>Gr\u00fc\u00dfe 30</dc:title></rdf:Description></x:xmpmeta>""".encode()


def exif_of_a_camera(orientation: int = 1) -> Image.Exif:
    exif = Image.Exif()
    exif.update({0x0112: orientation, 0x010F: "Maker", 0x0132: "2020:01:02 03:04:05"})
    exif.update({0x013B: "Jos\u00e9", 0x8298: "all rights", 0x011A: 300.0, 0x011B: 300.0})
    exif.update({0x010E: "Gr\u00fc\u00dfe".encode(), 0x013B: "Jos\u00e9".encode()})
    exif.get_ifd(IFD.Exif).update(
        {0x9003: "2019:12:31 23:59:59", 0xA002: 30, 0xA003: 20, 0x927C: b"maker's note" * 9}
    )
    exif.get_ifd(IFD.Exif).update({0xA20E: 100.0, 0xA20F: 100.0, 0x9214: (15, 10), 0x829A: 0.01})
    exif.get_ifd(IFD.GPSInfo).update({1: "N", 2: (50.0, 30.0, 15.5), 3: "E", 4: (8.0, 1.0, 2.0)})
    return exif


@pytest.mark.parametrize(
    ("form", "orientation"),
    [("AVIF", 1), *((form, turn) for form in ("JPEG", "PNG", "WEBP") for turn in (1, 6))],
)
def test_dates_places_and_rights_are_kept_and_sizes_mended(form: str, orientation: int) -> None:
    contents = encoded(PHOTO, form, exif=exif_of_a_camera(orientation))
    _, opened = result_of(contents, scale=3)
    found = opened.getexif()
    assert found[0x010F] == "Maker"
    assert found[0x0132] == "2020:01:02 03:04:05"
    assert found[0x013B].encode("latin-1").decode() == "Jos\u00e9"
    assert found[0x010E].encode("latin-1").decode() == "Gr\u00fc\u00dfe"
    assert found[0x8298] == "all rights"
    # Already turned: a viewer must not turn it again.
    assert 0x0112 not in found
    details = found.get_ifd(IFD.Exif)
    assert details[0x9003] == "2019:12:31 23:59:59"
    assert details[0x829A] == 0.01
    assert (details[0xA002], details[0xA003]) == opened.size
    assert (details[0xA20E], details[0xA20F]) == (300, 300)
    assert not {0x927C, 0x9214} & details.keys()
    assert found.get_ifd(IFD.GPSInfo)[2] == (50.0, 30.0, 15.5)
    assert not found.get_ifd(IFD.IFD1)


def test_the_statements_of_a_tiff_are_kept_and_its_layout_is_not() -> None:
    for deep in (False, True):
        contents = io.BytesIO()
        tifffile.imwrite(
            contents,
            DEEP_COLOUR if deep else PHOTO,
            photometric="rgb",
            resolution=(300, 300),
            resolutionunit="INCH",
            description="a view",
            datetime="2020:01:02 03:04:05",
            extratags=[
                *((274, 3, 1, 6, True), (315, 2, 0, "a maker", True)),
                (700, 1, len(XMP), XMP, True),
            ],
            metadata=None,
        )
        _, opened = result_of(contents.getvalue())
        found = opened.getexif()
        assert (found[0x010E], found[0x013B], found[0x0132]) == (
            *("a view", "a maker"),
            "2020:01:02 03:04:05",
        )
        assert b'xmp:Rating="4"' in opened.info["xmp"]
        assert not {0x0100, 0x0101, 0x0102, 0x0103, 0x0106, 0x0111, 0x0117} & found.keys()
        assert found.get(0x0112, 1) == 1
        assert opened.info["dpi"] == pytest.approx((300, 300), abs=0.01)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "BMP"])
def test_the_resolution_is_kept(form: str) -> None:
    _, opened = result_of(encoded(PHOTO, form, dpi=(300, 200)))
    assert opened.info["dpi"] == pytest.approx((300, 200), abs=0.02)


def test_the_resolution_turns_with_the_picture() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    _, opened = result_of(encoded(PHOTO, "PNG", dpi=(300, 200), exif=exif))
    assert opened.info["dpi"] == pytest.approx((200, 300), abs=0.02)


def test_no_resolution_is_made_up() -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    for form in ("JPEG", "PNG", "WEBP"):
        assert "dpi" not in result_of(encoded(PHOTO, form, exif=exif))[1].info


@pytest.mark.parametrize("form", ["JPEG", "WEBP", "AVIF"])
def test_xmp_is_kept_and_what_it_says_of_the_size_mended(form: str) -> None:
    _, opened = result_of(encoded(PHOTO, form, xmp=XMP), scale=2)
    assert opened.size == (40, 60)  # turned, as it says
    expected = XMP.decode()
    for old, new in (
        ('Orientation="6"', 'Orientation="1"'),
        ("PixelXDimension='30'", "PixelXDimension='40'"),
        ('ImageWidth="30"', 'ImageWidth="40"'),
        ("PixelYDimension>20", "PixelYDimension>60"),
        ("ImageLength> 20", "ImageLength> 60"),
        ('FullPanoWidthPixels="8000"', 'FullPanoWidthPixels="16000"'),
        ('CroppedAreaLeftPixels="10"', 'CroppedAreaLeftPixels="20"'),
    ):
        assert old in expected
        expected = expected.replace(old, new)
    assert opened.info["xmp"].decode() == expected


def test_words_are_kept_before_and_after_the_pixels() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "a view")
    info.add_itxt("Author", "Jos\u00e9 \u732b", "en", "Author")
    info.add_text("Late", "after the pixels", zip=True)
    info.add_text("Software", "an older program")
    _, opened = result_of(encoded(PHOTO, pnginfo=info))
    assert opened.text == {
        "Title": "a view",
        "Author": "Jos\u00e9 \u732b",
        "Late": "after the pixels",
        "Software": "srcnn-mlflow, model 7",
    }


@pytest.mark.parametrize("form", ["JPEG", "GIF"])
def test_a_comment_is_kept(form: str) -> None:
    image = Image.fromarray(PHOTO).quantize(16) if form == "GIF" else PHOTO
    _, opened = result_of(encoded(image, form, comment="Gr\u00fc\u00dfe".encode()))
    assert opened.text["Comment"] == "Gr\u00fc\u00dfe"


def test_the_model_is_named_even_where_nothing_else_is_said() -> None:
    assert result_of(encoded(PHOTO))[1].text == {"Software": "srcnn-mlflow, model 7"}


def test_a_note_joins_what_is_said() -> None:
    empty = open_picture(encoded(PHOTO)).metadata
    once = with_note(empty, "First.")
    assert once.text == {"Comment": "First."}
    assert with_note(once, "Second.").text == {"Comment": "First. Second."}


def test_hostile_statements_never_spoil_the_picture() -> None:
    generator = np.random.default_rng(0)
    exif = exif_of_a_camera(6).tobytes()
    for form in ("JPEG", "PNG", "WEBP"):
        for _ in range(60):
            changed = bytearray(exif)
            for place in generator.integers(6, len(changed), 5):
                changed[place] = generator.integers(256)
            picture = open_picture(encoded(PHOTO, form, exif=bytes(changed)))
            assert sorted(picture.pixels.shape) == [3, 20, 30]
            said = enlarged(picture.metadata, 2, 60, 40, "model")
            file = io.BytesIO()
            write_png(Picture(picture.pixels, said), file, 1)
            Image.open(io.BytesIO(file.getvalue())).load()


def test_what_fits_is_sound_and_of_the_same_kind() -> None:
    assert fitting_profile(RGB_PROFILE, grey=False) == RGB_PROFILE
    assert fitting_profile(RGB_PROFILE, grey=True) is None
    assert fitting_profile(GREY_PROFILE, grey=True) == GREY_PROFILE
    for broken in (
        None,
        b"",
        RGB_PROFILE[:100],
        RGB_PROFILE[:-1],
        RGB_PROFILE.replace(b"acsp", b""),
    ):
        assert fitting_profile(broken, grey=False) is None


@pytest.mark.parametrize(
    ("contents", "notes"),
    [
        (encoded(PHOTO, save_all=True, append_images=[Image.fromarray(PHOTO[::-1])]), 1),
        (encoded(PHOTO, "GIF", save_all=True, append_images=[Image.fromarray(PHOTO[::-1])]), 1),
        (encoded(PHOTO, "TIFF", save_all=True, append_images=[Image.fromarray(PHOTO[::-1])]), 1),
        (encoded(PHOTO, "WEBP", save_all=True, append_images=[Image.fromarray(PHOTO[::-1])]), 1),
        (encoded(PHOTO, "AVIF", save_all=True, append_images=[Image.fromarray(PHOTO[::-1])]), 1),
        *((encoded(PHOTO, form), 0) for form in ("PNG", "JPEG", "TIFF", "WEBP", "AVIF", "GIF")),
    ],
)
def test_of_animations_and_pages_it_is_said_that_only_the_first_is_taken(
    contents: bytes, notes: int
) -> None:
    assert (
        open_picture(contents).notes == ("only the first of its frames or pages is taken",) * notes
    )
