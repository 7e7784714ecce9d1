"""Patches of a set that is in memory part by part: the right ones, all, and again the same."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from srcnn_mlflow.pictures import shards
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.pictures.store import Store, open_store
from srcnn_mlflow.pictures.store_file import StoreSettings
from srcnn_mlflow.pictures.store_writer import prepare
from srcnn_mlflow.training.distributed import World, alone
from srcnn_mlflow.training.fit import EpochResult, Progress, fit
from srcnn_mlflow.training.importance import patch_errors
from srcnn_mlflow.training.plan import Plan
from srcnn_mlflow.training.planned_fit import choose_window, plan_fit
from srcnn_mlflow.training.sampler import PatchSampler, Share
from srcnn_mlflow.training.settings import TrainingSettings
from srcnn_mlflow.training.windowed_sampler import Drawing, WindowedSampler
from tests.conftest import textured_pixels

CPU = torch.device("cpu")
ALIKE = Drawing("uniform", "mse", 0, "y")
BY_ERROR = Drawing("by_error", "psnr", 6, "y")
SETTINGS = TrainingSettings(architecture="9-1-5", precision="float32", batch_size=6)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    for split, count, first in (("train", 20, 0), ("valid", 2, 50)):
        (folder / split).mkdir()
        for number in range(first, first + count):
            pixels = textured_pixels(40 + number % 9, 46 - number % 7, number)
            Image.fromarray(pixels).save(folder / split / f"{number:02}.png")
    # One that has no patch.
    Image.fromarray(textured_pixels(16, 40, 99)).save(folder / "train" / "03a.png")
    return folder


def opened(photos: Path, planes: int, folder: Path) -> Store:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SHARD_BYTES", 20_000 * planes)
        patch.setattr("srcnn_mlflow.pictures.photos.DIGESTS", folder / "digests.json")
        made = prepare(load_dataset(str(photos)), StoreSettings(2, 25, 7, planes=planes), folder)
    assert len(made.files) > 3
    return open_store(*made.files)


@pytest.fixture(scope="module")
def store(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return opened(photos, 1, tmp_path_factory.mktemp("y"))


@pytest.fixture(scope="module")
def colours(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return opened(photos, 3, tmp_path_factory.mktemp("rgb"))


def taken(sampler: WindowedSampler, shares: Iterator[Share], store: Store) -> list[list[int]]:
    """The numbers of each share, whose patches are those of the store at the time."""
    found = []
    for share in shares:
        lr, hr = sampler.gather(share.patches)
        numbers = share.patches.tolist()
        for row, number in enumerate(numbers):
            pair = store.patch(number)
            assert np.array_equal((lr[row] * 255).round().byte().numpy().squeeze(), pair[0])
            assert np.array_equal((hr[row] * 255).round().byte().numpy().squeeze(), pair[1])
        found.append(numbers if share.weight else [])
    return found


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    memory=st.integers(18_000, 90_000),
    batch_size=st.integers(1, 9),
    size=st.integers(1, 4),
    seed=st.integers(0, 2**40),
    start=st.integers(0, 100),
)
# A batch reaches into the last window of a pass and takes all of it.
@example(memory=36_304, batch_size=9, size=4, seed=0, start=23)
def test_a_pass_has_every_patch_once_and_goes_on_anywhere(
    store: Store, memory: int, batch_size: int, size: int, seed: int, start: int
) -> None:
    sampler = WindowedSampler(store, CPU, memory, ALIKE)
    per_pass = sampler.batches_in_pass(batch_size)
    of_all: list[list[int]] = [[] for _ in range(2 * per_pass)]
    for rank in range(size):
        world = World(rank, size, CPU)
        mine = taken(sampler, sampler.shares(batch_size, seed, 0, 2 * per_pass, world), store)
        start = min(start, 2 * per_pass - 1)
        again = sampler.shares(batch_size, seed, start, 2 * per_pass - start, world)
        assert taken(sampler, again, store) == mine[start:]
        for all_of_step, numbers in zip(of_all, mine, strict=True):
            all_of_step += numbers
    passes = [list(chain(*one)) for one in (of_all[:per_pass], of_all[per_pass:])]
    assert [sorted(one) for one in passes] == [list(range(sampler.patch_count))] * 2
    assert passes[0] != passes[1]
    assert {len(one) for one in of_all[: per_pass - 1]} <= {batch_size}


def test_shares_count_by_what_each_has_of_a_batch(store: Store) -> None:
    sampler = WindowedSampler(store, CPU, 30_000, ALIKE)
    per_pass = sampler.batches_in_pass(3)
    steps = [list(sampler.shares(3, 1, 0, per_pass, World(rank, 5, CPU))) for rank in range(5)]
    assert sampler.patch_count % 3 == 1
    for together in zip(*steps, strict=True):
        assert sum(share.weight for share in together) == pytest.approx(5)
        for share in together:
            assert share.weight in (0.0, 5 / share.size)
            assert len(share.patches) == 1
    assert {share.size for share in steps[0]} == {1, 3}


def test_colours_lie_where_they_should(colours: Store) -> None:
    sampler = WindowedSampler(colours, CPU, 60_000, Drawing("uniform", "mse", 0, "rgb"))
    taken(sampler, sampler.shares(5, 3, 0, 60, alone(CPU)), colours)
    for channels in ("rgb", "ycbcr"):
        ours = WindowedSampler(colours, CPU, 60_000, Drawing("uniform", "mse", 0, channels))
        theirs = PatchSampler(colours, CPU, channels=channels)
        assert torch.equal(ours.measured(40), theirs.measured(40))


def test_what_is_measured_is_picked_from_all(store: Store) -> None:
    ours = WindowedSampler(store, CPU, 20_000, ALIKE)
    assert torch.equal(ours.measured(50), PatchSampler(store, CPU).measured(50))


def test_patches_are_drawn_by_their_error_and_weighed_back(store: Store) -> None:
    drawing = Drawing("by_error", "mse", 6, "y")
    # One window has all: what is drawn then follows the errors of all.
    sampler = WindowedSampler(store, CPU, 4 * len(store.train.lr) * 30_000, drawing)
    steps = 400
    drawn, sums = np.zeros(sampler.patch_count), np.zeros(sampler.patch_count)
    for share in sampler.shares(50, 2, 0, steps, alone(CPU)):
        assert share.factors is not None
        np.add.at(drawn, share.patches.numpy(), 1)
        np.add.at(sums, share.patches.numpy(), share.factors.numpy())
    errors = [patch_errors(store, picture, 6) for picture in range(len(store.train))]
    roots = np.sqrt(np.maximum(np.concatenate(errors), 0.25))
    total = drawn.sum()
    expected = roots / roots.sum() * total
    assert np.abs(drawn - expected).max() < 6 * np.sqrt(expected.max())
    # As often as they are drawn and as much as they count then, all count alike.
    assert sums.sum() / total == pytest.approx(1, abs=0.02)
    few = drawn > 30
    assert sums[few] / total * sampler.patch_count == pytest.approx(1, abs=0.6)


@pytest.mark.parametrize("drawing", [ALIKE, BY_ERROR])
def test_a_fit_is_the_same_from_run_to_run_and_when_it_is_resumed(
    store: Store, drawing: Drawing
) -> None:
    def train(resume: Progress | None = None) -> list[EpochResult]:
        sampler = WindowedSampler(store, CPU, 20_000, drawing)
        return list(fit(sampler, SETTINGS, Plan(3, 7), lambda _: 30.0, resume))

    first, again = train(), train()
    resumed = train(Progress(1, 30.0, 1, first[0].state))
    for name, weights in first[-1].weights.items():
        assert np.array_equal(weights, again[-1].weights[name])
        assert np.array_equal(weights, resumed[-1].weights[name])


def test_one_file_or_many_give_the_same_weights_where_they_fit(
    photos: Path, store: Store, tmp_path: Path
) -> None:
    made = prepare(load_dataset(str(photos)), store.settings, tmp_path)
    assert len(made.files) == 1
    chosen = TrainingSettings(architecture="9-1-5", precision="float32", epochs=1)

    def last(one: Store) -> dict[str, np.ndarray]:
        assert choose_window(one, CPU, 10**9) is None
        (result,) = plan_fit(one, chosen, alone(CPU)).epochs()
        return dict(result.weights)

    first, other = last(open_store(*made.files)), last(store)
    assert all(np.array_equal(first[name], other[name]) for name in first)


def test_what_does_not_fit_is_learned_from_in_windows(store: Store) -> None:
    assert choose_window(store, CPU, store.train.bytes) is None
    assert choose_window(store, CPU, store.train.bytes - 1) == store.train.bytes - 1
    assert choose_window(store, CPU, None) is None
    chosen = TrainingSettings(architecture="9-1-5", precision="float32", epochs=1)
    planned = plan_fit(store, chosen, alone(CPU), window=20_000)
    assert isinstance(planned.sampler, WindowedSampler)
    assert planned.sampler.bytes < 20_000 + 100 * len(store.train)
    (result,) = planned.epochs()
    assert result.val_psnr > planned.progress.best_val_psnr - 1
    assert next(planned.epochs()).train_loss == result.train_loss
