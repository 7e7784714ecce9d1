"""PSNR of several models against their size and their time, as two panels."""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation, Text
from matplotlib.ticker import NullLocator
from matplotlib.transforms import Bbox

from srcnn_mlflow.measuring.comparison import ComparedModel

# A colour (Okabe and Ito, 2008: told apart by the colour-blind too) and a marker a scale.
STYLES = {2: ("#0072B2", "o"), 3: ("#D55E00", "s"), 4: ("#009E73", "^")}
INK, GRID = "#333333", "#e6e6e6"
MARKER = 8.0
# Labels are tried around their point, nearest first: distances in points, directions in degrees.
_DISTANCES = range(9, 150, 7)
_DIRECTIONS = (0, 180, 30, -30, 150, -150, 60, -60, 120, -120, 90, -90)
# Farther away than this, a line leads from a label to its point.
_NEAR = 16


def draw_comparison(
    models: Sequence[ComparedModel], title: str, photograph: str, path: Path
) -> None:
    """Draw the models' PSNR over their number of weights and over their time.

    Args:
        models: at least one.
        title: stands above the picture.
        photograph: the size of the result that was timed, as `640x424`.
        path: the PNG file to write; it carries a description in words.
    """
    figure = comparison_figure(models, title, photograph)
    figure.savefig(path, metadata={"Title": title, "Description": in_words(models)})


def comparison_figure(models: Sequence[ComparedModel], title: str, photograph: str) -> Figure:
    """What `draw_comparison` draws, with its arguments."""
    figure = Figure(figsize=(12.5, 5.6), dpi=110, facecolor="white")
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    size, time = figure.subplots(1, 2, sharey=True)
    figure.subplots_adjust(left=0.065, right=0.985, top=0.84, bottom=0.125, wspace=0.06)
    _draw_panel(size, models, [model.weights for model in models])
    _draw_panel(time, models, [model.seconds for model in models])
    _fit_axes(size, time, models, photograph)
    heading = figure.suptitle(title, x=0.065, y=0.965, ha="left", fontsize=13, fontweight="bold")
    # A data set's name may hold what would be taken for a formula.
    heading.set(parse_math=False, color=INK)
    _draw_legend(figure, models)
    for axis in (size, time):
        place_labels(axis, renderer)
    return figure


def in_words(models: Sequence[ComparedModel]) -> str:
    """The figure for those who cannot see it."""
    return (
        "PSNR on luma against the number of weights, and against seconds a photograph. "
        + " ".join(
            f"{model.label}: {model.weights:,} weights, {model.seconds:.3f} s, "
            f"{model.summary.srcnn_psnr:.2f} dB (bicubic {model.summary.bicubic_psnr:.2f} dB)."
            for model in models
        )
    )


def _draw_panel(axis: Axes, models: Sequence[ComparedModel], places: Sequence[float]) -> None:
    for scale in sorted({model.scale for model in models}):
        bicubic = next(model.summary.bicubic_psnr for model in models if model.scale == scale)
        axis.axhline(bicubic, color=STYLES[scale][0], linestyle=(0, (5, 4)), linewidth=1.3)
    for model, place in zip(models, places, strict=True):
        colour, marker = STYLES[model.scale]
        point = (place, model.summary.srcnn_psnr)
        axis.plot(*point, marker, color=colour, markersize=MARKER, markeredgecolor="white")
        axis.annotate(
            model.label,
            point,
            xytext=(0, 0),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=9,
            color=INK,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.8, "shrinkA": 0},
        )
    axis.grid(color=GRID, linewidth=0.8)
    quieten(axis, 9)
    axis.spines["bottom"].set(visible=True, color="#999999")


