"""PSNR of a study's settings against what their networks cost, with the best of every cost."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator
from matplotlib.transforms import Bbox

from srcnn_mlflow.measuring.seeds import Spread
from srcnn_mlflow.measuring.study_results import SettingResult, frontier
from srcnn_mlflow.showing.labels import place_labels
from srcnn_mlflow.showing.style import GRID, INK, quieten

# Of Okabe and Ito, 2008, which the colour-blind tell apart too; what is published is grey.
_OURS, _PUBLISHED, _FRONTIER = "#0072B2", "#777777", "#9db8c9"
_MARKER = 8.5


@dataclass(frozen=True)
class _Point:
    """A setting that was measured."""

    name: str
    cost: int
    spread: Spread
    published: float | None


def draw_frontier(
    results: Sequence[SettingResult], title: str, pictures: str, of_test: bool, path: Path
) -> None:
    """Draw each setting's mean, its seeds and what papers state, over its multiply-adds.

    Where all networks cost the same, settings stand below each other instead.

    Args:
        results: of a study; at least one setting was measured.
        title: stands above the picture.
        pictures: names those that PSNR was measured on.
        of_test: whether these are the test pictures, and not those of the validation.
        path: the PNG file to write; it carries a description in words.
    """
    figure = frontier_figure(results, title, pictures, of_test)
    figure.savefig(path, metadata={"Title": title, "Description": in_words(results, of_test)})


def frontier_figure(
    results: Sequence[SettingResult], title: str, pictures: str, of_test: bool
) -> Figure:
    """What `draw_frontier` draws, with its arguments."""
    points = _points(results, of_test)
    by_cost = len({point.cost for point in points}) > 1
    height = 5.4 if by_cost else 2.2 + 0.42 * len(points)
    figure = Figure(figsize=(9.2, height), dpi=110, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    axis = figure.subplots()
    # In inches, whatever the height: the title and the legend above, an axis below.
    top, bottom = 1 - 0.92 / height, 0.68 / height
    figure.subplots_adjust(left=0.095, right=0.975, top=top, bottom=bottom)
    what = f"PSNR on {pictures} (dB)"
    if by_cost:
        _draw_over_cost(axis, points)
        axis.set_ylabel(what, fontsize=10, color=INK, labelpad=8, parse_math=False)
    else:
        _draw_below_each_other(axis, points)
        axis.set_xlabel(what, fontsize=10, color=INK, labelpad=8, parse_math=False)
        title = f"{title}, each of {points[0].cost:,} multiply-adds a pixel"
    quieten(axis, 9.5)
    axis.spines["bottom"].set(visible=True, color="#999999")
    if not by_cost:
        longest = max(label.get_window_extent().width for label in axis.get_yticklabels())
        figure.subplots_adjust(left=0.03 + longest / figure.bbox.width)
    left = axis.get_position().x0 if by_cost else 0.02
    heading = figure.suptitle(
        title, x=left, y=1 - 0.2 / height, ha="left", va="top", fontsize=12.5, fontweight="bold"
    )
    heading.set(parse_math=False, color=INK)
    figure.legend(
        handles=_handles(points, by_cost),
        loc="upper left",
        bbox_to_anchor=(left - 0.008, 1 - 0.48 / height),
        ncols=4,
        frameon=False,
        fontsize=9.5,
        labelcolor=INK,
        handletextpad=0.5,
        columnspacing=1.6,
        borderpad=0,
    )
    if by_cost:
        renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]
        place_labels(axis, renderer, list(_drawn_lines(axis)))
    return figure


def in_words(results: Sequence[SettingResult], of_test: bool) -> str:
    """The figure for those who cannot see it."""
    points = _points(results, of_test)
    best = [points[place].name for place in _frontier(points)]
    return (
        "PSNR on luma against multiply-adds for a pixel. "
        + " ".join(
            f"{point.name}: {point.cost:,}, {point.spread} dB"
            + ("." if point.published is None else f" (published: {point.published:.2f}).")
            for point in points
        )
        + f" The best for what they cost: {', '.join(best)}."
    )


def _points(results: Sequence[SettingResult], of_test: bool) -> list[_Point]:
    measured = [(one, one.test if of_test else one.valid) for one in results]
    return [
        _Point(one.name, one.multiply_adds, spread, one.published if of_test else None)
        for one, spread in measured
        if spread is not None
    ]


def _frontier(points: Sequence[_Point]) -> list[int]:
    return frontier([(point.cost, point.spread.mean) for point in points])


def _draw_over_cost(axis: Axes, points: Sequence[_Point]) -> None:
    costs = [point.cost for point in points]
    axis.set_xscale("log")
    # Labels stand to the sides of the outermost points.
    spare = (max(costs) / min(costs)) ** 0.22
    axis.set_xlim(min(costs) / spare, max(costs) * spare)
    shown = _apart(sorted(set(costs)), max(costs) / min(costs))
    axis.set_xticks(shown, [f"{cost:,}" for cost in shown])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel("multiply-adds a pixel (log scale)", fontsize=10, color=INK, labelpad=8)
    axis.grid(color=GRID, linewidth=0.8)
    best = [points[place] for place in _frontier(points)]
    corners = [(float(point.cost), point.spread.mean) for point in best]
    # What costs more and is no better does not lift it.
    corners.append((float(max(costs)), corners[-1][1]))
    axis.add_collection(LineCollection([corners], colors=_FRONTIER, linewidths=2, zorder=1))
    for point in points:
        place, spread = point.cost, point.spread
        _draw_seeds(axis, [place] * len(spread.values), spread.values)
        if spread.deviation is not None:
            ends = [
                (place, spread.mean - spread.deviation),
                (place, spread.mean + spread.deviation),
            ]
            axis.add_collection(LineCollection([ends], colors=_OURS, linewidths=1.5, zorder=2.5))
        _draw_mean(axis, place, spread.mean)
        if point.published is not None:
            _draw_published(axis, place, point.published)
        axis.annotate(
            point.name,
            (place, spread.mean),
            xytext=(0, 0),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=9.5,
            color=INK,
            arrowprops={"arrowstyle": "-", "color": _OURS, "linewidth": 0.8, "shrinkA": 0},
        ).set_parse_math(False)
    axis.set_ylim(*_limits(points))


def _drawn_lines(axis: Axes) -> Iterator[Bbox]:
    """Boxes along the frontier and along the bars, in pixels."""
    for lines in axis.collections:
        for segment in lines.get_segments() if isinstance(lines, LineCollection) else ():
            corners = axis.transData.transform(segment)
            for start, end in pairwise(corners):
                for share in np.linspace(0, 1, 2 + int(np.abs(end - start).max() / 4)):
                    across, up = start + share * (end - start)
                    yield Bbox.from_bounds(across - 2, up - 2, 4, 4)


def _apart(costs: Sequence[int], ratio: float) -> list[int]:
    """Those of some costs whose labels do not touch each other on a logarithmic axis."""
    shown = [costs[0]]
    for cost in costs[1:]:
        if cost / shown[-1] > ratio**0.1:
            shown.append(cost)
    return shown


def _draw_below_each_other(axis: Axes, points: Sequence[_Point]) -> None:
    for row, point in enumerate(points):
        spread = point.spread
        _draw_seeds(axis, spread.values, [row] * len(spread.values))
        if spread.deviation is not None:
            ends = [(spread.mean - spread.deviation, row), (spread.mean + spread.deviation, row)]
            axis.add_collection(LineCollection([ends], colors=_OURS, linewidths=1.5, zorder=2.5))
        _draw_mean(axis, spread.mean, row)
        if point.published is not None:
            _draw_published(axis, point.published, row)
    axis.axvline(points[0].spread.mean, color=_FRONTIER, linewidth=2, zorder=1)
    axis.set_yticks(range(len(points)), [point.name for point in points])
    for label in axis.get_yticklabels():
        label.set_parse_math(False)
    axis.set_ylim(len(points) - 0.4, -0.6)
    axis.set_xlim(*_limits(points))
    axis.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
    axis.grid(color=GRID, linewidth=0.8)


def _draw_seeds(axis: Axes, across: Sequence[float], up: Sequence[float]) -> None:
    if len(across) > 1:
        axis.scatter(across, up, s=14, color=_OURS, alpha=0.45, linewidths=0, zorder=2)


def _draw_mean(axis: Axes, across: float, up: float) -> None:
    axis.plot(across, up, "o", color=_OURS, markersize=_MARKER, markeredgecolor="white", zorder=3)


def _draw_published(axis: Axes, across: float, up: float) -> None:
    axis.plot(
        *(across, up, "s"),
        color="white",
        markeredgecolor=_PUBLISHED,
        markersize=7,
        zorder=2.8,
    )


def _limits(points: Sequence[_Point]) -> tuple[float, float]:
    levels = [
        level
        for point in points
        for level in (
            *point.spread.values,
            point.spread.mean - (point.spread.deviation or 0),
            point.spread.mean + (point.spread.deviation or 0),
            *([] if point.published is None else [point.published]),
        )
    ]
    margin = 0.12 * (max(levels) - min(levels)) or 0.05
    return min(levels) - margin, max(levels) + margin


def _handles(points: Sequence[_Point], by_cost: bool) -> list[Line2D]:
    several = any(point.spread.deviation is not None for point in points)
    what = "mean \N{PLUS-MINUS SIGN} standard deviation of seeds" if several else "one seed"
    handles = [_mark(what, marker="o", color=_OURS, markersize=_MARKER)]
    if several:
        handles.append(_mark("a seed", marker="o", color=_OURS, alpha=0.45, markersize=4))
    if any(point.published is not None for point in points):
        handles.append(
            _mark("published", marker="s", color="white", markeredgecolor=_PUBLISHED, markersize=7)
        )
    line = "frontier: none as cheap is better" if by_cost else "the first setting"
    handles.append(Line2D([], [], color=_FRONTIER, linewidth=2, label=line))
    return handles


def _mark(label: str, **how: object) -> Line2D:
    given = {"markeredgecolor": "white", "linestyle": "none", **how}
    return Line2D([], [], label=label, **given)  # type: ignore[arg-type]
