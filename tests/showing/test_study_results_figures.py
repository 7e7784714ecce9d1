"""The two figures of a study show what was measured, and nothing covers anything."""

from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from PIL import Image

from srcnn_mlflow.measuring.study_results import SeedResult, SettingResult
from srcnn_mlflow.showing.curves_figure import average_curve, curves_figure, draw_curves
from srcnn_mlflow.showing.frontier_figure import draw_frontier, frontier_figure


def setting(
    name: str, cost: int, psnr: float, seeds: int = 3, published: float | None = None
) -> SettingResult:
    generator = np.random.default_rng(cost + seeds)
    results = []
    for seed in range(seeds):
        tested = psnr + 0.02 * float(generator.normal())
        seconds = np.linspace(30, 600 + seed, 20)
        gains = (tested - 30) * (1 - np.exp(-seconds / 100))
        curve = tuple(zip(seconds.tolist(), gains.tolist(), strict=True))
        results.append(
            SeedResult(seed, "run", tested - 1, 0.8, tested, 0.9, 20, 9000, 600.0, curve)
        )
    return SettingResult(name, {}, cost + 97, cost, published, "a paper", tuple(results))


CROWD = [
    setting("9-1-5", 8032, 32.57, published=32.52),
    setting("9-1-1-5:64-32-16", 8144, 32.55),
    setting("9-1-1-5", 9056, 32.57),
    setting("9-3-1-5", 25440, 32.75),
    setting("9-5-1-5", 58208, 32.7),
]
ALIKE = [replace(one, multiply_adds=57184) for one in CROWD]


def drawn(results: list[SettingResult]) -> Figure:
    figure = frontier_figure(results, "title", "set5 test", True)
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    return figure


def inside(figure: Figure) -> None:
    """Every text that is shown lies on the picture; numbers along axes are Matplotlib's."""
    whole = figure.bbox
    (axis,) = figure.axes
    numbers = [*axis.get_xticklabels(), *axis.get_yticklabels()]
    numbers = [label for label in numbers if label.get_text()[-1:].isdigit()]
    for text in figure.findobj(Text):
        if text.get_text() and text.get_visible() and text not in numbers:
            box = text.get_window_extent()
            assert whole.x0 <= box.x0 <= box.x1 <= whole.x1, text
            assert whole.y0 <= box.y0 <= box.y1 <= whole.y1, text


@pytest.mark.parametrize("results", [CROWD, CROWD[:1] + CROWD[3:], CROWD[:2]])
def test_labels_cover_neither_each_other_nor_points_nor_the_frontier(
    results: list[SettingResult],
) -> None:
    figure = drawn(results)
    (axis,) = figure.axes
    labels = [text for text in axis.texts if isinstance(text, Annotation)]
    assert [label.get_text() for label in labels] == [one.name for one in results]
    boxes = [Text.get_window_extent(label) for label in labels]
    for one, other in combinations(boxes, 2):
        assert not one.overlaps(other)
    frontier = next(one for one in axis.collections if isinstance(one, LineCollection))
    (corners,) = frontier.get_segments()
    for box in boxes:
        assert not any(box.overlaps(line.get_window_extent()) for line in axis.lines)
        for start, end in pairwise(corners):
            for share in np.linspace(0, 1, 200):
                point = axis.transData.transform(start + share * (end - start))
                assert not box.contains(*point)
    inside(figure)


def test_points_stand_at_mean_and_cost_and_the_frontier_leads_through_the_best() -> None:
    (axis,) = drawn(CROWD).axes
    shown = {
        (float(np.ravel(line.get_xdata())[0]), float(np.ravel(line.get_ydata())[0]))
        for line in axis.lines
    }
    for one in CROWD:
        assert one.test is not None
        assert (one.multiply_adds, one.test.mean) in shown
    assert (8032, 32.52) in shown
    frontier = next(one for one in axis.collections if isinstance(one, LineCollection))
    corners = [tuple(corner) for corner in frontier.get_segments()[0].tolist()]
    best = [(one.multiply_adds, one.test.mean) for one in CROWD if one.test is not None]
    assert corners[0] == best[0]
    # What costs more than the best of all leaves it as it is.
    assert corners[-2:] == [best[3], (58208, best[3][1])]
    assert axis.get_ylabel() == "PSNR on set5 test (dB)"


def test_networks_of_one_cost_stand_below_each_other() -> None:
    figure = drawn(ALIKE)
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == [one.name for one in ALIKE]
    low, high = axis.get_ylim()
    assert low > high, "the first setting has to stand above the others"
    assert axis.get_xlabel() == "PSNR on set5 test (dB)"
    inside(figure)


def test_validation_pictures_have_nothing_published() -> None:
    figure = frontier_figure(CROWD, "title", "t91 valid", False)
    (axis,) = figure.axes
    levels = [float(np.ravel(line.get_ydata())[0]) for line in axis.lines]
    assert 32.52 not in levels
    assert max(levels) < 32


@pytest.mark.parametrize("results", [CROWD, ALIKE, [setting("a", 9, 30.0, seeds=1)]])
def test_curves_end_where_the_trainings_end(results: list[SettingResult]) -> None:
    figure = curves_figure(results, "title")
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    (axis,) = figure.axes
    legend = axis.get_legend()
    assert legend is not None
    named = {line.get_label(): line for line in axis.lines}
    for one in results:
        _, gains = average_curve([seed.curve for seed in one.seeds])
        assert float(np.asarray(named[one.name].get_ydata())[-1]) == pytest.approx(gains[-1])
    order = [text.get_text() for text in legend.get_texts()]
    ends = [float(np.asarray(named[name].get_ydata())[-1]) for name in order]
    assert ends == sorted(ends, reverse=True)
    assert axis.get_xlim()[0] == 0
    assert axis.get_xlabel() == "minutes of training"
    inside(figure)


def test_a_training_of_one_epoch_is_a_point() -> None:
    one = setting("a", 9, 30.5, seeds=1)
    (seed,) = one.seeds
    short = replace(one, seeds=(replace(seed, curve=((1.5, 0.25),)),))
    (axis,) = curves_figure([short], "title").axes
    (line,) = axis.lines
    assert line.get_marker() == "o"
    assert axis.get_xlabel() == "seconds of training"


def test_curves_of_other_lengths_are_averaged_where_they_are_equally_far() -> None:
    long = [(float(number), float(number)) for number in range(1, 21)]
    short = [(2.0 * number, 2.0 * number) for number in range(1, 11)]
    seconds, gains = average_curve([long, short])
    assert seconds == gains == [2.0 * number for number in range(1, 11)]


def test_the_files_say_in_words_what_they_show(tmp_path: Path) -> None:
    title = "Study $x$ \N{CYRILLIC SMALL LETTER EL}"
    odd = [setting("b $x$", 100, 30.0), setting("c", 200, 31.0, published=31.5)]
    draw_frontier(odd, title, "my $set$ test", True, tmp_path / "frontier.png")
    draw_curves(odd, title, tmp_path / "curves.png")
    with Image.open(tmp_path / "frontier.png") as image:
        assert image.info["Title"] == title
        assert "b $x$: 100, 30." in image.info["Description"]
        assert "(published: 31.50)" in image.info["Description"]
        assert "best for what they cost: b $x$, c." in image.info["Description"]
        assert image.width > 900
    with Image.open(tmp_path / "curves.png") as image:
        assert "c: +1.0" in image.info["Description"]