def _fit_axes(size: Axes, time: Axes, models: Sequence[ComparedModel], photograph: str) -> None:
    """Name the axes and leave room for the labels; the two panels share the height."""
    levels = [
        level
        for model in models
        for level in (model.summary.srcnn_psnr, model.summary.bicubic_psnr)
    ]
    margin = 0.12 * (max(levels) - min(levels)) or 1.0
    size.set_ylim(min(levels) - margin, max(levels) + margin)
    size.set_ylabel("PSNR on luma (dB)", fontsize=10, color=INK, labelpad=8)
    weights = sorted({model.weights for model in models})
    size.set_xscale("log")
    size.set_xlim(weights[0] / 2, weights[-1] * 2)
    size.set_xticks(weights, [f"{count:,}" for count in weights])
    size.xaxis.set_minor_locator(NullLocator())
    size.set_xlabel("weights, biases included (log scale)", fontsize=10, color=INK, labelpad=8)
    time.set_xlim(0, 1.25 * max(model.seconds for model in models))
    time.set_xlabel(
        f"seconds to enlarge a photograph to {photograph} pixels",
        fontsize=10,
        color=INK,
        labelpad=8,
    )


def _draw_legend(figure: Figure, models: Sequence[ComparedModel]) -> None:
    handles = []
    for scale in sorted({model.scale for model in models}):
        colour, marker = STYLES[scale]
        handles += [
            Line2D(
                [],
                [],
                color=colour,
                marker=marker,
                markersize=MARKER,
                linestyle="none",
                label=f"SRCNN x{scale}",
            ),
            Line2D(
                [],
                [],
                color=colour,
                linestyle=(0, (5, 4)),
                linewidth=1.3,
                label=f"bicubic x{scale}",
            ),
        ]
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0.06, 0.915),
        ncols=len(handles),
        frameon=False,
        fontsize=9.5,
        labelcolor=INK,
        handletextpad=0.5,
        columnspacing=1.8,
        borderpad=0,
    )


def quieten(axis: Axes, labelsize: float) -> None:
    """Leave of an axis's own lines nothing but the grid, behind what is drawn."""
    axis.set_axisbelow(True)
    axis.tick_params(length=0, labelsize=labelsize, labelcolor=INK, pad=6)
    for spine in axis.spines.values():
        spine.set_visible(False)


def place_labels(axis: Axes, renderer: RendererAgg, beside: Sequence[Bbox] = ()) -> None:
    """Move every label to the nearest place inside the panel where it covers nothing.

    Args:
        axis: its labels are annotations, and its lines what they must not cover.
        renderer: of the figure.
        beside: what else they must not cover, in pixels.
    """
    # In pixels: the markers, the dashed lines, and, as they are placed, other labels.
    taken = [*(line.get_window_extent() for line in axis.lines), *beside]
    labels = [text for text in axis.texts if isinstance(text, Annotation)]
    # From the top, so that labels of points that lie close stay in their order.
    for label in sorted(labels, key=lambda one: one.xy[1], reverse=True):
        taken.append(_place(label, axis.get_window_extent(), taken, renderer))


def _place(label: Annotation, panel: Bbox, taken: Sequence[Bbox], renderer: RendererAgg) -> Bbox:
    """Move a label, and give the box that it takes then; where all is full, the last one tried."""
    for distance, direction in itertools.product(_DISTANCES, _DIRECTIONS):
        _set_offset(label, distance, math.radians(direction))
        label.update_positions(renderer)
        # Of the text alone; an annotation's own extent has the line to its point too.
        box = Text.get_window_extent(label).padded(2)
        inside = panel.x0 <= box.x0 and box.x1 <= panel.x1 and panel.y0 <= box.y0 <= panel.y1
        if inside and not any(box.overlaps(other) for other in taken):
            break
    return box


def _set_offset(label: Annotation, distance: float, direction: float) -> None:
    """Let a label begin so many points from its point, where it stands to the side of it."""
    right, up = math.cos(direction), math.sin(direction)
    label.set_position((distance * right, distance * up))
    label.set_horizontalalignment(("right", "center", "left")[round(right) + 1])
    label.set_verticalalignment(("top", "center", "bottom")[round(up) + 1])
    assert label.arrow_patch is not None
    label.arrow_patch.set_visible(distance > _NEAR)
