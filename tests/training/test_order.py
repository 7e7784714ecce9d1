"""The computed order of many patches: a permutation, and one that looks random."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from srcnn_mlflow.training import order
from srcnn_mlflow.training.order import permuted, shuffled


@given(count=st.integers(1, 5000), seed=st.integers(0, 2**63 - 1))
def test_every_number_is_there_once(count: int, seed: int) -> None:
    found = permuted(np.arange(count), count, seed)
    assert np.array_equal(np.sort(found), np.arange(count))


@given(seed=st.integers(0, 2**63 - 1), first=st.integers(0, 2**40 - 100))
def test_a_place_is_computed_alone_however_many_there_are(seed: int, first: int) -> None:
    places = np.arange(first, first + 100)
    found = permuted(places, 2**40 + 7, seed)
    assert found.min() >= 0
    assert found.max() < 2**40 + 7
    assert len(set(found.tolist())) == 100
    assert permuted(places[40:41], 2**40 + 7, seed) == found[40]


def test_it_looks_like_a_random_order() -> None:
    count = 100_003
    found = permuted(np.arange(count), count, 5)
    # Of a random order: neighbours are no nearer, and places and numbers do not go together.
    assert np.corrcoef(np.arange(count), found)[0, 1] == pytest.approx(0, abs=0.015)
    assert np.corrcoef(found[:-1], found[1:])[0, 1] == pytest.approx(0, abs=0.015)
    # A chi-squared of 9,999 degrees of freedom is within 5 deviations of its mean.
    boxes = np.bincount(found[:50_000] * 100 // count * 100 + np.arange(50_000) // 500)
    expected = 50_000 / 10_000
    assert ((boxes - expected) ** 2 / expected).sum() == pytest.approx(9_999, abs=5 * 141)
    orders = {tuple(permuted(np.arange(50), 50, seed)) for seed in range(200)}
    assert len(orders) == 200


def test_few_are_shuffled_as_they_always_were(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(9)
    expected = torch.randperm(50, generator=generator).numpy()
    assert np.array_equal(shuffled(50, 9, 10, 30), expected[10:30])
    monkeypatch.setattr(order, "SHUFFLED", 49)
    assert np.array_equal(shuffled(50, 9, 10, 30), permuted(np.arange(10, 30), 50, 9))
