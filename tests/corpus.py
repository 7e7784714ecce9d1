"""Odd, broken and hostile picture files, and what is right to make of each."""

import functools
import io
import os
import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from tests.conftest import textured_pixels

Pixels = NDArray[np.uint8]

PHOTO = textured_pixels(48, 64, 7)
GREY = PHOTO[..., 1]
NO_PICTURE = "is not a PNG, JPEG, BMP, TIFF, WebP, GIF, AVIF or JPEG 2000 picture"
UNREADABLE = f"cannot be read as a picture|is a TIFF file that|{NO_PICTURE}"
TOO_LARGE = r"pixels; the most allowed is"
NO_FILE = "is a folder, a pipe or a device, not a picture file"


@dataclass(frozen=True, eq=False)
class Kind:
    """One file, and either the pixels that it must give or the reason it must be refused with.

    Attributes:
        file: its name.
        contents: the bytes in it; None for what is not a regular file.
        place: makes what is not a regular file.
        pixels: uint8 of shape (height, width) or (height, width, 2, 3 or 4), where it is used.
        deep: the same in 16 bits, where the file has more than 8.
        tolerance: mean difference in grey levels that a lossy file may have.
        refused: a pattern of the reason, where it is not used.
        listed: whether a folder's listing takes it for a picture, by its ending.
    """

    file: str
    contents: Callable[[], bytes] | None = None
    place: Callable[[Path], object] | None = None
    pixels: Pixels | None = None
    deep: NDArray[np.uint16] | None = None
    tolerance: float = 0
    refused: str = ""
    listed: bool = True

    def write(self, folder: Path) -> Path:
        """Make the file in a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / self.file
        if self.contents is not None:
            path.write_bytes(self.contents())
        else:
            assert self.place is not None
            self.place(path)
        return path

    @property
    def is_first(self) -> bool:
        """Whether it is the first of several in its file."""
        return any(word in self.file for word in ("animated", "pages"))

    @property
    def picture(self) -> Image.Image:
        """What is in the file, where it is used."""
        assert self.pixels is not None
        return Image.fromarray(self.pixels)

    def is_right(self, found: Image.Image) -> bool:
        """Whether a decoded picture is the one in the file."""
        if (found.mode, found.size) != (self.picture.mode, self.picture.size):
            return False
        difference = np.asarray(found).astype(int) - np.asarray(self.picture)
        return bool(np.abs(difference).mean() <= self.tolerance)


def write_corpus(folder: Path, kinds: Iterable[Kind]) -> dict[Path, Kind]:
    """Write kinds of files side by side; gives what is expected of each."""
    return {kind.write(folder): kind for kind in kinds}


def encoded(pixels: Pixels | Image.Image, form: str = "PNG", **options: Any) -> bytes:
    """The bytes of a picture file."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of a PNG file, with its checksum."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(
    size: tuple[int, int], depth: int, colour: int, rows: Iterable[bytes], *others: bytes
) -> bytes:
    """A PNG file written by hand, for what Pillow does not write.

    Args:
        size: width and height, as the header claims them.
        depth: bits a sample.
        colour: the colour type: 0 grey, 2 colour, 3 palette, 4 and 6 the same with alpha.
        rows: the samples of each row, packed.
        others: chunks that come before the samples.
    """
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)
    return b"".join(
        (PNG_SIGNATURE, chunk(b"IHDR", header), *others, chunk(b"IDAT", data), chunk(b"IEND", b""))
    )


PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def tiff(size: tuple[int, int], data: bytes, **tags: int) -> bytes:
    """A little-endian TIFF file of one strip, written by hand.

    Args:
        size: width and height, as the tags claim them.
        data: the samples.
        tags: `bits`, `photometric`, `sample_format` and `samples`, where they are not the default.
    """
    entries = {
        **{256: size[0], 257: size[1], 258: tags.get("bits", 8), 259: 1},
        **{262: tags.get("photometric", 1), 273: 0, 277: tags.get("samples", 1), 278: size[1]},
        **{279: len(data), 339: tags.get("sample_format", 1)},
    }
    entries[273] = 8 + 2 + 12 * len(entries) + 4
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, entries[tag]) for tag in sorted(entries))
    return struct.pack("<2sHIH", b"II", 42, 8, len(entries)) + directory + bytes(4) + data


