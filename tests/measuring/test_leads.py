"""Which of several models is ahead, and whether by more than chance."""

import numpy as np
import pytest
from scipy.stats import ttest_rel

from srcnn_mlflow.measuring.leads import describe_leads

BEHIND = [30.0, 25.0, 34.0, 28.0, 31.0]


def ahead_by(*leads: float) -> list[float]:
    return [psnr + lead for psnr, lead in zip(BEHIND, leads, strict=True)]


def test_the_best_is_held_against_each_other_picture_by_picture() -> None:
    best = ahead_by(0.10, 0.14, 0.09, 0.15, 0.12)
    other = ahead_by(0.50, -0.40, 0.30, -0.20, 0.10)
    told = describe_leads({"srcnn-x4/2": best, "srcnn-x4/3": other, "srcnn-x4/1": BEHIND})
    assert told == (
        "On these 5 pictures srcnn-x4/2 is 0.06 dB above srcnn-x4/3 (95 %: -0.42 to +0.54): within "
        "chance; 0.12 dB above srcnn-x4/1 (95 %: +0.09 to +0.15): beyond chance."
    )


@pytest.mark.parametrize("seed", range(20))
def test_beyond_chance_is_what_the_paired_t_test_rejects(seed: int) -> None:
    generator = np.random.default_rng(seed)
    other = generator.normal(30, 3, 6)
    best = other + np.abs(generator.normal(0.02, 0.02)) + generator.normal(0, 0.03, 6)
    if best.mean() < other.mean():
        best, other = other, best
    told = describe_leads({"b": best.tolist(), "a": other.tolist()})
    assert ("beyond chance" in told) == (ttest_rel(best, other).pvalue < 0.05)


def test_a_single_picture_has_no_interval() -> None:
    assert describe_leads({"b": [30.5], "a": [30.0]}) == (
        "On this picture b is 0.50 dB above a; one alone cannot tell whether that is chance."
    )


def test_what_is_equal_is_level() -> None:
    assert describe_leads({"b": BEHIND, "a": BEHIND}) == (
        "On these 5 pictures b is level with a (95 %: +0.00 to +0.00): within chance."
    )
