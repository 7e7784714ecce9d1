"""What each choice is worth: the steps sum to the distance, whatever the pictures."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from srcnn_mlflow.measuring import metrics
from srcnn_mlflow.measuring.ledger import Tally
from srcnn_mlflow.measuring.protocols import NAMED, OURS, Protocol
from srcnn_mlflow.measuring.scoring import Bench, Mark, Subject, average
from srcnn_mlflow.pictures import imaging
from tests.measuring.test_protocols import SAMPLES, by_pillow
from tests.photographs import CHELSEA


def tally_of(subject: Subject) -> Tally:
    tally = Tally(subject, list(NAMED.values()))
    for original in SAMPLES:
        tally.add(Bench(original, 2, by_pillow(original, 2)))
    return tally


@pytest.fixture(scope="module")
def results() -> Tally:
    return tally_of(Subject.RESULT)


@pytest.fixture(scope="module")
def bicubic() -> Tally:
    return tally_of(Subject.BICUBIC)


@pytest.mark.parametrize("name", NAMED)
def test_steps_sum_to_the_distance(name: str, results: Tally, bicubic: Tally) -> None:
    for tally in (results, bicubic):
        way, ours = tally.way(NAMED[name]), tally.average(OURS)
        assert way is not None
        assert ours is not None
        assert way.start == ours
        assert way.end == tally.average(NAMED[name])
        psnr = [step.psnr for step in way.steps if step.psnr is not None]
        assert sum(psnr) == pytest.approx(way.end.psnr - ours.psnr, abs=1e-9)
        assert way.sum.psnr == pytest.approx(sum(psnr), abs=1e-9)
        if way.end.ssim is not None:
            assert ours.ssim is not None
            ssim = [step.ssim for step in way.steps if step.ssim is not None]
            assert sum(ssim) == pytest.approx(way.end.ssim - ours.ssim, abs=1e-9)
        assert len({step.choice for step in way.steps}) == len(way.steps)


def test_the_way_to_this_projects_own_protocol_has_no_steps(results: Tally) -> None:
    way = results.way(OURS)
    assert way is not None
    assert way.steps == ()
    assert way.sum.psnr == 0


def test_a_choice_of_making_changes_no_finished_result(results: Tally, bicubic: Tally) -> None:
    made = {step.choice for step in bicubic.one_at_a_time()}
    measured = {step.choice for step in results.one_at_a_time()}
    assert measured < made
    assert {choice.split()[0] for choice in made - measured} == {"bicubic", "small", "both"}
    assert results.average(replace(OURS, kept="nothing")) == results.average(OURS)


def test_one_at_a_time_is_what_the_choice_does_by_itself(results: Tally) -> None:
    steps = {step.choice: step for step in results.one_at_a_time()}
    planes = [
        (
            imaging.mod_crop(imaging.luma(Image.fromarray(one)), 2),
            imaging.luma(Image.fromarray(by_pillow(one, 2))),
        )
        for one in SAMPLES
    ]
    ours, bare = (np.mean([metrics.psnr(*pair, border) for pair in planes]) for border in (2, 0))
    assert steps["no border left out"].psnr == pytest.approx(bare - ours, abs=1e-9)
    ssims = [metrics.ssim(*pair, 2) for pair in planes]
    assert results.average(OURS) == average_of(float(ours), float(np.mean(ssims)))
    assert steps["SSIM in flat windows of 7x7"].psnr == 0
    assert steps["peak: the range of the original"].ssim == 0


def test_opencv_and_the_kernel_without_antialias_are_worth_what_they_are(bicubic: Tally) -> None:
    worth = {step.choice: step.psnr for step in bicubic.one_at_a_time()}
    away = worth["bicubic of OpenCV (a = -0.75, no antialias)"]
    assert away is not None
    assert 0.1 < abs(away) < 3
    near = worth["bicubic of MATLAB (mirrored edges)"]
    assert near is not None
    assert abs(near) < 0.02


@given(
    errors=st.lists(st.floats(0.1, 5000), min_size=1, max_size=6),
    levels=st.integers(1, 10**6),
)
def test_the_mean_error_scores_no_higher_than_the_mean_of_decibels(
    errors: list[float], levels: int
) -> None:
    marks: list[Mark | None] = [
        Mark(metrics.decibels(error), 0.5, error, levels, 255.0) for error in errors
    ]
    apart, pooled = (average(marks, one) for one in (OURS, replace(OURS, average="pixels")))
    assert apart is not None
    assert pooled is not None
    assert pooled.psnr <= apart.psnr + 1e-9
    assert pooled.psnr == pytest.approx(metrics.decibels(float(np.mean(errors))))
    assert pooled.ssim == 0.5


def test_a_protocol_that_cannot_measure_every_picture_has_no_average() -> None:
    mark = Mark(30.0, 0.9, 65.0, 100, 255.0)
    assert average([mark, None], OURS) is None
    assert average([], OURS) is None
    assert average([mark, mark], OURS) == average_of(30.0, 0.9)


@settings(max_examples=10)
@given(scale=st.sampled_from([2, 3, 4]), top=st.integers(0, 60), left=st.integers(0, 60))
def test_originals_of_whole_multiples_are_not_resized(scale: int, top: int, left: int) -> None:
    original = CHELSEA[top : top + 48, left : left + 60]
    bench = Bench(original, scale, by_pillow(original, scale))
    resized = replace(OURS, originals="resized")
    for subject in (Subject.RESULT, Subject.BICUBIC):
        assert bench.mark(subject, resized) == bench.mark(subject, OURS)


def average_of(psnr: float, ssim: float) -> object:
    from srcnn_mlflow.measuring.scoring import Average

    return Average(psnr, ssim)


def test_every_difference_of_a_named_protocol_has_words() -> None:
    from srcnn_mlflow.measuring.ledger import in_words

    for protocol in NAMED.values():
        assert all(in_words(protocol, OURS, tuple(Protocol.__dataclass_fields__)))
