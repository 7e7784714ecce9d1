"""The statistics that decide a promotion."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import bootstrap

from srcnn_mlflow.measuring import gate
from srcnn_mlflow.measuring.evaluation import ImageScore, score_plane
from srcnn_mlflow.measuring.gate import (
    CONFIDENCE,
    FEW_PICTURES,
    RUIN_MARGIN,
    Judgement,
    describe,
    judge,
)
from srcnn_mlflow.pictures.imaging import Plane, to_eight_bit, upscale
from tests.conftest import textured_pixels


def scores(strength: float, count: int = 5, side: int = 96, seed: int = 0) -> list[ImageScore]:
    """Scores of a model which removes this share of bicubic's error, and adds a little noise."""

    found = []
    for number in range(count):
        original = textured_pixels(side, side, number)[..., 1]
        noise = np.random.default_rng((seed, number)).normal(0, 1, original.shape)

        def enlarge(small: Plane, original: Plane = original, noise: np.ndarray = noise) -> Plane:
            bicubic = upscale(small, 2)
            return to_eight_bit(bicubic + strength * (original - bicubic) + noise)

        found.append(score_plane(f"picture{number}", original, 2, 2, enlarge))
    return found


def against(challenger: list[ImageScore], champion: list[ImageScore] | None) -> Judgement:
    return judge(challenger, champion, "the champion")


@pytest.mark.parametrize("count", [5, FEW_PICTURES])
def test_a_clearly_better_model_passes(count: int) -> None:
    judgement = against(scores(0.3, count), scores(0.2, count))
    assert judgement.shortcomings == ()
    assert judgement.drawn == ("tiles" if count < FEW_PICTURES else "pictures")
    assert len(judgement.contests) == 4
    for contest in judgement.contests:
        assert 0 < contest.certain_lead < contest.challenger - contest.bar


@pytest.mark.parametrize("count", [5, FEW_PICTURES])
def test_an_equal_model_is_refused(count: int) -> None:
    same = scores(0.3, count)
    judgement = against(same, same)
    assert [contest.certain_lead for contest in judgement.contests[2:]] == [0, 0]
    assert len(judgement.shortcomings) == 2
    assert "against the champion's" in judgement.shortcomings[0]
    assert "does not beat it" in judgement.shortcomings[0]


def test_a_worse_model_is_refused() -> None:
    judgement = against(scores(0.2), scores(0.3))
    assert [contest.won for contest in judgement.contests] == [True, True, False, False]


def test_a_lead_within_the_noise_is_refused() -> None:
    """The same model with other noise: one of the two leads, and neither may replace the other."""
    first, second = scores(0.3, seed=1), scores(0.3, seed=2)
    leader, other = sorted([first, second], key=lambda s: -np.mean([i.srcnn_psnr for i in s]))
    judgement = against(leader, other)
    assert judgement.contests[2].challenger > judgement.contests[2].bar
    assert not judgement.contests[2].won
    assert "which is within the noise" in "; ".join(judgement.shortcomings)


def test_equal_models_pass_no_more_often_than_the_confidence_allows() -> None:
    passed = sum(
        against(scores(0.3, 3, 72, seed=2 * trial), scores(0.3, 3, 72, seed=2 * trial + 1))
        .contests[2]
        .won
        for trial in range(60)
    )
    # Of 60, 3 are expected; more than 9 would be a chance of one in a thousand.
    assert passed <= 9


def test_a_model_that_wins_on_average_but_ruins_a_picture_is_refused() -> None:
    good = scores(0.5)
    ruined = replace(good[0], srcnn_psnr=good[0].bicubic_psnr - RUIN_MARGIN - 0.05)
    judgement = against([ruined, *good[1:]], None)
    assert all(contest.won for contest in judgement.contests)
    assert judgement.shortcomings == (
        "it falls more than 0.1 dB below bicubic on 1 picture(s): picture0 by 0.15 dB",
    )


def test_a_slight_fall_below_bicubic_is_no_ruin() -> None:
    good = scores(0.5)
    slightly = replace(good[0], srcnn_psnr=good[0].bicubic_psnr - RUIN_MARGIN + 0.01)
    assert against([slightly, *good[1:]], None).shortcomings == ()


@pytest.mark.parametrize("count", [4, FEW_PICTURES])
def test_the_means_are_those_of_the_table(count: int) -> None:
    found = scores(0.3, count, 70)
    psnr, ssim = against(found, None).contests
    assert psnr.challenger == pytest.approx(np.mean([s.srcnn_psnr for s in found]), rel=1e-12)
    assert psnr.bar == pytest.approx(np.mean([s.bicubic_psnr for s in found]), rel=1e-12)
    assert ssim.challenger == pytest.approx(np.mean([s.srcnn_ssim for s in found]), rel=1e-12)
    assert ssim.bar == pytest.approx(np.mean([s.bicubic_ssim for s in found]), rel=1e-12)


def test_drawing_pictures_agrees_with_scipy() -> None:
    challenger, champion = scores(0.3, 40, 48), scores(0.27, 40, 48, seed=5)
    leads = [a.srcnn_psnr - b.srcnn_psnr for a, b in zip(challenger, champion, strict=True)]
    expected = bootstrap(
        (leads,),
        np.mean,
        confidence_level=CONFIDENCE,
        alternative="greater",
        method="percentile",
        n_resamples=20_000,
        rng=np.random.default_rng(1),
    ).confidence_interval.low
    contest = against(challenger, champion).contests[2]
    assert contest.certain_lead == pytest.approx(expected, abs=0.05 * float(np.std(leads)))


def test_a_perfect_picture_is_not_infinitely_good() -> None:
    original = textured_pixels(64, 64, 1)[..., 0]
    perfect = score_plane("perfect", original, 2, 2, lambda _: original)
    judgement = against([perfect], None)
    assert all(np.isfinite(contest.certain_lead) for contest in judgement.contests)
    assert judgement.shortcomings == ()


def test_the_verdict_is_told_as_a_table() -> None:
    text = describe(against(scores(0.2), scores(0.3)))
    lines = text.splitlines()
    assert len({line.count("|") for line in lines[:6]}) == 1
    assert "not won" in lines[4]
    assert f"{CONFIDENCE:.0%} of {gate.RESAMPLES} paired resamples of tiles" in text
