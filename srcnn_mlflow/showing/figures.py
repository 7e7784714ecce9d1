"""Pictures of the best and the worst results, as the report shows them."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image

from srcnn_mlflow.machine.text import shortened
from srcnn_mlflow.measuring.evaluation import ImageScore
from srcnn_mlflow.showing.difference import DIFFERENCE_GAIN, busiest_square, coloured, difference
from srcnn_mlflow.showing.exhibits import Exhibit

COLUMNS = (
    "original",
    "low resolution (nearest)",
    "bicubic",
    "SRCNN",
    "|SRCNN \N{MINUS SIGN} bicubic| \N{MULTIPLICATION SIGN} 15",
)
FOOTNOTES = (
    "Each square is where SRCNN changed luma most, framed in the small picture of the whole.",
    "PSNR, SSIM and gain are on the luma of the whole picture, and so are the shares of its pixels",
    "that SRCNN brought nearer to the original than bicubic, or took farther from it.",
)
CROP = 120
LONGEST_NAME = 24

# In pixels of the file, so that a pixel of a picture is a whole number of them.
DPI = 110
CELL, GAP, SIDE, EDGE = 240, 8, 190, 18
CAPTION, TOP, BOTTOM = 32, 112, 76
LOCATOR_WIDTH, LOCATOR_HEIGHT = 160, 106
QUIET, LOSS, INK = "#555555", "#b3391b", "#1b1f24"


def draw_exhibits(exhibits: Sequence[Exhibit], title: str, subtitle: str, path: Path) -> None:
    """Draw a row a picture: original, nearest, bicubic, SRCNN, and what SRCNN changed.

    Every cell shows the same square, the one in which SRCNN changed most. Beside them stands what
    was gained on the whole picture, and where in it the square lies.

    Args:
        exhibits: at least one.
        title: stands above the picture.
        subtitle: stands below the title.
        path: the PNG file to write; it carries a description in words.
    """
    figure = exhibits_figure(exhibits, title, subtitle)
    with warnings.catch_warnings():
        # The font draws a box for what it lacks in a picture's name.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        words = f"{subtitle}. {in_words(exhibits)}"
        figure.savefig(path, dpi=DPI, metadata={"Title": title, "Description": words})


def exhibits_figure(exhibits: Sequence[Exhibit], title: str, subtitle: str) -> Figure:
    """What `draw_exhibits` draws, with its arguments."""
    width = EDGE + SIDE + 5 * (CELL + GAP) + EDGE - GAP
    height = TOP + len(exhibits) * (CELL + CAPTION) + BOTTOM
    page = _Page(width, height)
    page.write(EDGE, 14, title, size=13, weight="bold", shorten=110)
    page.write(EDGE, 46, subtitle, size=10.5, color=QUIET)
    for column, name in enumerate(COLUMNS):
        page.write(_left(column) + CELL / 2, TOP - 26, name, size=10.5, ha="center")
    for row, exhibit in enumerate(exhibits):
        _draw_row(page, TOP + row * (CELL + CAPTION), exhibit)
    for number, line in enumerate(FOOTNOTES):
        page.write(EDGE + SIDE, height - BOTTOM + 14 + 18 * number, line, size=8.5, color=QUIET)
    _draw_scale(page, height - BOTTOM + 14)
    return page.figure


def in_words(exhibits: Sequence[Exhibit]) -> str:
    """The figure for those who cannot see it."""
    return " ".join(
        f"{one.score.image}: {one.score.bicubic_psnr:.2f} dB by bicubic, "
        f"{one.score.srcnn_psnr:.2f} dB by SRCNN."
        for one in exhibits
    )


class _Page:
    """A figure on which places are pixels, counted from its upper left corner."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")

    def write(
        self, left: float, top: float, text: str, size: float, shorten: int = 0, **how: str
    ) -> None:
        """Put a line of text below a place; a dollar sign in it begins no formula."""
        shown = shortened(text, shorten) if shorten else text
        line = self.figure.text(left / self.width, 1 - top / self.height, shown, fontsize=size)
        line.set(parse_math=False, **{"va": "top", "color": INK, **how})

    def axis(self, left: float, top: float, width: float, height: float) -> Axes:
        """An empty axis at a place."""
        axis = self.figure.add_axes(
            (
                left / self.width,
                1 - (top + height) / self.height,
                width / self.width,
                height / self.height,
            )
        )
        axis.set_axis_off()
        return axis

    def show(self, left: float, top: float, pixels: NDArray[np.generic], factor: int = 1) -> Axes:
        """Put a picture at a place, each of its pixels as large as so many of the page's."""
        height, width = pixels.shape[:2]
        axis = self.axis(left, top, width * factor, height * factor)
        axis.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest", aspect="auto")
        return axis


