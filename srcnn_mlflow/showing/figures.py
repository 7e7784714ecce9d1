"""Pictures of the best and the worst results, as the report shows them."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from srcnn_mlflow.machine.text import shortened
from srcnn_mlflow.measuring.evaluation import ImageScore
from srcnn_mlflow.pictures.imaging import Plane
from srcnn_mlflow.showing.exhibits import Exhibit

COLUMNS = (
    "original",
    "low resolution (nearest)",
    "bicubic",
    "SRCNN",
    "|SRCNN \N{MINUS SIGN} bicubic| \N{MULTIPLICATION SIGN} 15",
)
FOOTNOTE = (
    "PSNR and SSIM on the luma of the whole picture; each square is where SRCNN changed luma most"
)
DIFFERENCE_GAIN = 15
CROP = 120
LONGEST_NAME = 32
BLACK_RED_YELLOW = LinearSegmentedColormap.from_list("black-red-yellow", ["black", "red", "yellow"])

Pixels = NDArray[np.uint8]


def draw_exhibits(exhibits: Sequence[Exhibit], title: str, path: Path) -> None:
    """Draw a row a picture: original, nearest, bicubic, SRCNN, and what SRCNN changed.

    Every cell shows the same square, the one in which SRCNN changed most.

    Args:
        exhibits: at least one.
        title: stands above the picture.
        path: the PNG file to write.
    """
    rows, cell = len(exhibits), 2.6
    figure = Figure(figsize=(cell * 5 + 0.6, (cell + 0.5) * rows + 1.1), facecolor="white")
    grid = figure.subplots(rows, 5, squeeze=False)
    for axes, exhibit in zip(grid, exhibits, strict=True):
        _draw_row(axes, exhibit)
    for axis, column in zip(grid[0], COLUMNS, strict=True):
        axis.set_title(column, fontsize=11, pad=8)
    height = figure.get_figheight()
    heading = figure.suptitle(title, fontsize=13, fontweight="bold", x=0.5, y=1 - 0.12 / height)
    # A dollar sign in a name begins no formula.
    heading.set_parse_math(False)
    figure.text(0.5, 0.1 / height, FOOTNOTE, ha="center", fontsize=9, color="#555555")
    figure.subplots_adjust(
        left=0.45 / figure.get_figwidth(),
        right=1 - 0.1 / figure.get_figwidth(),
        top=1 - 0.75 / figure.get_figheight(),
        bottom=0.6 / figure.get_figheight(),
        wspace=0.05,
        hspace=0.14,
    )
    with warnings.catch_warnings():
        # The font draws a box for what it lacks in a picture's name.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(path, dpi=110)


def difference(srcnn: Plane, bicubic: Plane) -> NDArray[np.float64]:
    """How much SRCNN changed, times 15, in 0..1 for the black-red-yellow map.

    Args:
        srcnn: uint8 (height, width).
        bicubic: the same shape.
    """
    change = np.abs(srcnn.astype(np.float64) - bicubic.astype(np.float64))
    return np.clip(change * DIFFERENCE_GAIN / 255, 0, 1)


def busiest_square(change: NDArray[np.float64], side: int) -> tuple[int, int, int]:
    """Find where a map sums to most.

    Args:
        change: shape (height, width).
        side: of the square; smaller where the map is.

    Returns:
        Top, left and side of the square.
    """
    side = min(side, *change.shape)
    total = np.pad(change.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    sums = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    top, left = np.unravel_index(int(np.argmax(sums)), sums.shape)
    return int(top), int(left), side


def _draw_row(axes: Sequence[Axes], exhibit: Exhibit) -> None:
    change = difference(exhibit.srcnn_luma, exhibit.bicubic_luma)
    top, left, side = busiest_square(change, CROP)
    nearest = exhibit.small.resize(exhibit.original.size, Image.Resampling.NEAREST)
    pictures = [exhibit.original, nearest, exhibit.bicubic, exhibit.srcnn]
    captions = ["", "", *_captions(exhibit.score), ""]
    for axis, picture in zip(axes, pictures, strict=False):
        pixels: Pixels = np.asarray(picture)[top : top + side, left : left + side]
        axis.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes[4].imshow(
        change[top : top + side, left : left + side],
        cmap=BLACK_RED_YELLOW,
        vmin=0,
        vmax=1,
        interpolation="nearest",
    )
    for axis, caption in zip(axes, captions, strict=True):
        axis.set_xticks([])
        axis.set_yticks([])
        axis.set_xlabel(caption, fontsize=10, labelpad=4)
        for spine in axis.spines.values():
            spine.set_visible(False)
    name = shortened(exhibit.score.image, LONGEST_NAME)
    axes[0].set_ylabel(name, fontsize=10, labelpad=6, parse_math=False)


def _captions(score: ImageScore) -> tuple[str, str]:
    """Measured PSNR and SSIM, for bicubic and for SRCNN."""
    return (
        f"{score.bicubic_psnr:.2f} dB, SSIM {score.bicubic_ssim:.4f}",
        f"{score.srcnn_psnr:.2f} dB, SSIM {score.srcnn_ssim:.4f}",
    )
