"""Gains over bicubic of several models, with their intervals: an axis a scale, a row a model."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from srcnn_mlflow.machine.text import shortened
from srcnn_mlflow.measuring.comparison import ComparedModel
from srcnn_mlflow.showing.style import GRID, INK, QUIET, SCALE_COLOURS, quieten

CHAMPION = "champion"
# In inches, whatever the figure's height.
WIDTH, ROW, HEAD, FOOT, BETWEEN = 11.5, 0.36, 0.95, 0.8, 0.75
# Of the width: where the axes end, and the columns of what stands beside them.
RIGHT, COLUMNS = 0.6, (0.685, 0.77, 0.85, 0.925, 0.985)
HEADINGS = ("gain (dB)", "PSNR (dB)", "network", "weights", "seconds")
LONGEST_NAME, LONGEST_NETWORK = 44, 11


def draw_comparison(models: Sequence[ComparedModel], title: str, timed: str, path: Path) -> None:
    """Draw each model's gain over bicubic with its interval, those of a scale on one axis.

    Args:
        models: at least one.
        title: stands above the picture.
        timed: the size of the result that took the seconds, as `640x424`.
        path: the PNG file to write; it carries a description in words.
    """
    figure = comparison_figure(models, title, timed)
    figure.savefig(path, metadata={"Title": title, "Description": in_words(models)})


def comparison_figure(models: Sequence[ComparedModel], title: str, timed: str) -> Figure:
    """What `draw_comparison` draws, with its arguments."""
    scales = sorted({model.scale for model in models})
    height = HEAD + ROW * len(models) + BETWEEN * (len(scales) - 1) + FOOT
    figure = Figure(figsize=(WIDTH, height), dpi=110, facecolor="white")
    heading = figure.suptitle(
        title, x=0.02, y=1 - 0.16 / height, ha="left", va="top", fontsize=13, fontweight="bold"
    )
    # A data set's name may hold what would be taken for a formula.
    heading.set(parse_math=False, color=INK)
    axes = figure.subplots(len(scales), 1, squeeze=False)[:, 0]
    grouped = [[model for model in models if model.scale == scale] for scale in scales]
    for axis, of_scale in zip(axes, grouped, strict=True):
        _draw_scale(axis, of_scale)
    names = [label for axis in axes for label in axis.get_yticklabels()]
    left = 0.04 + max(name.get_window_extent().width for name in names) / figure.bbox.width
    top = HEAD
    for axis, of_scale in zip(axes, grouped, strict=True):
        lower = top + ROW * len(of_scale)
        axis.set_position((left, 1 - lower / height, RIGHT - left, (lower - top) / height))
        _write_columns(axis, of_scale)
        top = lower + BETWEEN
    note = (
        "Bars: 95 % intervals of the mean over such pictures. Filled: the champion. "
        f"Seconds: for a result of {timed} pixels on this machine."
    )
    figure.text(0.02, 0.13 / height, note, fontsize=9, color=QUIET)
    return figure


def in_words(models: Sequence[ComparedModel]) -> str:
    """The figure for those who cannot see it."""
    return "Gain over bicubic in PSNR on luma. " + " ".join(
        f"{model.name}: {_gain(model)} dB, {model.summary.srcnn_psnr:.2f} dB (bicubic "
        f"{model.summary.bicubic_psnr:.2f} dB), {model.weights:,} weights, {model.seconds:.3f} s."
        for model in models
    )


def _draw_scale(axis: Axes, models: Sequence[ComparedModel]) -> None:
    colour = SCALE_COLOURS[models[0].scale]
    for row, model in enumerate(models):
        gain, (low, high) = model.summary.psnr_gain, _ends(model)
        axis.plot([low, high], [row, row], color=colour, linewidth=1.8, solid_capstyle="butt")
        filled = CHAMPION in model.aliases
        axis.plot(
            *(gain, row, "o"),
            color=colour if filled else "white",
            markeredgecolor=colour,
            markeredgewidth=1.8,
            markersize=9,
            zorder=3,
        )
    levels = [0.0, *(end for model in models for end in _ends(model))]
    margin = 0.06 * (max(levels) - min(levels)) or 0.05
    axis.set_xlim(min(levels) - margin, max(levels) + margin)
    axis.set_ylim(len(models) - 0.5, -0.5)
    axis.set_yticks(range(len(models)), [shortened(model.name, LONGEST_NAME) for model in models])
    for label, model in zip(axis.get_yticklabels(), models, strict=True):
        label.set(parse_math=False, fontweight="bold" if CHAMPION in model.aliases else "normal")
    bicubic = models[0].summary.bicubic_psnr
    axis.set_title(
        f"x{models[0].scale}: PSNR over bicubic (dB), which has {bicubic:.2f} dB",
        fontsize=10,
        color=INK,
        loc="left",
    )
    axis.axvline(0, color="#999999", linewidth=1, zorder=1)
    axis.grid(axis="x", color=GRID, linewidth=0.8)
    quieten(axis, 9.5)


def _write_columns(axis: Axes, models: Sequence[ComparedModel]) -> None:
    """What stands in line with the rows, right of the axis."""
    place = axis.get_position()
    row_height = place.height / len(models)

    def write(cells: Sequence[str], row: float, colour: str) -> None:
        up = place.y1 - (row + 0.5) * row_height
        for across, text in zip(COLUMNS, cells, strict=True):
            axis.figure.text(
                *(across, up, text),
                ha="right",
                va="center",
                fontsize=9.5,
                color=colour,
                parse_math=False,
            )

    write(HEADINGS, -0.95, QUIET)
    for row, model in enumerate(models):
        psnr, network = model.summary.srcnn_psnr, shortened(model.architecture, LONGEST_NETWORK)
        cells = (_gain(model), f"{psnr:.2f}", network, f"{model.weights:,}", f"{model.seconds:.3f}")
        write(cells, row, INK)


def _gain(model: ComparedModel) -> str:
    return f"{model.summary.psnr_gain:+.2f}".replace("-", "\N{MINUS SIGN}")


def _ends(model: ComparedModel) -> tuple[float, float]:
    """Of the interval; the gain itself where there is one picture alone."""
    summary = model.summary
    if summary.psnr_gain_low is None or summary.psnr_gain_high is None:
        return summary.psnr_gain, summary.psnr_gain
    return summary.psnr_gain_low, summary.psnr_gain_high
