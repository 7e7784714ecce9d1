"""How patches are drawn by importance, and what keeps the gradient what it should be."""

from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.pictures.store import Store, open_store
from srcnn_mlflow.pictures.store_file import StoreSettings
from srcnn_mlflow.pictures.store_writer import prepare
from srcnn_mlflow.training import importance as importance_module
from srcnn_mlflow.training.distributed import World, alone
from srcnn_mlflow.training.importance import (
    BLOCK,
    LEAST_ERROR,
    ByError,
    Importance,
    measure_importance,
    patch_errors,
    pick,
    to_levels,
)
from srcnn_mlflow.training.learner import Learner
from srcnn_mlflow.training.sampler import PatchSampler
from srcnn_mlflow.training.settings import TrainingSettings

CPU = torch.device("cpu")
MARGIN = 6


@pytest.fixture
def store(photo_folder: Path) -> Store:
    made = prepare(load_dataset(str(photo_folder)), StoreSettings(2, 25, 14), photo_folder)
    return open_store(*made.files)


def by_hand(store: Store, margin: int) -> NDArray[np.float64]:
    inside = slice(margin, -margin or None)
    errors = []
    for number in range(len(store.patches)):
        lr, hr = store.patch(number)
        difference = hr[inside, inside].astype(float) - lr[inside, inside]
        errors.append(np.mean(difference**2))
    return np.array(errors)


def probabilities(by_error: ByError | None) -> NDArray[np.float64]:
    """Of drawing each patch."""
    assert by_error is not None
    pictures = np.diff(by_error.ends, prepend=0) / by_error.ends[-1]
    each = []
    for picture, first, end in zip(pictures, by_error.firsts, by_error.firsts[1:], strict=False):
        roots = roots_of(by_error.levels[first:end])
        each.append(picture * roots / roots.sum())
    return np.concatenate(each)


