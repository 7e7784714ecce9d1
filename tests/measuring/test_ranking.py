"""Best and worst of two rankings."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from srcnn_mlflow.measuring.ranking import extreme_count, rank_correlation, shared_extremes

pairs = st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=2, max_size=30)


@pytest.mark.parametrize(
    ("pictures", "count"), [(0, 0), (1, 0), (2, 1), (5, 2), (9, 4), (10, 5), (11, 5), (100, 5)]
)
def test_at_most_half_of_the_pictures_are_best(pictures: int, count: int) -> None:
    assert extreme_count(pictures) == count


def test_equal_rankings_share_five_at_each_end() -> None:
    scores = [30.0, 21.0, 22.0, 39.0, 24.0, 25.0, 26.0, 37.0, 28.0, 29.0, 31.0, 32.0]
    assert shared_extremes(scores, scores) == ((3, 7, 11, 10, 0), (6, 5, 4, 2, 1))


def test_opposite_rankings_share_none() -> None:
    scores = [float(score) for score in range(12)]
    assert shared_extremes(scores, scores[::-1]) == ((), ())


def test_a_picture_must_stand_among_the_best_in_both() -> None:
    first, second = [9.0, 8.0, 3.0, 2.0], [9.0, 1.0, 8.0, 2.0]
    assert shared_extremes(first, second) == ((0,), (3,))


def test_one_picture_is_neither() -> None:
    assert shared_extremes([1.0], [2.0]) == ((), ())


@given(pairs)
def test_no_picture_is_both_best_and_worst(scores: list[tuple[int, int]]) -> None:
    first, second = ([float(pair[place]) for pair in scores] for place in (0, 1))
    best, worst = shared_extremes(first, second)
    assert not set(best) & set(worst)
    assert set(shared_extremes(second, first)[0]) == set(best)
    for picture in best:
        assert sum(score > first[picture] for score in first) < extreme_count(len(first))


@given(pairs)
def test_the_correlation_is_scipys(scores: list[tuple[int, int]]) -> None:
    first, second = ([float(pair[place]) for pair in scores] for place in (0, 1))
    assume(len(set(first)) > 1)
    assume(len(set(second)) > 1)
    assert rank_correlation(first, second) == pytest.approx(spearmanr(first, second).statistic)


def test_what_does_not_vary_has_no_correlation() -> None:
    assert rank_correlation([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) is None
    assert rank_correlation([1.0, 2.0, 3.0], [4.0, 4.0, 4.0]) is None
    assert rank_correlation([1.0], [2.0]) is None
