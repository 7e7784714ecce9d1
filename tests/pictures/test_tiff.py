"""What is made of a grid of TIFF layouts, held against a second reader.

The second reader is tifffile with decoders of its own, which share nothing with the libtiff that
Pillow and imagecodecs are built on; every file is written by it from samples that are known, too.
"""

import io
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from srcnn_mlflow.machine.errors import ImageError
from srcnn_mlflow.pictures.decoding import open_picture
from srcnn_mlflow.pictures.picture import Picture
from tests.conftest import textured_pixels

HEIGHT, WIDTH = 37, 45
SAMPLES = {"minisblack": 1, "miniswhite": 1, "rgb": 3, "separated": 4}
# How samples are packed: compression, predictor, tile.
PACKINGS: tuple[tuple[str | None, bool, tuple[int, int] | None], ...] = (
    (None, False, None),
    (None, False, (16, 16)),
    ("lzw", True, None),
    ("deflate", False, (16, 16)),
    ("packbits", False, None),
    ("zstd", True, (16, 32)),
)
NUMBERS = ("u1", "i1", "u2", "i2", "f2", "u4", "i4", "f4", "f8")
EXTRAS: tuple[str | None, ...] = (None, "unspecified", "assocalpha", "unassalpha")


@dataclass(frozen=True)
class Layout:
    """One way to keep samples in a TIFF file."""

    photometric: str
    planar: str
    number: str
    byte_order: str
    packing: tuple[str | None, bool, tuple[int, int] | None]
    extra: str | None

    @property
    def has_meaning(self) -> bool:
        """Whether it holds grey, colour or ink in 8 or 16 bits."""
        return self.number in ("u1", "u2")

    def samples(self) -> NDArray[Any]:
        """Of shape (height, width, samples), each sample different from all others."""
        count = SAMPLES[self.photometric] + (self.extra is not None)
        levels = np.dstack([textured_pixels(HEIGHT, WIDTH, seed) for seed in (1, 2)])[..., :count]
        levels = levels.astype(np.float64) / 255
        if self.extra == "assocalpha":  # no colour is brighter than its alpha
            levels[..., -1] = np.maximum(levels[..., -1], 0.25)
            levels[..., :-1] *= levels[..., -1:]
        kind = np.dtype(self.number)
        if kind.kind == "f":
            return levels.astype(kind)
        return np.rint(levels * np.iinfo(kind).max).astype(kind)

    def file(self) -> bytes:
        """The bytes of a TIFF file of it."""
        samples = self.samples()
        compression, predictor, tile = self.packing
        options: dict[str, Any] = {}
        if samples.shape[2] > 1:
            options["planarconfig"] = self.planar
            samples = np.moveaxis(samples, -1, 0) if self.planar == "separate" else samples
        else:
            samples = samples[..., 0]
        if self.extra:
            options["extrasamples"] = [self.extra]
        contents = io.BytesIO()
        tifffile.imwrite(
            contents,
            samples,
            photometric=self.photometric,
            byteorder=self.byte_order,  # type: ignore[arg-type]
            compression=compression,
            predictor=predictor,
            tile=tile,
            metadata=None,
            **options,
        )
        return contents.getvalue()


def grid() -> Iterator[Layout]:
    for photometric, planar, number, order, packing, extra in product(
        SAMPLES, ("contig", "separate"), NUMBERS, "<>", PACKINGS, EXTRAS
    ):
        if planar == "separate" and SAMPLES[photometric] == 1 and extra is None:
            continue
        yield Layout(photometric, planar, number, order, packing, extra)


def second_reader(contents: bytes, layout: Layout) -> NDArray[np.float64]:
    """Levels from 0 to 1, of shape (height, width, bands), as the tags mean them."""
    read = tifffile.imread(io.BytesIO(contents))
    read = read if read.ndim == 3 else read[..., None]
    read = np.moveaxis(read, 0, -1) if layout.planar == "separate" and read.ndim == 3 else read
    read = read.reshape(HEIGHT, WIDTH, -1)
    assert np.array_equal(read, layout.samples())
    levels = read / np.iinfo(read.dtype).max
    count = SAMPLES[layout.photometric]
    colours, surplus = levels[..., :count], levels[..., count:]
    if layout.photometric == "miniswhite":
        colours = 1 - colours
    if layout.photometric == "separated":
        colours = (1 - colours[..., :3]) * (1 - colours[..., 3:])
    if layout.extra == "assocalpha":
        colours = colours / surplus
    return colours if layout.extra in (None, "unspecified") else np.dstack([colours, surplus])


def read(contents: bytes) -> Picture | str:
    """A picture, or why there is none."""
    try:
        return open_picture(contents)
    except ImageError as error:
        return str(error)


