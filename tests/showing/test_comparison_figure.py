"""The figure of several models: each one's gain, on the axis of its scale."""

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
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


@pytest.mark.parametrize("count", [1, 2, 7])
def test_every_model_has_a_row_on_the_axis_of_its_scale(count: int) -> None:
    models = some_models(count)
    axes = drawn(models).axes
    scales = sorted({model.scale for model in models})
    assert len(axes) == len(scales)
    for axis, scale in zip(axes, scales, strict=True):
        of_scale = [model for model in models if model.scale == scale]
        assert [label.get_text() for label in axis.get_yticklabels()] == [
            model.name for model in of_scale
        ]
        points = [line for line in axis.lines if line.get_marker() == "o"]
        assert [np.ravel(line.get_xydata()).tolist() for line in points] == [
            [model.summary.psnr_gain, row] for row, model in enumerate(of_scale)
        ]
        assert f"which has {BICUBIC[scale]:.2f} dB" in axis.get_title(loc="left")
        # What bicubic has, which is no gain, is in sight.
        assert axis.get_xlim()[0] < 0


def test_a_gain_has_its_interval_and_the_champion_is_marked() -> None:
    first, second = some_models(4)[::3]
    summary = replace(first.summary, psnr_gain_low=1.0, psnr_gain_high=2.25)
    (axis,) = drawn([replace(first, aliases=("champion",), summary=summary), second]).axes
    bars = [line.get_xdata() for line in axis.lines if line.get_marker() == "None"]
    assert [1.0, 2.25] in [list(np.asarray(bar)) for bar in bars]
    marked, other = (line for line in axis.lines if line.get_marker() == "o")
    assert marked.get_markerfacecolor() == marked.get_markeredgecolor()
    assert other.get_markerfacecolor() == "white"
    assert [label.get_fontweight() for label in axis.get_yticklabels()] == ["bold", "normal"]


def test_texts_cover_neither_each_other_nor_the_edges() -> None:
    models = some_models(7, 2)
    long = replace(models[0], label="models:/a-name-that-is-much-longer-than-any-other-is/12")
    figure = drawn([long, *models[1:]])
    labels = [text for axis in figure.axes for text in axis.get_yticklabels()]
    boxes = [text.get_window_extent() for text in [*labels, *figure.texts]]
    for one, other in combinations(boxes, 2):
        assert not one.overlaps(other)
    for box in boxes:
        assert 0 <= box.x0 <= box.x1 <= figure.bbox.width
        assert not any(box.overlaps(axis.get_window_extent()) for axis in figure.axes)


def test_the_file_tells_what_it_shows_in_words(tmp_path: Path) -> None:
    models = some_models(2)
    draw_comparison(
        models, "on $\\nothing$ and \u043b\u0435\u0441", "640x424", tmp_path / "figure.png"
    )
    with Image.open(tmp_path / "figure.png") as picture:
        assert picture.size[0] > 1200
        words = picture.info["Description"]
    for model in models:
        assert f"{model.label}: +{model.summary.psnr_gain:.2f} dB, " in words
        assert f"{model.summary.srcnn_psnr:.2f} dB (bicubic" in words
        assert f"{model.weights:,} weights" in words
