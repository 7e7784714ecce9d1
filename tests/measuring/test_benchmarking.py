from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from srcnn_mlflow.measuring.benchmarking import (
    Line,
    Measured,
    benchmark_lines,
    benchmark_table,
    describe_distance,
    sources,
)
from srcnn_mlflow.measuring.evaluation import ImageScore
from srcnn_mlflow.measuring.intervals import mean_interval


def score(bicubic: float, srcnn: float, ssim: float = 0.9299) -> ImageScore:
    return ImageScore("one.png", bicubic, srcnn, ssim, 0.95, 1.0, 0.5)


def measured(dataset: str = "set5", scale: int = 2, model: str = "srcnn-x2/1") -> Measured:
    scores = (score(33.0, 36.0), score(34.32, 37.5))
    return Measured(dataset, scale, model, scores, 2)


def test_one_picture_has_no_interval() -> None:
    assert mean_interval([1.0]) is None


def test_equal_pictures_have_an_interval_of_no_width() -> None:
    assert mean_interval([2.0, 2.0, 2.0]) == (2.0, 2.0)


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=40))
def test_the_interval_is_student_s(values: list[float]) -> None:
    interval = mean_interval(values)
    assert interval is not None
    spread = stats.sem(values)
    if spread > 1e-9:
        expected = stats.t.interval(0.95, len(values) - 1, np.mean(values), spread)
        assert interval == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_a_set_has_bicubic_first_and_then_the_methods_from_the_worst() -> None:
    lines = benchmark_lines([measured()])
    assert {lines[0].method, lines[1].method} == {"bicubic"}
    assert [(line.method, line.published) for line in lines[2:]] == [
        ("SRCNN 9-1-5", True),
        ("SRCNN 9-5-5", True),
        ("srcnn-x2/1", False),
        ("FSRCNN", True),
        ("VDSR", True),
    ]
    ours = lines[4]
    assert ours.psnr == pytest.approx(36.75)
    assert ours.gain == pytest.approx(3.09)
    assert ours.gain_interval is not None
    assert ours.gain_interval[0] < 3.0 < 3.18 < ours.gain_interval[1]
    by_papers = lines[3]
    assert by_papers.gain == pytest.approx(36.66 - 33.66)
    assert by_papers.gain_interval is None


def test_two_models_share_the_line_of_bicubic() -> None:
    lines = benchmark_lines([measured(), measured(model="srcnn-x2/2")])
    assert [line.method for line in lines if not line.published] == [
        "bicubic",
        "srcnn-x2/1",
        "srcnn-x2/2",
    ]


def test_a_set_of_which_nothing_is_published_has_only_what_was_measured() -> None:
    lines = benchmark_lines([measured("t91")])
    assert [line.method for line in lines] == ["bicubic", "srcnn-x2/1"]
    assert "Nothing is published" in describe_distance(lines)
    assert not list(sources(lines))


def test_the_table_names_what_is_published() -> None:
    table = benchmark_table(benchmark_lines([measured()]))
    assert "| set5 | x2    | SRCNN 9-5-5, published |     36.66 | 0.9542 |" in table
    assert table.count("\n") == 8


def test_bicubic_near_to_the_papers_proves_the_protocol() -> None:
    lines = benchmark_lines([measured()])
    assert "is within 0.000 dB and 0.0000 SSIM of every published average" in describe_distance(
        lines
    )


@pytest.mark.parametrize(("psnr", "ssim"), [(33.70, 0.9299), (33.62, 0.9299), (33.66, 0.9366)])
def test_bicubic_far_from_the_papers_is_said(psnr: float, ssim: float) -> None:
    lines = [
        replace(line, psnr=psnr, ssim=ssim)
        if line.method == "bicubic" and not line.published
        else line
        for line in benchmark_lines([measured()])
    ]
    assert "so other figures do not compare with theirs either" in describe_distance(lines)


def test_every_published_line_has_its_source() -> None:
    lines: list[Line] = benchmark_lines([measured()])
    named = [sentence.split(":")[0] for sentence in sources(lines)]
    assert named == ["bicubic", "SRCNN 9-1-5", "SRCNN 9-5-5", "FSRCNN", "VDSR"]