def roots_of(levels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The roots of errors that are kept as bytes, by their definition."""
    return 0.5 * 2.0 ** (levels / 28)


def drawn_by(roots: NDArray[np.float64], sizes: list[int]) -> Importance:
    """Patches of pictures of these numbers of them, whose errors have these roots."""
    levels = to_levels(roots**2)
    firsts = np.cumsum([0, *sizes])
    sums = [roots_of(part).sum() for part in np.split(levels, firsts[1:-1])]
    by_error = ByError(np.cumsum(sums), levels, firsts)
    return Importance(np.ones(len(sizes), np.float32), by_error)


@pytest.mark.parametrize("margin", [0, MARGIN])
def test_errors_are_those_of_each_patch_inside_its_margin(store: Store, margin: int) -> None:
    errors = [patch_errors(store, picture, margin) for picture in range(len(store.train))]
    assert np.concatenate(errors) == pytest.approx(by_hand(store, margin), rel=1e-12)


def test_uniform_and_mse_weigh_nothing(store: Store) -> None:
    assert measure_importance(store, MARGIN, "uniform", "mse") is None
    assert PatchSampler(store, CPU).weigh(torch.tensor([0, 1])) is None


def test_patches_are_drawn_by_the_root_of_their_error(store: Store) -> None:
    importance = measure_importance(store, MARGIN, "by_error", "mse")
    assert importance is not None
    roots = np.sqrt(np.maximum(by_hand(store, MARGIN), LEAST_ERROR))
    # Kept in bytes, a root is at most one and a quarter per cent off.
    drawn = probabilities(importance.by_error)
    assert drawn == pytest.approx(roots / roots.sum(), rel=0.02)
    assert drawn.sum() == pytest.approx(1, rel=1e-12)
    assert importance.picture_weights == pytest.approx(1)


@pytest.mark.parametrize("sampling", ["uniform", "by_error"])
def test_a_picture_is_weighed_by_the_inverse_root_of_its_error(store: Store, sampling: str) -> None:
    importance = measure_importance(store, MARGIN, sampling, "psnr")
    assert importance is not None
    errors = np.maximum(by_hand(store, MARGIN), LEAST_ERROR)
    pictures = store.patches.pictures(np.arange(len(store.patches)))
    sums = np.bincount(pictures, errors)
    # Pictures of one size would not tell the sum from the mean.
    assert np.ptp(np.bincount(pictures)) > 0
    ratios = importance.picture_weights * np.sqrt(sums)
    assert ratios == pytest.approx(ratios[0], rel=1e-6)
    # As much error in all as without weights, so that rates mean the same.
    assert (importance.picture_weights[pictures] * errors).sum() == pytest.approx(errors.sum())


@pytest.mark.parametrize("loss", ["mse", "psnr"])
def test_drawing_by_error_leaves_the_expected_loss_what_it_is(store: Store, loss: str) -> None:
    drawn = measure_importance(store, MARGIN, "by_error", loss)
    alike = measure_importance(store, MARGIN, "uniform", loss)
    assert drawn is not None
    numbers = np.arange(len(store.patches))
    pictures = store.patches.pictures(numbers)
    expected = probabilities(drawn.by_error) * drawn.weights(numbers, pictures)
    plain = np.ones(len(numbers)) if alike is None else alike.weights(numbers, pictures)
    assert expected == pytest.approx(plain / len(numbers), rel=1e-5)


@given(error=st.floats(LEAST_ERROR, 255.0**2))
def test_a_byte_holds_the_root_of_an_error(error: float) -> None:
    (level,) = to_levels(np.array([error]))
    assert roots_of(level) == pytest.approx(np.sqrt(error), rel=2 ** (1 / 56) - 1 + 1e-9)


def test_errors_beyond_a_byte_are_as_the_largest() -> None:
    assert to_levels(np.array([LEAST_ERROR, 275.0**2, 1e9])).tolist() == [0, 255, 255]


@given(
    shares=st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 1e6)), max_size=30),
    fractions=st.lists(st.floats(0, 1), min_size=1, max_size=30),
)
def test_what_is_picked_has_a_share(shares: list[float], fractions: list[float]) -> None:
    shares = [*shares, 1.0, 0.0]
    picked = pick(np.cumsum(shares), np.array(fractions))
    assert all(shares[one] > 0 for one in picked)
    third = np.array([0.0, 0.33, 0.34, 1.0])
    assert pick(np.array([1.0, 1.0, 3.0]), third).tolist() == [0, 0, 2, 2]


@given(
    seed=st.integers(0, 2**63 - 1),
    first=st.integers(0, 3 * BLOCK),
    count=st.integers(1, BLOCK + 2),
    batch_size=st.integers(1, 5),
)
@settings(deadline=None, max_examples=30)
def test_a_batch_is_the_same_however_it_is_come_to(
    seed: int, first: int, count: int, batch_size: int
) -> None:
    importance = drawn_by(np.arange(1.0, 40), [20, 0, 19])
    whole = list(importance.draw(batch_size, seed, 0, first + count))
    part = list(importance.draw(batch_size, seed, first, count))
    assert np.array_equal(whole[first:], part)
    assert {batch.shape for batch in part} == {(batch_size,)}


def test_other_seeds_and_other_batches_are_other_draws() -> None:
    importance = drawn_by(np.ones(10_000), [10_000])

    def drawn(seed: int, first: int) -> bytes:
        return next(importance.draw(16, seed, first, 1)).tobytes()

    keys = [(seed, first) for seed in range(4) for first in (0, 1, BLOCK, BLOCK + 1, 2 * BLOCK)]
    assert len({drawn(*key) for key in keys}) == len(keys)


@given(sizes=st.lists(st.integers(0, 30), min_size=1, max_size=12), together=st.integers(1, 60))
@example(sizes=[0, 30, 0, 1, 0], together=1)
def test_a_picture_is_drawn_and_then_a_patch_of_it(sizes: list[int], together: int) -> None:
    assume(any(sizes))
    by_error = drawn_by(np.linspace(1, 40, sum(sizes)), sizes).by_error
    assert by_error is not None
    with patch.object(importance_module, "_TOGETHER", together):
        drawn = by_error.draw(np.random.default_rng(5), 200)
    generator, expected = np.random.default_rng(5), []
    for picture, fraction in zip(*(generator.random(200) for _ in range(2)), strict=True):
        number = int(pick(by_error.ends, np.array([picture]))[0])
        first, end = by_error.firsts[number : number + 2]
        shares = np.cumsum(roots_of(by_error.levels[first:end]))
        expected.append(first + int(pick(shares, np.array([fraction]))[0]))
    assert drawn.tolist() == expected


def test_draws_have_the_frequencies_that_they_should() -> None:
    importance = drawn_by(np.arange(1.0, 21), [5, 0, 12, 3])
    counts = np.bincount(np.concatenate(list(importance.draw(100, 3, 0, 400))), minlength=20)
    expected = probabilities(importance.by_error) * counts.sum()
    assert stats.chisquare(counts, expected).pvalue > 1e-3


def test_the_sampler_gives_draws_and_weights(store: Store) -> None:
    importance = measure_importance(store, MARGIN, "by_error", "psnr")
    assert importance is not None
    sampler = PatchSampler(store, CPU, importance)
    (batch,) = sampler.batches(8, 1, 5, 1)
    (drawn,) = importance.draw(8, 1, 5, 1)
    assert batch.tolist() == drawn.tolist()
    weights = sampler.weigh(batch)
    assert weights is not None
    assert weights.dtype == torch.float32
    pictures = store.patches.pictures(drawn)
    assert weights.numpy() == pytest.approx(importance.weights(drawn, pictures))


def test_weights_scale_each_patch_s_gradient(store: Store) -> None:
    chosen = TrainingSettings(architecture="9-1-5", precision="float32")
    sampler = PatchSampler(store, CPU)
    learner = Learner(chosen, sampler, alone(CPU))
    lr, hr = sampler.gather(torch.tensor([0, 5, 9]))
    alone_losses = [
        float(Learner(chosen, sampler, alone(CPU)).step(lr[k : k + 1], hr[k : k + 1], 1e-6))
        for k in range(3)
    ]
    weighed = learner.step(lr, hr, 1e-6, 1.0, torch.tensor([0.5, 2.0, 3.0]))
    expected = np.dot(alone_losses, [0.5, 2.0, 3.0]) / 3
    assert float(weighed) == pytest.approx(expected, rel=1e-4)


def test_processes_together_weigh_what_one_would(store: Store) -> None:
    sampler = PatchSampler(store, CPU, measure_importance(store, MARGIN, "by_error", "psnr"))
    (batch,) = sampler.batches(7, 0, 0, 1)
    whole = sampler.weigh(batch)
    assert whole is not None
    means = []
    for rank in range(3):
        mine, weight = World(rank, 3, CPU).share(batch)
        weights = sampler.weigh(mine)
        assert weights is not None
        means.append(float(weights.mean()) * weight)
    assert np.mean(means) == pytest.approx(float(whole.mean()), rel=1e-6)


def test_memory_grows_by_a_byte_a_patch(store: Store) -> None:
    importance = measure_importance(store, MARGIN, "by_error", "psnr")
    assert importance is not None
    assert importance.by_error is not None
    assert importance.by_error.levels.nbytes == len(store.patches)
    assert importance.by_error.ends.nbytes == 8 * len(store.train)
    assert importance.picture_weights.nbytes == 4 * len(store.train)


def test_a_plain_store_is_drawn_all_the_same(tmp_path: Path, store: Store) -> None:
    assert tmp_path
    flat = tuple(np.full_like(one, 90) for one in store.train.lr)
    plain = replace(store, train=replace(store.train, lr=flat, hr=flat))
    importance = measure_importance(plain, MARGIN, "by_error", "psnr")
    assert importance is not None
    count = np.bincount(plain.patches.pictures(np.arange(len(plain.patches))))
    ratios = importance.picture_weights * np.sqrt(count)
    assert ratios == pytest.approx(ratios[0], rel=1e-6)