@pytest.mark.parametrize("photometric", SAMPLES)
def test_every_layout_is_read_as_a_second_reader_does_or_refused_by_name(photometric: str) -> None:
    outcomes: Counter[str] = Counter()
    for layout in grid():
        if layout.photometric != photometric:
            continue
        contents = layout.file()
        picture = read(contents)
        if isinstance(picture, str):
            outcomes["refused"] += 1
            assert re.fullmatch(
                "the image is a TIFF file (that|with) .*; save it as RGB or grey.*", picture
            )
            # Of ink with alpha there is no one meaning, nor of black ink that alpha is in.
            unclear = photometric == "separated" or layout.extra == "assocalpha"
            assert unclear or not layout.has_meaning, (layout, picture)
            continue
        outcomes["read"] += 1
        assert layout.has_meaning, layout
        expected = second_reader(contents, layout)
        assert picture.pixels.shape == expected.shape, layout
        # 16 bits of ink become 8 of light.
        deep = layout.number == "u2" and photometric != "separated"
        assert picture.pixels.dtype == (np.uint16 if deep else np.uint8), layout
        # What is divided by alpha, and ink, is rounded on the way.
        exact = layout.extra != "assocalpha" and photometric != "separated"
        difference = np.abs(picture.pixels / picture.white - expected) * picture.white
        assert difference.max() <= (0.51 if exact else 2.01), layout
    assert sum(outcomes.values()) >= 300
    assert min(outcomes["read"], outcomes["refused"]) >= 50


def written(samples: NDArray[Any], **options: Any) -> bytes:
    contents = io.BytesIO()
    tifffile.imwrite(contents, samples, metadata=None, **options)
    return contents.getvalue()


DEEP = np.random.default_rng(0).integers(0, 65536, (64, 48, 3), np.uint16)


def test_planes_of_16_bits_that_are_not_compressed() -> None:
    """Of which Pillow makes garbage, without a word."""
    for order in "<>":
        contents = written(
            np.moveaxis(DEEP, -1, 0), photometric="rgb", planarconfig="separate", byteorder=order
        )
        assert np.array_equal(open_picture(contents).pixels, DEEP)


@pytest.mark.parametrize("compression", [None, "lzw", "deflate", "zstd", "packbits"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_a_deep_file_that_is_cut_short_is_refused(
    compression: str | None, planar: str, share: float
) -> None:
    samples = np.moveaxis(DEEP, -1, 0) if planar == "separate" else DEEP
    contents = written(
        samples, photometric="rgb", planarconfig=planar, compression=compression, rowsperstrip=16
    )
    with pytest.raises(ImageError, match="cannot be read as a picture"):
        open_picture(contents[: int(len(contents) * share)])


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        (written(DEEP[..., 0].astype(np.int16)), "holds signed 16-bit integers"),
        (written(DEEP[..., 0].astype(np.int8)), "holds signed 8-bit integers"),
        (written(DEEP[..., 0].astype(np.float32)), "holds 32-bit floating point numbers"),
        (written(DEEP.astype(np.float32), photometric="rgb"), "holds 32-bit floating point"),
        (written(DEEP[..., 0].astype(np.uint32)), "holds 32-bit integers"),
        (written(DEEP[..., 0].astype(np.complex64)), "holds complex numbers"),
        (written(DEEP, photometric="ycbcr"), "holds luma and chroma in 16 bits"),
        (written(DEEP, photometric="cielab"), r"holds CIE L\*a\*b\* in 16 bits"),
        (written(DEEP[..., 0] >> 6, bitspersample=10), "holds samples of 10 bits"),
        (written(DEEP[..., 0], photometric="cfa", extratags=[(33421, 3, 2, (2, 2), True)]), "mean"),
        (
            written(DEEP, photometric="rgb", extratags=[(50706, 1, 4, (1, 4, 0, 0), True)]),
            "is a camera's raw data; develop it first",
        ),
    ],
)
def test_a_refusal_says_what_a_file_holds(contents: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        open_picture(contents)


def test_the_size_is_looked_at_before_anything_is_decoded() -> None:
    contents = written(DEEP, photometric="rgb")
    with pytest.raises(ImageError, match="48x64, 3,072 pixels; the most allowed is 3,071"):
        open_picture(contents[:400], max_pixels=3071)


def test_a_strip_that_would_swell_to_a_thousand_times_the_picture_does_no_harm() -> None:
    contents = bytearray(written(DEEP, photometric="rgb", compression="deflate"))
    tags = tifffile.TiffFile(io.BytesIO(contents)).pages.first.tags
    swollen = zlib.compress(bytes(100_000_000), 1)
    for tag, value in ((273, len(contents)), (279, len(swollen))):
        place = tags[tag].valueoffset
        contents[place : place + 4] = value.to_bytes(4, "little")
    picture = read(bytes(contents) + swollen)
    assert isinstance(picture, str) or picture.pixels.shape == DEEP.shape


def test_of_several_pages_the_first_is_taken_and_it_says_so() -> None:
    pages = written(np.stack([DEEP, DEEP[::-1]]), photometric="rgb")
    picture = open_picture(pages)
    assert np.array_equal(picture.pixels, DEEP)
    assert picture.notes == ("only the first of its frames or pages is taken",)
    assert open_picture(written(DEEP, photometric="rgb")).notes == ()
