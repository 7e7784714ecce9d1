"""The figure of several models: nothing covers anything, and axes say what they are."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from PIL import Image

from srcnn_mlflow.measuring.comparison import ComparedModel
from srcnn_mlflow.measuring.evaluation import Summary
from srcnn_mlflow.showing.comparison_figure import comparison_figure, draw_comparison

BICUBIC = {2: 33.0, 3: 30.0, 4: 28.0}


def some_models(count: int, seed: int = 0) -> list[ComparedModel]:
    """Models in crowds, as challengers and champions are: equally large, nearly equally good."""
    generator = np.random.default_rng(seed)
    models = []
    for number in range(count):
        scale = 2 + number % 3
        psnr = BICUBIC[scale] + 3 / scale + generator.normal(scale=0.05)
        architecture, weights = (("9-5-5", 57_281), ("9-1-5", 8_129))[int(generator.integers(2))]
        summary = Summary(BICUBIC[scale], psnr, psnr - BICUBIC[scale], 0.9, 0.92, 0.02, 20.0, 5)
        seconds = weights / 400_000 + generator.uniform(0, 0.005)
        models.append(
            ComparedModel(
                f"srcnn-x{scale}/{number}", (), scale, architecture, weights, summary, seconds
            )
        )
    return models


def drawn(models: list[ComparedModel]) -> Figure:
    figure = comparison_figure(models, "title", "640x424")
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    return figure


@pytest.mark.parametrize(("count", "seed"), [(1, 0), (2, 0), (6, 1), (6, 2), (15, 3)])
def test_labels_cover_neither_each_other_nor_points_nor_lines(count: int, seed: int) -> None:
    figure = drawn(some_models(count, seed))
    assert len(figure.axes) == 2
    for axis in figure.axes:
        labels = [text for text in axis.texts if isinstance(text, Annotation)]
        assert len(labels) == count
        boxes = [Text.get_window_extent(label) for label in labels]
        for one, other in combinations(boxes, 2):
            assert not one.overlaps(other)
        panel = axis.get_window_extent()
        for box in boxes:
            assert panel.x0 <= box.x0 <= box.x1 <= panel.x1
            assert not any(box.overlaps(line.get_window_extent()) for line in axis.lines)


def test_points_stand_at_what_was_measured_in_the_colour_of_their_bicubic_line() -> None:
    models = some_models(6)
    size, time = drawn(models).axes
    for axis, places in (
        (size, [model.weights for model in models]),
        (time, [model.seconds for model in models]),
    ):
        points = [line for line in axis.lines if len(line.get_xydata()) == 1]  # type: ignore[arg-type]
        found = {tuple(np.ravel(line.get_xydata())): line.get_color() for line in points}
        levels = {
            line.get_color(): float(np.asarray(line.get_ydata())[0])
            for line in axis.lines
            if line not in points
        }
        for model, place in zip(models, places, strict=True):
            colour = found[place, model.summary.srcnn_psnr]
            assert levels[colour] == BICUBIC[model.scale]
        assert len({line.get_marker() for line in points}) == 3


def test_axes_have_units_and_time_begins_at_nothing() -> None:
    size, time = drawn(some_models(6)).axes
    assert size.get_xscale() == "log"
    assert "log scale" in size.get_xlabel()
    assert size.get_ylabel() == "PSNR on luma (dB)"
    assert time.get_xlim()[0] == 0
    assert time.get_xlabel() == "seconds to enlarge a photograph to 640x424 pixels"


def test_the_file_tells_what_it_shows_in_words(tmp_path: Path) -> None:
    models = some_models(2)
    draw_comparison(
        models, "on $\\nothing$ and \u043b\u0435\u0441", "640x424", tmp_path / "figure.png"
    )
    with Image.open(tmp_path / "figure.png") as picture:
        assert picture.size[0] > 1200
        words = picture.info["Description"]
    for model in models:
        assert f"{model.label}: {model.weights:,} weights" in words
        assert f"{model.summary.srcnn_psnr:.2f} dB (bicubic" in words
