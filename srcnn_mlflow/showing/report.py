"""One self-contained HTML page of an evaluation: table, chart, and pictures to compare."""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from PIL import Image

from srcnn_mlflow.measuring.evaluation import ImageScore, describe_protocol, summarize
from srcnn_mlflow.measuring.metrics import Moved
from srcnn_mlflow.measuring.tables import describe_bias, table_rows
from srcnn_mlflow.showing.difference import DIFFERENCE_GAIN, busiest_square, coloured, difference
from srcnn_mlflow.showing.exhibits import Exhibit, Extremes
from srcnn_mlflow.showing.figures import COLUMNS, CROP
from srcnn_mlflow.showing.viewer import Layer, View, render

# What was judged, on what, how: by the names that stand in table.json.
About = Mapping[str, str | int]

# Ten exhibits of this many pixels, six pictures each, stay below 15 MB even where they are noise:
# three in colour and three with few colours are 11 bytes a pixel, which base64 makes a third more.
SHOWN_WIDTH, SHOWN_HEIGHT = 360, 270
# Errors are larger than what SRCNN changes of them.
ERROR_GAIN = 5
THUMBNAIL = 240

# The chart is about this high, if the names of pictures or thin bars need not more.
CHART_HEIGHT = 480
NAMED_ROW, THINNEST_ROW = 20, 3
# More names than these would be a second table.
NAMED_LOSSES = 10


@dataclass(frozen=True)
class _Bar:
    """One picture's PSNR gain; positions are percent of the chart's width."""

    score: ImageScore
    left: float
    width: float


@dataclass(frozen=True)
class _Tick:
    value: float
    left: float


@dataclass(frozen=True)
class _Chart:
    bars: list[_Bar]
    ticks: list[_Tick]
    row_height: int
    named: bool