def _left(column: int) -> int:
    return EDGE + SIDE + column * (CELL + GAP)


def _draw_row(page: _Page, top: int, exhibit: Exhibit) -> None:
    change = difference(exhibit.srcnn_luma, exhibit.bicubic_luma)
    square = _on_grid(busiest_square(change, CROP), exhibit)
    first_row, first_column, side = square
    part = slice(first_row, first_row + side), slice(first_column, first_column + side)
    factor = max(1, CELL // side)
    nearest = exhibit.small.resize(exhibit.original.size, Image.Resampling.NEAREST)
    cells = [exhibit.original, nearest, exhibit.bicubic, exhibit.srcnn]
    shown = [np.asarray(cell)[part] for cell in cells]
    shown.append(coloured(change[part]))
    inset = (CELL - side * factor) // 2
    for column, pixels in enumerate(shown):
        page.show(_left(column) + inset, top + inset, pixels, factor)
    for column, caption in zip((2, 3), _captions(exhibit.score), strict=True):
        page.write(_left(column) + CELL / 2, top + CELL + 5, caption, size=9, ha="center")
    _draw_side(page, top, exhibit, square)


def _on_grid(square: tuple[int, int, int], exhibit: Exhibit) -> tuple[int, int, int]:
    """Let a square begin where a pixel of the small picture does."""
    top, left, side = square
    scale = max(1, exhibit.original.width // exhibit.small.width)
    return top // scale * scale, left // scale * scale, side


def _draw_side(page: _Page, top: int, exhibit: Exhibit, square: tuple[int, int, int]) -> None:
    score, shares = exhibit.score, exhibit.moved
    page.write(EDGE, top, score.image, size=9.5, shorten=LONGEST_NAME)
    gain = f"{score.psnr_gain:+.2f} dB".replace("-", "\N{MINUS SIGN}")
    colour = LOSS if score.psnr_gain < 0 else INK
    page.write(EDGE, top + 20, gain, size=16, weight="bold", color=colour)
    page.write(EDGE, top + 56, f"{100 * shares.nearer:.0f} % of pixels nearer", size=9, color=QUIET)
    page.write(EDGE, top + 74, f"{100 * shares.farther:.0f} % farther", size=9, color=QUIET)
    small = Image.fromarray(np.asarray(exhibit.original))
    small.thumbnail((LOCATOR_WIDTH, LOCATOR_HEIGHT))
    axis = page.show(EDGE, top + CELL - small.height, np.asarray(small))
    first_row, first_column, side = square
    across, down = small.width / exhibit.original.width, small.height / exhibit.original.height
    for colour, line in (("black", 3.2), ("white", 1.4)):
        axis.add_patch(
            Rectangle(
                (first_column * across - 0.5, first_row * down - 0.5),
                *(side * across, side * down),
                fill=False,
                edgecolor=colour,
                linewidth=line,
                clip_on=False,
            )
        )


def _draw_scale(page: _Page, top: int) -> None:
    """What the colours of the last column stand for."""
    most = 255 // DIFFERENCE_GAIN
    axis = page.axis(_left(4), top, CELL, 12)
    levels = coloured(np.arange(most + 1)[None] * DIFFERENCE_GAIN / 255)
    axis.imshow(levels, aspect="auto", interpolation="nearest")
    for place, text, side in (
        (0, "0", "left"),
        (0.5, "8", "center"),
        (1, f"{most} or more", "right"),
    ):
        page.write(_left(4) + place * CELL, top + 15, text, size=8.5, color=QUIET, ha=side)
    page.write(
        _left(4) + CELL / 2, top + 33, "grey levels changed", size=8.5, color=QUIET, ha="center"
    )


def _captions(score: ImageScore) -> tuple[str, str]:
    """Measured PSNR and SSIM, for bicubic and for SRCNN."""
    return (
        f"{score.bicubic_psnr:.2f} dB, SSIM {score.bicubic_ssim:.4f}",
        f"{score.srcnn_psnr:.2f} dB, SSIM {score.srcnn_ssim:.4f}",
    )
