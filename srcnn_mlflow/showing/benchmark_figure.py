"""Gains over bicubic on named sets: models with their intervals beside published methods."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from srcnn_mlflow.measuring.benchmarking import Line
from srcnn_mlflow.showing.style import GRID, INK, quieten

# Colours that the colour-blind tell apart too (Okabe and Ito, 2008).
_OURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
_PUBLISHED_MARKERS = ("s", "D", "^", "v", "P", "X")
_PUBLISHED_COLOUR = "#777777"
# Of the distance between two sets, so much is taken by what was measured on one.
_SPREAD = 0.5


def draw_benchmark(lines: Sequence[Line], path: Path) -> None:
    """Draw every method's gain over bicubic, a panel a scale and a column a set.

    Args:
        lines: of `benchmark_lines`.
        path: the PNG file to write; it carries a description in words.
    """
    figure = benchmark_figure(lines)
    figure.savefig(path, metadata={"Title": _title(lines), "Description": in_words(lines)})


def benchmark_figure(lines: Sequence[Line]) -> Figure:
    """What `draw_benchmark` draws."""
    scales = sorted({line.scale for line in lines})
    sets = list(dict.fromkeys(line.dataset for line in lines))
    width = max(6.5, 1.2 + len(scales) * (1.1 + 0.95 * len(sets)))
    figure = Figure(figsize=(width, 4.9), dpi=110, facecolor="white", layout="constrained")
    axes = figure.subplots(1, len(scales), sharey=True, squeeze=False)[0]
    for axis, scale in zip(axes, scales, strict=True):
        _draw_panel(axis, [line for line in lines if line.scale == scale], sets)
        axis.set_title(f"x{scale}", fontsize=11, color=INK)
    axes[0].set_ylabel("PSNR over bicubic (dB)", fontsize=10, color=INK)
    figure.suptitle(_title(lines), fontsize=12.5, fontweight="bold", color=INK)
    handles = {
        label: handle
        for axis in axes
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        handles.values(),
        handles.keys(),
        loc="outside lower center",
        ncols=max(2, min(len(handles), int(width / 2.3))),
        frameon=False,
        title="bars: 95 % intervals over pictures",
        title_fontsize=9.5,
        fontsize=9.5,
        labelcolor=INK,
    )
    return figure


def in_words(lines: Sequence[Line]) -> str:
    """The figure for those who cannot see it."""
    return "Gain over bicubic in PSNR. " + " ".join(
        f"{line.name} on {line.dataset} x{line.scale}: {line.gain:+.2f} dB."
        for line in lines
        if line.gain is not None
    )


def _title(lines: Sequence[Line]) -> str:
    return f"Gain over bicubic on {', '.join(dict.fromkeys(line.dataset for line in lines))}"


def _draw_panel(axis: Axes, lines: Sequence[Line], sets: Sequence[str]) -> None:
    drawn = [line for line in lines if line.gain is not None]
    published = list(dict.fromkeys(line.method for line in drawn if line.published))
    ours = list(dict.fromkeys(line.method for line in drawn if not line.published))
    methods = [*published, *ours]
    for number, method in enumerate(methods):
        shift = _SPREAD * ((number + 0.5) / len(methods) - 0.5)
        of_method = [line for line in drawn if line.method == method]
        places = [sets.index(line.dataset) + shift for line in of_method]
        gains = [line.gain for line in of_method if line.gain is not None]
        if method in published:
            marker = _PUBLISHED_MARKERS[published.index(method) % len(_PUBLISHED_MARKERS)]
            axis.plot(
                *(places, gains, marker),
                color="white",
                markeredgecolor=_PUBLISHED_COLOUR,
                markersize=7,
                label=f"{method}, published",
            )
            continue
        ends = [line.gain_interval or (line.gain, line.gain) for line in of_method]
        below = [gain - end[0] for gain, end in zip(gains, ends, strict=True) if end[0] is not None]
        above = [end[1] - gain for gain, end in zip(gains, ends, strict=True) if end[1] is not None]
        axis.errorbar(
            places,
            gains,
            yerr=[below, above],
            fmt="o",
            color=_OURS[ours.index(method) % len(_OURS)],
            markersize=7.5,
            markeredgecolor="white",
            elinewidth=1.4,
            capsize=3,
            label=method,
        )
    axis.set_xticks(range(len(sets)), sets)
    axis.set_xlim(-0.6, len(sets) - 0.4)
    axis.axhline(0, color="#999999", linewidth=1)
    axis.grid(axis="y", color=GRID, linewidth=0.8)
    quieten(axis, 9.5)