@dataclass(frozen=True)
class _Crop:
    """The part of a picture that is shown, in pixels."""

    left: int
    top: int
    width: int
    height: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns, as an array is indexed."""
        return (
            slice(self.top, self.top + self.height),
            slice(self.left, self.left + self.width),
        )


@dataclass(frozen=True)
class _Card:
    """An exhibit as the page shows it.

    Attributes:
        number: on the page, from 1.
        score: of the whole picture.
        size: of the whole picture: width and height.
        crop: what is shown of it.
        layers: bicubic, SRCNN, original, what SRCNN changed, and what either has wrong.
        views: which of them are shown at once.
        moved: which share of its pixels got nearer to the original, and which farther.
        thumbnail: the whole picture, as a `data:` address; None where all of it is shown.
    """

    number: int
    score: ImageScore
    size: tuple[int, int]
    crop: _Crop
    layers: tuple[Layer, ...]
    views: tuple[View, ...]
    moved: Moved
    thumbnail: str | None


def render_report(
    scale: int, scores: Sequence[ImageScore], extremes: Extremes, about: About, decided: str = ""
) -> str:
    """Lay an evaluation out as an HTML page that loads nothing.

    Args:
        scale: 2, 3 or 4.
        scores: picture by picture, at least one.
        extremes: the pictures to show.
        about: model, dataset, split, digest, images, border and commit; and run, date and address.
        decided: what the pictures have chosen, in a sentence; empty for nothing.

    Returns:
        The page, below 15 MB for pictures of any size.
    """
    summary = summarize(scores)
    in_colour = summary.rgb_psnr_gain is not None
    cards = _cards(extremes)
    return render(
        "report.html.j2",
        scale=scale,
        about=about,
        summary=summary,
        rows=[row.cells() for row in table_rows(scale, summary)],
        protocol=describe_protocol(int(about["border"]), in_colour),
        in_colour=in_colour,
        bias=describe_bias(summary),
        decided=decided,
        scores=scores,
        losses=[score for score in scores if score.psnr_gain < 0],
        named_losses=NAMED_LOSSES,
        chart=_chart(scores),
        extremes=extremes,
        sections=list(extremes.titled(scale)),
        cards=cards,
        typical=_typical(cards, summary.psnr_gain),
    )


def _typical(cards: Mapping[Exhibit, _Card], gain: float) -> Exhibit:
    """The exhibit that gained most nearly as much as pictures do on average."""
    return min(cards, key=lambda exhibit: abs(exhibit.score.psnr_gain - gain))


def _chart(scores: Sequence[ImageScore]) -> _Chart:
    finite = [score.psnr_gain for score in scores if math.isfinite(score.psnr_gain)]
    ticks = MaxNLocator(4).tick_values(min([0.0, *finite]), max([0.05, *finite]))
    low, high = float(ticks[0]), float(ticks[-1])

    def position(gain: float) -> float:
        return 100 * (min(max(gain, low), high) - low) / (high - low)

    zero = position(0)
    row_height = min(NAMED_ROW, max(THINNEST_ROW, CHART_HEIGHT // len(scores)))
    ranked = sorted(scores, key=lambda score: score.psnr_gain, reverse=True)
    places = [(score, position(score.psnr_gain)) for score in ranked]
    return _Chart(
        bars=[_Bar(score, min(zero, place), abs(place - zero)) for score, place in places],
        ticks=[_Tick(float(value), position(float(value))) for value in ticks],
        row_height=row_height,
        named=row_height == NAMED_ROW,
    )


def _cards(extremes: Extremes) -> dict[Exhibit, _Card]:
    exhibits = dict.fromkeys([*extremes.best, *extremes.worst])
    return {exhibit: _card(number, exhibit) for number, exhibit in enumerate(exhibits, 1)}


def _card(number: int, exhibit: Exhibit) -> _Card:
    change = difference(exhibit.srcnn_luma, exhibit.bicubic_luma)
    crop = _choose_crop(exhibit.original.size, busiest_square(change, CROP))
    bicubic, srcnn, original = layers = (
        Layer("bicubic", "bicubic", "Bicubic", _shown(exhibit.bicubic, crop)),
        Layer("srcnn", "SRCNN", "SRCNN", _shown(exhibit.srcnn, crop)),
        Layer("original", "the original", "Original", _shown(exhibit.original, crop)),
    )
    of_bicubic, of_srcnn = (
        Layer(
            f"error-of-{one.kind}",
            f"the error of {one.name}",
            f"|{one.name} \N{MINUS SIGN} original| \N{MULTIPLICATION SIGN} {ERROR_GAIN}",
            _coloured(difference(plane, exhibit.original_luma, ERROR_GAIN)[crop.slices]),
        )
        for one, plane in ((bicubic, exhibit.bicubic_luma), (srcnn, exhibit.srcnn_luma))
    )
    changed = Layer("difference", "what SRCNN changed", COLUMNS[-1], _coloured(change[crop.slices]))
    whole = (crop.width, crop.height) == exhibit.original.size
    return _Card(
        number=number,
        score=exhibit.score,
        size=exhibit.original.size,
        crop=crop,
        layers=(*layers, changed, of_bicubic, of_srcnn),
        views=(
            View("Bicubic | SRCNN", bicubic, srcnn),
            View("SRCNN | Original", srcnn, original),
            View(
                f"Errors \N{MULTIPLICATION SIGN}{ERROR_GAIN}",
                of_bicubic,
                of_srcnn,
                levels=255 // ERROR_GAIN,
            ),
            View(
                f"Difference \N{MULTIPLICATION SIGN}{DIFFERENCE_GAIN}",
                changed,
                levels=255 // DIFFERENCE_GAIN,
            ),
        ),
        moved=exhibit.moved,
        thumbnail=None if whole else _thumbnail(exhibit.original),
    )


def _choose_crop(size: tuple[int, int], square: tuple[int, int, int]) -> _Crop:
    """Take a part of a picture with a square of it in the middle, or all of a small picture."""
    width, height = size
    if width * height <= SHOWN_WIDTH * SHOWN_HEIGHT:
        return _Crop(0, 0, width, height)
    top, left, side = square
    shown_width, shown_height = min(SHOWN_WIDTH, width), min(SHOWN_HEIGHT, height)
    return _Crop(
        left=min(max(0, left + side // 2 - shown_width // 2), width - shown_width),
        top=min(max(0, top + side // 2 - shown_height // 2), height - shown_height),
        width=shown_width,
        height=shown_height,
    )


def _shown(picture: Image.Image, crop: _Crop) -> str:
    return _data_address(Image.fromarray(np.asarray(picture)[crop.slices]), lossless=True)


def _coloured(change: NDArray[np.float64]) -> str:
    return _data_address(Image.fromarray(coloured(change)), lossless=True)


def _thumbnail(picture: Image.Image) -> str:
    # From pixels alone: a colour profile may be larger than the thumbnail.
    small = Image.fromarray(np.asarray(picture))
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    return _data_address(small, lossless=False)


def _data_address(picture: Image.Image, lossless: bool) -> str:
    file = io.BytesIO()
    picture.save(file, "WEBP", lossless=lossless)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
