"""One square of a validation picture, shown again and again while a network learns."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from srcnn_mlflow.measuring.evaluation import Upscale
from srcnn_mlflow.pictures.colour import luma_plane
from srcnn_mlflow.pictures.imaging import Plane
from srcnn_mlflow.showing.difference import busiest_square, coloured, difference

SIDE = 96
# On the screen; pixels are to be seen.
ENLARGED = 3
TITLES = ("bicubic", "SRCNN", "original", "|SRCNN - bicubic| x 15")
TITLE_HEIGHT, FONT_SIZE, GAP = 36, 24, 8
# Low-resolution pixels around the square: more than networks and interpolation look at.
_MARGIN = 8


@dataclass(frozen=True)
class Specimen:
    """The square, and the low-resolution pixels it is enlarged from.

    Attributes:
        original: uint8 luma of shape (side, side), or colours of shape (side, side, 3).
        bicubic: the same shape.
        small: the same of low resolution, with a margin around what becomes the square.
        offset: where the square lies in what `small` is enlarged to: top and left.
    """

    original: Plane
    bicubic: Plane
    small: Plane
    offset: tuple[int, int]


def choose_specimen(triples: Iterable[tuple[Plane, Plane, Plane]], scale: int) -> Specimen:
    """Find the square that bicubic restores worst.

    Args:
        triples: original, small and bicubic pictures, as `make_comparable` gives them of luma, and
            `make_small` of colours.
        scale: between small and original.
    """
    best, chosen = -1.0, None
    for original, small, bicubic in triples:
        error = np.square(luma_plane(original).astype(np.float64) - luma_plane(bicubic))
        top, left, side = busiest_square(error, SIDE)
        total = float(error[top : top + side, left : left + side].sum())
        if total > best:
            best, chosen = total, (original, small, bicubic, top, left, side)
    assert chosen is not None
    return _cut(*chosen, scale)


def draw_specimen(specimen: Specimen, upscale: Upscale) -> Image.Image:
    """Bicubic and SRCNN, below them the original and what SRCNN changed, enlarged; mode RGB.

    A square sheet, because the UI shows it as a small square first.
    """
    top, left = specimen.offset
    height, width = specimen.original.shape[:2]
    srcnn = upscale(specimen.small)[top : top + height, left : left + width]
    changed = difference(luma_plane(srcnn), luma_plane(specimen.bicubic))
    cells = [specimen.bicubic, srcnn, specimen.original, coloured(changed)]
    size = (width * ENLARGED, height * ENLARGED)
    sheet = Image.new("RGB", (2 * size[0] + GAP, 2 * (size[1] + TITLE_HEIGHT) + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (cell, title) in enumerate(zip(cells, TITLES, strict=True)):
        x = number % 2 * (size[0] + GAP)
        y = number // 2 * (size[1] + TITLE_HEIGHT + GAP)
        middle = (x + size[0] // 2, y + TITLE_HEIGHT // 2)
        draw.text(middle, title, fill="black", anchor="mm", font_size=FONT_SIZE)
        enlarged = Image.fromarray(cell).resize(size, Image.Resampling.NEAREST)
        sheet.paste(enlarged, (x, y + TITLE_HEIGHT))
    return sheet


def _cut(
    original: Plane, small: Plane, bicubic: Plane, top: int, left: int, side: int, scale: int
) -> Specimen:
    square = slice(top, top + side), slice(left, left + side)
    first = [max(0, start // scale - _MARGIN) for start in (top, left)]
    last = [-(-(start + side) // scale) + _MARGIN for start in (top, left)]
    return Specimen(
        original=original[square],
        bicubic=bicubic[square],
        small=np.ascontiguousarray(small[first[0] : last[0], first[1] : last[1]]),
        offset=(top - first[0] * scale, left - first[1] * scale),
    )