def truncated(form: str) -> bytes:
    contents = encoded(PHOTO, form)
    return contents[: len(contents) * 2 // 3]


def with_bits_flipped(contents: bytes, place: int) -> bytes:
    return contents[:place] + bytes([contents[place] ^ 0x55]) + contents[place + 1 :]


def many_scans() -> bytes:
    """A JPEG of 14 MB that goes over its pixels a million times."""
    contents = encoded(Image.new("L", (1000, 1000)), "JPEG", progressive=True)
    last = contents[contents.rindex(b"\xff\xda") : -2]
    return contents[:-2] + last * 1_000_000 + b"\xff\xd9"


def jpeg_claiming(width: int, height: int) -> bytes:
    contents = bytearray(encoded(PHOTO, "JPEG"))
    frame = contents.index(b"\xff\xc0")
    contents[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(contents)


def bmp_claiming(width: int, height: int) -> bytes:
    contents = bytearray(encoded(PHOTO, "BMP"))
    contents[18:26] = struct.pack("<ii", width, height)
    return bytes(contents)


def looped_tiff() -> bytes:
    """A TIFF whose first page names itself as the next."""
    contents = bytearray(tiff((64, 48), GREY.tobytes()))
    (entries,) = struct.unpack_from("<H", contents, 8)
    struct.pack_into("<I", contents, 10 + 12 * entries, 8)
    return bytes(contents)


def lab() -> bytes:
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    converted = ImageCms.profileToProfile(Image.fromarray(PHOTO), *profiles, outputMode="LAB")
    assert converted is not None
    return encoded(converted, "TIFF")


def with_large_chunk(name: bytes) -> bytes:
    """A PNG with a small chunk that grows to 100 MB."""
    bomb = chunk(name, b"a\0\0" + zlib.compress(bytes(100_000_000), 1))
    return png((64, 48), 8, 0, [row.tobytes() for row in GREY], bomb)


def ycck() -> bytes:
    """A CMYK picture stored as luma, chroma and inverted black, as Photoshop does."""
    # With no black, ink is what is left of the light.
    levels = np.asarray(Image.fromarray(255 - PHOTO).convert("YCbCr"))
    # Pillow inverts what it stores.
    stored = np.dstack([255 - levels, np.zeros_like(GREY)])
    contents = bytearray(encoded(Image.fromarray(stored, "CMYK"), "JPEG", quality=98))
    contents[contents.index(b"Adobe") + 11] = 2
    return bytes(contents)


def srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def oriented(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def upright(orientation: int) -> Pixels:
    """What a viewer makes of stored rows and columns (EXIF 2.32, tag 0x0112)."""
    turned: Pixels = {
        1: PHOTO,
        2: PHOTO[:, ::-1],
        3: PHOTO[::-1, ::-1],
        4: PHOTO[::-1],
        5: PHOTO.swapaxes(0, 1),
        6: np.rot90(PHOTO, -1),
        7: PHOTO[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(PHOTO),
    }[orientation]
    return np.ascontiguousarray(turned)


def flat(value: int, *shape: int) -> Pixels:
    return np.full(shape, value, np.uint8)


# Levels of 16 bits that round to GREY, with every remainder.
def deepened(levels: Pixels) -> NDArray[np.uint16]:
    every = 257 * levels.astype(np.int32) + np.arange(levels.size).reshape(levels.shape) % 257 - 128
    return every.clip(0, 65535).astype(np.uint16)


DEEP, DEEP_COLOUR = deepened(GREY), deepened(PHOTO)
DEEP_HALF = 257 * np.where(np.arange(64) < 32, 0, 255).astype(np.uint16) + np.zeros(
    (48, 64), np.uint16
)
HALF = np.where(np.arange(64) < 32, 0, 255).astype(np.uint8) + flat(0, 48, 64)
FRAMES = [Image.fromarray(PHOTO[:, ::-1]), Image.fromarray(PHOTO[::-1])]
FOURS = GREY // 17 * 17
BITS = np.where(GREY > 127, 255, 0).astype(np.uint8)
PALETTE = Image.fromarray(PHOTO).quantize(32)
CMYK = Image.fromarray(PHOTO).convert("CMYK")


def big_endian(levels: NDArray[Any]) -> list[bytes]:
    return [row.astype(">u2").tobytes() for row in levels]


def key(*levels: int) -> bytes:
    return chunk(b"tRNS", struct.pack(f">{len(levels)}H", *levels))


def nibbles(levels: Pixels) -> list[bytes]:
    return [(row[::2] << 4 | row[1::2]).tobytes() for row in levels]


def twelve_bits(levels: NDArray[Any]) -> bytes:
    first, second = levels.reshape(-1, 2).T
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=1)
    return packed.astype(np.uint8).tobytes()


def with_alpha(pixels: Pixels, alpha: NDArray[Any]) -> Pixels:
    return np.dstack([pixels, np.where(alpha, 255, 0).astype(np.uint8)])


def with_deep_alpha(pixels: NDArray[np.uint16], alpha: NDArray[Any]) -> NDArray[np.uint16]:
    return np.dstack([pixels, np.where(alpha, 65535, 0).astype(np.uint16)])


def link_to_picture(path: Path) -> None:
    path.with_suffix(".real").write_bytes(encoded(PHOTO))
    path.symlink_to(path.with_suffix(".real").name)


def forbid_reading(path: Path) -> None:
    path.write_bytes(encoded(PHOTO))
    path.chmod(0)


def no_picture(file: str, contents: bytes) -> Kind:
    return Kind(file, lambda: contents, refused=NO_PICTURE)


def used(
    file: str, contents: Callable[[], bytes], pixels: Pixels, tolerance: float = 0, **others: Any
) -> Kind:
    return Kind(file, contents, pixels=pixels, tolerance=tolerance, **others)


def refused(file: str, contents: Callable[[], bytes], reason: str = UNREADABLE) -> Kind:
    return Kind(file, contents, refused=reason)


def named(file: str) -> Kind:
    return used(file, lambda: encoded(PHOTO), PHOTO)


def lossless(file: str, pixels: Pixels, form: str = "PNG", **options: Any) -> Kind:
    return used(file, lambda: encoded(pixels, form, **options), pixels)


JPEG_PHOTO = np.asarray(Image.open(io.BytesIO(encoded(PHOTO, "JPEG"))))
RANDOM = np.random.default_rng(0).integers(0, 256, 4000, np.uint8).tobytes()

DAMAGED = {
    **{
        f"truncated {form}": refused(f"cut.{form.lower()}", functools.partial(truncated, form))
        for form in ("PNG", "JPEG", "WEBP", "TIFF", "BMP")
    },
    "16-bit PNG that is cut short": refused(
        "cut-deep.png",
        lambda: png((64, 48), 16, 2, big_endian(DEEP_COLOUR.reshape(48, -1)))[:9000],
    ),
    "16-bit PNG with flipped bits": refused(
        "flipped-deep.png",
        lambda: with_bits_flipped(
            png((64, 48), 16, 2, big_endian(DEEP_COLOUR.reshape(48, -1))), 3000
        ),
    ),
    "16-bit TIFF that is cut short": refused(
        "cut-deep.tif", lambda: tiff((64, 48), DEEP.astype("<u2").tobytes(), bits=16)[:4000]
    ),
    "empty": refused("empty.png", lambda: b"", "is empty"),
    "one byte": no_picture("byte.png", b"\x89"),
    "PNG header alone": refused("header.png", lambda: encoded(PHOTO)[:33]),
    "PNG signature alone": refused("signature.png", lambda: PNG_SIGNATURE),
    "JPEG header alone": refused("header.jpg", lambda: encoded(PHOTO, "JPEG")[:20]),
    "BMP header alone": refused("header.bmp", lambda: encoded(PHOTO, "BMP")[:54]),
    "random": no_picture("random.jpg", RANDOM),
    "random after a PNG signature": refused("random.png", lambda: PNG_SIGNATURE + RANDOM),
    "random after a JPEG signature": refused("random2.jpg", lambda: b"\xff\xd8\xff\xe0" + RANDOM),
    "random after a WebP signature": refused("r.webp", lambda: b"RIFF\xff\0\0\0WEBPVP8 " + RANDOM),
    "PNG header with a wrong checksum": refused(
        "header-crc.png", lambda: with_bits_flipped(encoded(PHOTO), 30)
    ),
    "PNG with flipped bits": refused(
        "flipped.png", lambda: with_bits_flipped(encoded(PHOTO, compress_level=0), 3000)
    ),
    "PNG without width": refused("zero.png", lambda: png((0, 4), 8, 0, [b""] * 4)),
    "PNG without its palette": refused(
        "no-palette.png",
        lambda: png((64, 48), 8, 3, [row.tobytes() for row in GREY]),
        "has no palette",
    ),
    "text": no_picture("text.jpg", b"I am a text file"),
    "HTML": no_picture("html.png", b"<!doctype html><title>404</title>"),
    "SVG": no_picture("svg.png", b'<svg xmlns="http://www.w3.org/2000/svg"/>'),
    "PDF": no_picture("pdf.png", b"%PDF-1.7\n1 0 obj <<>> endobj"),
    "ICO": refused("icon.bmp", lambda: encoded(PHOTO, "ICO"), NO_PICTURE),
    "TIFF with 60000 samples": refused(
        "samples.tif", lambda: tiff((4, 4), bytes(16), samples=60000)
    ),
    "TIFF with endless tags": refused(
        "tags.tif", lambda: struct.pack("<2sHIH", b"II", 42, 8, 65535) + b"\xff" * 4000
    ),
    "TIFF whose strip lies elsewhere": refused("strip.tif", lambda: tiff((64, 48), b"")),
}

BOMBS = {
    "PNG that claims 60000x60000": refused(
        "claims.png", lambda: png((60000, 60000), 8, 2, [b""]), TOO_LARGE
    ),
    "PNG of 400 megapixels in 50 kB": refused(
        "dense.png", lambda: encoded(Image.new("1", (20_000, 20_000))), TOO_LARGE
    ),
    "JPEG that claims 65500x65500": refused(
        "claims.jpg", lambda: jpeg_claiming(65500, 65500), TOO_LARGE
    ),
    "TIFF that claims 60000x60000": refused(
        "claims.tif", lambda: tiff((60000, 60000), b"1"), TOO_LARGE
    ),
    "BMP that claims 60000x60000": refused(
        "claims.bmp", lambda: bmp_claiming(60000, 60000), TOO_LARGE
    ),
    "GIF that claims 65535x65535": no_picture("bomb.gif.png", b"GIF89a" + b"\xff" * 30),
    "JPEG of a million scans": refused("scans.jpg", many_scans, "more than 100 scans"),
    "PNG with 100 MB of text": refused(
        "text-bomb.png", lambda: with_large_chunk(b"zTXt"), "too large"
    ),
    "PNG with a profile of 100 MB": refused(
        "profile-bomb.png", lambda: with_large_chunk(b"iCCP"), "too large"
    ),
}

WITHOUT_MEANING = {
    "32-bit float TIFF": refused(
        "float.tif", lambda: encoded(Image.fromarray(GREY).convert("F"), "TIFF"), "8 or 16 bits"
    ),
    "float TIFF with NaN and infinity": refused(
        "nan.tif",
        lambda: tiff((2, 1), struct.pack("<2f", np.nan, np.inf), bits=32, sample_format=3),
        "8 or 16 bits",
    ),
    "32-bit integer TIFF": refused(
        "integers.tif", lambda: encoded(Image.fromarray(GREY).convert("I"), "TIFF"), "8 or 16 bits"
    ),
    "signed 16-bit TIFF": refused(
        "signed.tif", lambda: tiff((2, 1), bytes(4), bits=16, sample_format=2), "8 or 16 bits"
    ),
}

SIZES = {
    f"{width}x{height}": lossless(
        f"{width}x{height}.png", np.ascontiguousarray(np.resize(PHOTO, (height, width, 3)))
    )
    for width, height in ((1, 1), (2, 2), (3, 3), (1, 100_000), (100_000, 1))
}

ODD = {
    "GIF": used("gif.png", lambda: encoded(PALETTE, "GIF"), np.asarray(PALETTE.convert("RGB"))),
    "animated GIF": used(
        "animated.gif",
        lambda: encoded(PALETTE, "GIF", save_all=True, append_images=FRAMES),
        np.asarray(PALETTE.convert("RGB")),
    ),
    "JPEG 2000": lossless("photo.jp2", PHOTO, "JPEG2000", irreversible=False),
    "AVIF": used("photo.avif", lambda: encoded(PHOTO, "AVIF", quality=95), PHOTO, 4),
    "PPM": lossless("photo.ppm", PHOTO, "PPM"),
    "PGM of 16 bits": used(
        "deep.pgm",
        lambda: b"P5 64 48 65535 " + DEEP.astype(">u2").tobytes(),
        GREY,
        deep=DEEP,
    ),
    "QOI": lossless("photo.qoi", PHOTO, "QOI"),
    "JPEG named png": used("jpeg.png", lambda: encoded(PHOTO, "JPEG"), JPEG_PHOTO),
    "PNG named txt": used("png.txt", lambda: encoded(PHOTO), PHOTO, listed=False),
    "PNG data with a wrong checksum": used(
        # The pixels have a checksum of their own, inside the compressed data.
        "data-crc.png",
        lambda: with_bits_flipped(encoded(PHOTO), -13 % len(encoded(PHOTO))),
        PHOTO,
    ),
    "bytes after the end": used("after.png", lambda: encoded(PHOTO) + RANDOM, PHOTO),
    "animated PNG": lossless("animated.png", PHOTO, save_all=True, append_images=FRAMES),
    "animated WebP": lossless(
        "animated.webp", PHOTO, "WEBP", save_all=True, append_images=FRAMES, lossless=True
    ),
    "multi-page TIFF": lossless("pages.tif", PHOTO, "TIFF", save_all=True, append_images=FRAMES),
    "TIFF whose pages form a loop": used("loop-of-pages.tif", looped_tiff, GREY),
    "progressive JPEG": used(
        "progressive.jpg", lambda: encoded(PHOTO, "JPEG", progressive=True), JPEG_PHOTO
    ),
    "grey JPEG": used("grey.jpg", lambda: encoded(GREY, "JPEG", quality=98), GREY, 2),
    "CMYK JPEG": used("cmyk.jpg", lambda: encoded(CMYK, "JPEG", quality=98), PHOTO, 3),
    "YCCK JPEG": used("ycck.jpg", ycck, PHOTO, 3),
    "CMYK TIFF": used("cmyk.tif", lambda: encoded(CMYK, "TIFF"), PHOTO),
    "CMYK with a broken profile": used(
        "cmyk-icc.tif", lambda: encoded(CMYK, "TIFF", icc_profile=RANDOM), PHOTO
    ),
    "CMYK with a profile for RGB": used(
        "cmyk-rgb.tif", lambda: encoded(CMYK, "TIFF", icc_profile=srgb()), PHOTO
    ),
    "RGB with a broken profile": lossless("icc.png", PHOTO, icc_profile=RANDOM),
    "LAB TIFF": used("lab.tif", lab, PHOTO, 2),
    "palette": used("palette.png", lambda: encoded(PALETTE), np.asarray(PALETTE.convert("RGB"))),
    "palette with transparency": used(
        "palette-key.png",
        lambda: encoded(PALETTE, transparency=3),
        with_alpha(np.asarray(PALETTE.convert("RGB")), np.asarray(PALETTE) != 3),
    ),
    "1 bit": used("bit.png", lambda: encoded(Image.fromarray(BITS).convert("1")), BITS),
    "4 bits with a transparent grey": used(
        "four.png",
        lambda: png((64, 48), 4, 0, nibbles(GREY // 17), key(7)),
        with_alpha(FOURS, FOURS != 7 * 17),
    ),
    "16-bit grey": used(
        "deep.png", lambda: png((64, 48), 16, 0, big_endian(DEEP)), GREY, deep=DEEP
    ),
    "16-bit grey with a transparent level": used(
        "deep-key.png",
        lambda: png((64, 48), 16, 0, big_endian(DEEP), key(int(DEEP[5, 5]))),
        with_alpha(GREY, np.not_equal(DEEP, DEEP[5, 5])),
        deep=with_deep_alpha(DEEP, np.not_equal(DEEP, DEEP[5, 5])),
    ),
    "16-bit grey with alpha": used(
        "deep-alpha.png",
        lambda: png(
            (64, 48),
            16,
            4,
            big_endian(np.dstack([DEEP_COLOUR[..., 1], DEEP_HALF]).reshape(48, -1)),
        ),
        np.dstack([GREY, HALF]),
        deep=np.dstack([DEEP_COLOUR[..., 1], DEEP_HALF]),
    ),
    "16-bit colour": used(
        "deep-colour.png",
        lambda: png((64, 48), 16, 2, big_endian(DEEP_COLOUR.reshape(48, -1))),
        PHOTO,
        deep=DEEP_COLOUR,
    ),
    "16-bit colour with a transparent colour": used(
        "deep-colour-key.png",
        lambda: png(
            (64, 48),
            16,
            2,
            big_endian(DEEP_COLOUR.reshape(48, -1)),
            key(*(int(level) for level in DEEP_COLOUR[5, 5])),
        ),
        with_alpha(PHOTO, np.not_equal(DEEP_COLOUR, DEEP_COLOUR[5, 5]).any(axis=2)),
        deep=with_deep_alpha(DEEP_COLOUR, np.not_equal(DEEP_COLOUR, DEEP_COLOUR[5, 5]).any(axis=2)),
    ),
    "16-bit colour with alpha": used(
        "deep-rgba.png",
        lambda: png(
            (64, 48),
            16,
            6,
            big_endian(np.dstack([DEEP_COLOUR, DEEP_HALF]).reshape(48, -1)),
        ),
        np.dstack([PHOTO, HALF]),
        deep=np.dstack([DEEP_COLOUR, DEEP_HALF]),
    ),
    "16-bit TIFF": used(
        "deep.tif",
        lambda: tiff((64, 48), DEEP.astype("<u2").tobytes(), bits=16),
        GREY,
        deep=DEEP,
    ),
    "16-bit TIFF with white as zero": used(
        "deep-white.tif",
        lambda: tiff((64, 48), (65535 - DEEP).astype("<u2").tobytes(), bits=16, photometric=0),
        GREY,
        deep=DEEP,
    ),
    "8-bit TIFF with white as zero": used(
        "white.tif", lambda: tiff((64, 48), (255 - GREY).tobytes(), photometric=0), GREY
    ),
    "12-bit TIFF": used(
        "twelve.tif",
        lambda: tiff((64, 48), twelve_bits(GREY.astype(int) * 4095 // 255), bits=12),
        GREY,
        0.5,
        deep=np.rint((GREY.astype(int) * 4095 // 255) * (65535 / 4095)).astype(np.uint16),
    ),
    "grey with alpha": lossless("alpha-grey.png", np.dstack([GREY, HALF])),
    "colour with alpha": lossless("alpha.png", np.dstack([PHOTO, HALF])),
    "fully transparent": lossless("clear.png", np.dstack([PHOTO, flat(0, 48, 64)])),
    "all one colour": lossless("plain.png", flat(99, 48, 64, 3)),
    "broken EXIF": used(
        "broken-exif.jpg",
        lambda: encoded(PHOTO, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0"),
        JPEG_PHOTO,
    ),
    "random EXIF": used(
        "random-exif.jpg",
        lambda: encoded(PHOTO, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\0" + RANDOM),
        JPEG_PHOTO,
    ),
    "huge EXIF": used(
        "huge-exif.png", lambda: encoded(PHOTO, exif=oriented(1) + bytes(10_000_000)), PHOTO
    ),
    "EXIF orientation 99": used("99.png", lambda: encoded(PHOTO, exif=oriented(99)), PHOTO),
    "turned TIFF": used("turned.tif", lambda: encoded(PHOTO, "TIFF", exif=oriented(6)), upright(6)),
    "turned WebP": used(
        "turned.webp",
        lambda: encoded(PHOTO, "WEBP", exif=oriented(6), lossless=True),
        upright(6),
    ),
    **{
        f"EXIF orientation {number}": used(
            f"turned{number}.png",
            functools.partial(encoded, PHOTO, exif=oriented(number)),
            upright(number),
        )
        for number in range(1, 9)
    },
}


NAMES = {
    "a name with spaces": named("  two  spaces .png"),
    "a name with a line break": named("line\nbreak.png"),
    "a name with quotes": named('it\'s "quoted" `so`.png'),
    "a name with a leading dash": named("--help.png"),
    "a name with an escape sequence": named("\x1b[31mred\u202e.png"),
    "a name with a formula": named("$\\frac{1$ 100%s {x}.png"),
    "a name in other alphabets": named("grüße Ελλάδα привет 猫 قطة.png"),
    "a name with emoji": named("😀👩\u200d🚀.png"),
    "a name of 250 bytes": named("n" * 246 + ".png"),
    "a name that is not UTF-8": named(os.fsdecode(b"caf\xe9 \xff.png")),
}

NO_FILES = {
    "folder": Kind("folder.png", place=Path.mkdir, refused=NO_FILE),
    "pipe": Kind("pipe.png", place=os.mkfifo, refused=NO_FILE),
    "endless device": Kind(
        "endless.png", place=lambda path: path.symlink_to("/dev/zero"), refused=NO_FILE
    ),
    "dangling link": Kind(
        "dangling.png", place=lambda path: path.symlink_to("nowhere"), refused="No such file"
    ),
    "link to itself": Kind(
        "itself.png", place=lambda path: path.symlink_to("itself.png"), refused="symbolic links"
    ),
    "link to a picture": Kind(
        "link.png",
        place=link_to_picture,
        pixels=PHOTO,
    ),
}
if os.geteuid() != 0:  # root may read everything
    NO_FILES["unreadable"] = Kind(
        "unreadable.png",
        place=forbid_reading,
        refused="Permission denied",
    )

FILES = {**DAMAGED, **BOMBS, **WITHOUT_MEANING, **SIZES, **ODD}
KINDS = {**FILES, **NAMES, **NO_FILES}
