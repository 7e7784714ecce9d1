"""What seeds tell is held against SciPy, known values and simulated noise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from srcnn_mlflow.measuring.seeds import (
    BEYOND,
    RISK,
    TOO_FEW,
    WITHIN,
    Spread,
    differences_to,
    holm,
    welch,
)

decibels = st.integers(20_000, 45_000).map(lambda value: value / 1000)
samples = st.lists(decibels, min_size=2, max_size=6, unique=True)


@given(samples, samples)
def test_welchs_test_agrees_with_scipy(ones: list[float], others: list[float]) -> None:
    found = welch(ones, others)
    assert found == pytest.approx(stats.ttest_ind(ones, others, equal_var=False).pvalue, rel=1e-6)


def test_welchs_test_of_known_values() -> None:
    # By hand: t = 1 / sqrt(2 / 3), four degrees of freedom.
    found = welch([1.0, 2.0, 3.0], [2.0, 3.0, 4.0])
    assert found == pytest.approx(2 * stats.t.sf(1.5**0.5, 4))


@pytest.mark.parametrize(("ones", "others"), [([32.5], [32.0, 32.1]), ([32.5], [32.0])])
def test_one_seed_tells_nothing(ones: list[float], others: list[float]) -> None:
    assert welch(ones, others) is None
    (difference,) = differences_to(Spread(tuple(others)), [Spread(tuple(ones))])
    assert difference.verdict == TOO_FEW
    assert difference.mean == pytest.approx(np.mean(ones) - np.mean(others))


def test_what_does_not_scatter_is_the_same_or_another() -> None:
    # Whose mean is not the number itself, but for rounding.
    same = [0.1 + 0.2, 0.3, 0.3]
    assert welch([30.1] * 3, [30.1] * 3) == 1
    assert welch(same, same) == 1
    assert welch([30.1] * 3, [30.2] * 3) == 0


def test_scatter_is_that_of_a_sample() -> None:
    spread = Spread((30.0, 31.0, 32.0))
    assert (spread.mean, spread.deviation) == (31, 1)
    assert Spread((30.0,)).deviation is None


def test_holms_correction_of_known_values() -> None:
    # Holm, 1979, by hand: 0.005 x 4, 0.01 x 3, 0.03 x 2, then no less than that.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holms_correction_keeps_the_order_and_never_lowers(raw: list[float]) -> None:
    corrected = holm(raw)
    assert all(one >= other for one, other in zip(corrected, raw, strict=True))
    assert max(corrected) <= 1
    order = np.argsort(raw, kind="stable")
    assert np.all(np.diff(np.array(corrected)[order]) >= 0)


@pytest.mark.parametrize(
    ("seeds", "scatter", "most"),
    [
        (2, (0.02,) * 5, RISK),
        (3, (0.02,) * 5, RISK),
        (5, (0.02,) * 5, RISK),
        (3, (0.04, *[0.01] * 4), RISK),
        # Welch's test is approximate, and by so much more often wrong.
        (3, (0.01, *[0.04] * 4), 0.07),
    ],
)
def test_noise_alone_is_beyond_noise_no_more_often_than_promised(
    seeds: int, scatter: tuple[float, ...], most: float
) -> None:
    generator = np.random.default_rng(seeds)
    tables = 600
    wrong = 0
    for _ in range(tables):
        noise = 32 + np.array(scatter)[:, None] * generator.normal(size=(5, seeds))
        first, *others = (Spread(tuple(row)) for row in noise.tolist())
        found = differences_to(first, others)
        assert {one.verdict for one in found} <= {BEYOND, WITHIN}
        wrong += any(one.verdict == BEYOND for one in found)
    # Three standard deviations of such a share.
    assert wrong / tables < most + 3 * (most * (1 - most) / tables) ** 0.5


def test_a_tenth_of_a_decibel_is_beyond_the_usual_noise_of_three_seeds() -> None:
    generator = np.random.default_rng(0)
    found = 0
    for _ in range(100):
        first, other = (
            Spread(tuple(mean + 0.01 * generator.normal(size=3))) for mean in (32.5, 32.6)
        )
        found += differences_to(first, [other])[0].verdict == BEYOND
    assert found > 95


def test_settings_without_seeds_take_no_part_in_the_correction() -> None:
    first = Spread((32.50, 32.51, 32.52))
    other = Spread((32.56, 32.57, 32.58))
    (alone,) = differences_to(first, [other])
    beside = differences_to(first, [Spread((32.9,)), other])
    assert beside[1] == alone
    assert beside[0].verdict == TOO_FEW
