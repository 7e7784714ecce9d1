"""How a study's settings learned: validation PSNR over bicubic against time, a curve a setting."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from srcnn_mlflow.measuring.study_results import SettingResult
from srcnn_mlflow.showing.style import GRID, INK, quieten

# Okabe and Ito, 2008: told apart by the colour-blind too; more settings take other strokes.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_STROKES = ("-", (0, (5, 2)), (0, (1, 1.2)))
# Above the start of a training, where all curves are steep, the differences begin.
_SHOWN_FROM = 0.15


def draw_curves(results: Sequence[SettingResult], title: str, path: Path) -> None:
    """Draw the curve of each setting's seeds, and their average.

    Args:
        results: of a study; at least one setting has a seed.
        title: stands above the picture.
        path: the PNG file to write; it carries a description in words.
    """
    figure = curves_figure(results, title)
    figure.savefig(path, metadata={"Title": title, "Description": in_words(results)})


def curves_figure(results: Sequence[SettingResult], title: str) -> Figure:
    """What `draw_curves` draws, with its arguments."""
    trained = [one for one in results if one.seeds]
    figure = Figure(figsize=(9.2, 5.4), dpi=110, facecolor="white", layout="constrained")
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.set(w_pad=0.12, h_pad=0.14)  # type: ignore[call-arg]
    axis = figure.subplots()
    longest = max(seed.curve[-1][0] for one in trained for seed in one.seeds)
    unit, name = (60.0, "minutes") if longest > 120 else (1.0, "seconds")
    handles = [
        (_end(one), _draw_setting(axis, one, place, unit)) for place, one in enumerate(trained)
    ]
    axis.set_xlim(0, 1.02 * longest / unit)
    axis.set_ylim(*_limits(trained))
    axis.set_xlabel(f"{name} of training", fontsize=10, color=INK, labelpad=8)
    axis.set_ylabel(
        "PSNR over bicubic (dB), on validation pictures", fontsize=10, color=INK, labelpad=8
    )
    axis.grid(color=GRID, linewidth=0.8)
    quieten(axis, 9.5)
    axis.spines["bottom"].set(visible=True, color="#999999")
    heading = axis.set_title(title, loc="left", fontsize=12.5, fontweight="bold", pad=14)
    heading.set(parse_math=False, color=INK)
    # In the order in which the curves end, so that the eye finds them.
    ordered = [handle for _, handle in sorted(handles, key=lambda one: -one[0])]
    legend = axis.legend(
        handles=ordered,
        loc="upper left",
        bbox_to_anchor=(1.02, 1.0),
        borderaxespad=0,
        frameon=False,
        fontsize=9.5,
        labelcolor=INK,
        handlelength=2.2,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def in_words(results: Sequence[SettingResult]) -> str:
    """The figure for those who cannot see it."""
    return "PSNR over bicubic on validation pictures against time of training. " + " ".join(
        f"{one.name}: {_end(one):+.2f} dB at the end, after {_seconds(one):,.0f} s."
        for one in results
        if one.seeds
    )


def _draw_setting(axis: Axes, one: SettingResult, place: int, unit: float) -> Line2D:
    colour = _COLOURS[place % len(_COLOURS)]
    stroke = _STROKES[place // len(_COLOURS) % len(_STROKES)]
    if len(one.seeds) > 1:
        for seed in one.seeds:
            of_seed = np.array(seed.curve)
            axis.plot(of_seed[:, 0] / unit, of_seed[:, 1], color=colour, linewidth=0.8, alpha=0.35)
    seconds, gains = average_curve([seed.curve for seed in one.seeds])
    marker = "o" if len(gains) == 1 else None
    (line,) = axis.plot(
        np.array(seconds) / unit, gains, color=colour, linestyle=stroke, linewidth=2, marker=marker
    )
    line.set_label(one.name)
    return line


def average_curve(
    curves: Sequence[Sequence[tuple[float, float]]],
) -> tuple[list[float], list[float]]:
    """The mean of several curves, at as many places along each as the shortest has.

    Args:
        curves: seconds and decibels, an item an epoch.

    Returns:
        The mean seconds and the mean decibels of the epochs that are equally far along.

    >>> average_curve([[(1, 2.0), (2, 3.0)], [(3, 4.0), (4, 5.0)]])
    ([2.0, 3.0], [3.0, 4.0])
    """
    count = min(len(curve) for curve in curves)
    taken = [
        [curve[-(-number * len(curve) // count) - 1] for number in range(1, count + 1)]
        for curve in curves
    ]
    means = np.mean(np.array(taken, dtype=float), axis=0)
    return means[:, 0].tolist(), means[:, 1].tolist()


def _end(one: SettingResult) -> float:
    return average_curve([seed.curve for seed in one.seeds])[1][-1]


def _seconds(one: SettingResult) -> float:
    return sum(seed.curve[-1][0] for seed in one.seeds) / len(one.seeds)


def _limits(trained: Sequence[SettingResult]) -> tuple[float, float]:
    """From where the last curve has left the steep beginning behind, to the highest of all."""
    everything = [seed.curve for one in trained for seed in one.seeds]
    highest = max(gain for curve in everything for _, gain in curve)
    late = [
        gain
        for curve in everything
        for seconds, gain in curve
        if seconds >= _SHOWN_FROM * curve[-1][0]
    ]
    margin = 0.06 * (highest - min(late)) or 0.05
    return min(late) - margin, highest + margin
