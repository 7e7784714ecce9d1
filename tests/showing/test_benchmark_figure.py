from pathlib import Path

from matplotlib.collections import LineCollection
from PIL import Image

from srcnn_mlflow.measuring.benchmarking import Line
from srcnn_mlflow.showing.benchmark_figure import benchmark_figure, draw_benchmark

LINES = [
    Line("set5", scale, method, published, 30.0, 0.9, gain, None, interval)
    for scale in (2, 4)
    for method, published, gain, interval in (
        ("bicubic", False, None, None),
        ("VDSR", True, 3.9, None),
        ("srcnn $x$/1", False, 3.0, (2.0, 4.0)),
    )
]


def test_a_panel_a_scale_shares_one_axis() -> None:
    panels = benchmark_figure(LINES).axes
    assert [axis.get_title() for axis in panels] == ["x2", "x4"]
    assert panels[0].get_ylim() == panels[1].get_ylim()
    assert [label.get_text() for label in panels[0].get_xticklabels()] == ["set5"]


def test_bars_reach_to_the_ends_of_the_intervals() -> None:
    (axis, _) = benchmark_figure(LINES).axes
    (bars,) = (one for one in axis.collections if isinstance(one, LineCollection))
    ((_, low), (_, high)) = bars.get_segments()[0]
    assert (low, high) == (2.0, 4.0)


def test_the_file_says_in_words_what_it_shows(tmp_path: Path) -> None:
    draw_benchmark(LINES, tmp_path / "figure.png")
    with Image.open(tmp_path / "figure.png") as image:
        assert "VDSR, published on set5 x4: +3.90 dB." in image.info["Description"]
        assert image.info["Title"] == "Gain over bicubic on set5"
