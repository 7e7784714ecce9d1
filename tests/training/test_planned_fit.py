"""A fit begins with the untouched network as the best that was seen."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from srcnn_mlflow.measuring.metrics import psnr
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.pictures.store import Store, open_store
from srcnn_mlflow.pictures.store_file import StoreSettings
from srcnn_mlflow.pictures.store_writer import prepare
from srcnn_mlflow.training.distributed import alone
from srcnn_mlflow.training.fit import Progress
from srcnn_mlflow.training.plan import Plan
from srcnn_mlflow.training.planned_fit import Interrupted, PlannedFit, is_bicubic, plan_fit
from srcnn_mlflow.training.sampler import PatchSampler
from srcnn_mlflow.training.settings import INITIALIZATIONS, REPORT, TrainingSettings
from srcnn_mlflow.training.validation import validation_planes
from srcnn_mlflow.training.windowed_sampler import WindowedSampler

QUICK = TrainingSettings(
    architecture="9-1-5", epochs=2, batch_size=4, sampling="by_error", loss="psnr"
)
# Enough for these few pictures to be better than bicubic.
# Of eight seeds, one has learned nothing by then; this one 0.7 dB.
LEARNING = replace(QUICK, epochs=8, lr=0.003, seed=1)
# Too fast a rate, after which a network is worse than it began.
HARMFUL = replace(QUICK, lr=0.02, optimizer="adam", schedule="constant", epochs=1)


@pytest.fixture
def store(photo_folder: Path) -> Store:
    settings = StoreSettings(2, 25, 14)
    return open_store(*prepare(load_dataset(str(photo_folder)), settings, photo_folder).files)


def planned(
    store: Store, settings: TrainingSettings, interrupted: Interrupted | None = None
) -> PlannedFit:
    return plan_fit(store, settings, alone(torch.device("cpu")), interrupted)


def bicubic_psnr(store: Store) -> float:
    scores = [psnr(original, bicubic, 2) for original, _, bicubic in validation_planes(store)]
    return sum(scores) / len(scores)


@pytest.mark.parametrize("padding", ["none", "replicate", "zero"])
@pytest.mark.parametrize("initialization", INITIALIZATIONS)
def test_an_untouched_residual_network_is_bicubic_to_the_pixel(
    store: Store, initialization: str, padding: str
) -> None:
    settings = replace(QUICK, initialization=initialization, padding=padding)
    begun = planned(store, settings)
    assert begun.progress.best_val_psnr == bicubic_psnr(store)
    assert (begun.progress.epoch, begun.progress.best_epoch) == (0, 0)
    assert is_bicubic(begun.best, settings)
    enlarge = begun.upscale(begun.best)
    for _, small, bicubic in validation_planes(store):
        assert np.array_equal(enlarge(small), bicubic)


def test_an_untouched_network_without_residual_is_as_it_was_initialized(store: Store) -> None:
    settings = replace(REPORT, architecture="9-1-5")
    begun = planned(store, settings)
    torch.manual_seed(settings.seed)
    assert begun.progress.best_val_psnr == begun.validate(begun.best) < bicubic_psnr(store)
    assert all(array.any() for array in begun.best.values())
    assert not is_bicubic(begun.best, settings)


def test_no_harmful_epoch_takes_the_place_of_the_untouched_network(store: Store) -> None:
    begun = planned(store, HARMFUL)
    results = list(begun.epochs())
    bicubic = bicubic_psnr(store)
    assert all(result.val_psnr < bicubic for result in results)
    assert not any(result.is_best for result in results)
    assert {(result.best_epoch, result.best_val_psnr) for result in results} == {(0, bicubic)}
    assert results[0].epoch == 1


@pytest.mark.parametrize("minutes", [0.0001, 0.01])
def test_of_a_training_by_the_clock_the_best_is_kept_the_untouched_network_among_them(
    store: Store, minutes: float
) -> None:
    best, best_epoch = bicubic_psnr(store), 0
    settings = replace(HARMFUL, lr=0.005, max_minutes=minutes)
    for result in planned(store, settings).epochs():
        assert result.is_best == (result.val_psnr > best)
        if result.is_best:
            best, best_epoch = result.val_psnr, result.epoch
        assert (result.best_epoch, result.best_val_psnr) == (best_epoch, best)


def test_an_epoch_that_is_better_takes_its_place(store: Store) -> None:
    begun = planned(store, LEARNING)
    results = list(begun.epochs())
    assert results[-1].best_val_psnr > begun.progress.best_val_psnr
    assert results[-1].best_epoch > 0
    assert results[-1].best_val_psnr == max(result.val_psnr for result in results)


def test_the_look_at_the_untouched_network_changes_no_step(store: Store) -> None:
    begun = planned(store, QUICK)
    first = next(begun.epochs())
    again = next(replace(begun, progress=Progress(0, -math.inf, 0, {})).epochs())
    for name, array in first.weights.items():
        assert np.array_equal(array, again.weights[name])


@pytest.mark.parametrize("window", [None, 200_000])
def test_its_first_layer_is_preconditioned_by_one_look_at_the_patches(
    store: Store, window: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = PatchSampler if window is None else WindowedSampler
    looks, measured = [], kind.measured

    def look(sampler: Any, count: int) -> torch.Tensor:
        looks.append(count)
        return measured(sampler, count)

    monkeypatch.setattr(kind, "measured", look)
    settings = replace(QUICK, epochs=1)
    begun = plan_fit(store, settings, alone(torch.device("cpu")), window=window)
    list(begun.epochs())
    assert len(looks) == 1
    # Whatever becomes of the one that it gives, the next is the same.
    first = begun.sampler.preconditioner(9)
    first.matrix.zero_()
    assert begun.sampler.preconditioner(9).matrix.any()


def test_an_interrupted_fit_of_before_is_no_longer_worse_than_bicubic(store: Store) -> None:
    """Former versions kept the best epoch alone, however bad."""
    begun = planned(store, HARMFUL)
    result = next(replace(begun, progress=Progress(0, -math.inf, 0, {})).epochs())
    assert result.best_epoch == 1
    progress = Progress(1, result.best_val_psnr, 1, result.state)
    gone_on = planned(store, HARMFUL, Interrupted(Plan(2, 6), progress, result.weights))
    assert (gone_on.progress.epoch, gone_on.progress.best_epoch) == (1, 0)
    assert gone_on.progress.best_val_psnr == bicubic_psnr(store)
    assert is_bicubic(gone_on.best, HARMFUL)


def test_an_interrupted_fit_keeps_the_epoch_that_was_better(store: Store) -> None:
    first = list(planned(store, LEARNING).epochs())[-1]
    assert first.best_epoch > 0
    progress = Progress(8, first.best_val_psnr, first.best_epoch, first.state)
    gone_on = planned(store, LEARNING, Interrupted(Plan(9, 6), progress, first.weights))
    assert gone_on.progress == progress
    assert gone_on.best is first.weights
