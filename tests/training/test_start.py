"""A fit that begins with the weights of another network."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from srcnn_mlflow.network.architecture import Architecture
from srcnn_mlflow.network.onnx_export import read_network
from srcnn_mlflow.network.plain_weights import Weights
from srcnn_mlflow.network.shipped import shipped_network
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.pictures.store import Store, open_store
from srcnn_mlflow.pictures.store_file import StoreSettings
from srcnn_mlflow.pictures.store_writer import prepare
from srcnn_mlflow.training.distributed import alone
from srcnn_mlflow.training.learner import Learner
from srcnn_mlflow.training.model import Srcnn
from srcnn_mlflow.training.planned_fit import Interrupted, PlannedFit, plan_fit
from srcnn_mlflow.training.preconditioning import fit_preconditioner
from srcnn_mlflow.training.sampler import PatchSampler
from srcnn_mlflow.training.settings import TrainingSettings
from srcnn_mlflow.training.start import fresh_layers, take_over
from tests.network.test_network import every_network, random_weights

CPU = torch.device("cpu")
QUICK = TrainingSettings(architecture="9-1-5", epochs=1, batch_size=4)


@pytest.fixture
def store(photo_folder: Path) -> Store:
    settings = StoreSettings(2, 25, 14)
    return open_store(*prepare(load_dataset(str(photo_folder)), settings, photo_folder).files)


@pytest.fixture(scope="module")
def shipped() -> Weights:
    weights = read_network(shipped_network(2, "shipped-9-1-5")).weights
    return {name: weights[name] for name in Architecture("9-1-5").shapes}


def planned(store: Store, settings: TrainingSettings, start: Weights | None) -> PlannedFit:
    return plan_fit(store, settings, alone(CPU), None, start)


@every_network
@pytest.mark.parametrize("precondition", [True, False])
def test_a_network_computes_what_that_computes_whose_weights_it_takes(
    network: Architecture, precondition: bool
) -> None:
    """Of planes as they are, nearly constant, so that its covariance has eigenvalues near zero."""
    generator = torch.Generator().manual_seed(1)
    level = torch.rand(50, 1, 1, 1, generator=generator)
    grain = torch.randn(50, network.planes, 33, 33, generator=generator)
    luma = (level + 0.03 * grain).clamp(0, 1)
    weights = {name: torch.from_numpy(array) for name, array in random_weights(network).items()}
    plain = Srcnn(network)
    plain.load_plain_weights(weights)
    side = network.kernels[0]
    trained = Srcnn(
        network, preconditioner=fit_preconditioner(luma, side) if precondition else None
    )
    before = trained(luma[:4])
    trained.load_plain_weights(weights)
    after = trained(luma[:4])
    assert not torch.allclose(before, after, atol=1e-3)
    assert (after - plain(luma[:4])).abs().max() < 1e-5
    for name, value in trained.plain_weights().items():
        assert (value - weights[name]).abs().max() < 1e-5, name


@pytest.mark.parametrize("precondition", [True, False])
@pytest.mark.parametrize("ema_decay", [None, 0.9])
def test_a_learner_begins_with_the_weights_it_is_given(
    store: Store, shipped: Weights, precondition: bool, ema_decay: float | None
) -> None:
    settings = replace(QUICK, precondition=precondition, ema_decay=ema_decay)
    learner = Learner(settings, PatchSampler(store, CPU), alone(CPU), shipped)
    for name, array in learner.weights().items():
        assert np.abs(array - shipped[name]).max() < 1e-5, name


def test_the_untouched_network_is_the_one_it_begins_with(store: Store, shipped: Weights) -> None:
    begun = planned(store, QUICK, shipped)
    for name, array in shipped.items():
        assert np.array_equal(begun.best[name], array)
    assert begun.progress.best_val_psnr == begun.validate(shipped)
    assert begun.progress.best_epoch == 0
    assert begun.progress.best_val_psnr != planned(store, QUICK, None).progress.best_val_psnr


def test_no_harmful_epoch_is_kept_in_its_place(store: Store, shipped: Weights) -> None:
    harmful = replace(QUICK, lr=0.01, optimizer="adam", schedule="constant")
    begun = planned(store, harmful, shipped)
    (result,) = begun.epochs()
    assert result.val_psnr < begun.progress.best_val_psnr
    assert (result.best_epoch, result.best_val_psnr) == (0, begun.progress.best_val_psnr)


def test_an_interrupted_fit_is_not_held_against_bicubic_in_its_place(
    store: Store, shipped: Weights
) -> None:
    worse = {**shipped, "conv3.bias": shipped["conv3.bias"] + 0.1}
    begun = planned(store, QUICK, worse)
    bicubic = planned(store, QUICK, None).progress.best_val_psnr
    assert begun.progress.best_val_psnr < bicubic
    interrupted = Interrupted(begun.plan, replace(begun.progress, epoch=1), begun.best, True)
    progress = replace(
        interrupted.progress,
        state=Learner(QUICK, PatchSampler(store, CPU), alone(CPU), worse).state(),
    )
    gone_on = plan_fit(store, QUICK, alone(CPU), replace(interrupted, progress=progress))
    assert gone_on.progress.best_val_psnr == begun.progress.best_val_psnr


def test_it_learns_from_there(store: Store, shipped: Weights) -> None:
    """A step of next to nothing leaves it where it began, and not where random weights are."""
    begun = planned(store, replace(QUICK, lr=1e-9), shipped)
    (result,) = begun.epochs()
    assert result.val_psnr == pytest.approx(begun.progress.best_val_psnr, abs=1e-3)


def test_layers_of_another_shape_begin_anew(store: Store, shipped: Weights) -> None:
    settings = replace(QUICK, architecture="9-5-5")
    assert fresh_layers(shipped, settings.network.shapes) == ("conv2",)
    own = random_weights(settings.network)
    weights, fresh = take_over(shipped, own)
    assert fresh == ("conv2",)
    for name in own:
        expected = own if name.startswith("conv2") else shipped
        assert np.array_equal(weights[name], expected[name])
    # A network of which a part is random is worth nothing yet: bicubic is.
    begun = planned(store, settings, shipped)
    assert begun.network.corrects_nothing(begun.best)


def test_weights_that_are_missing_begin_anew(shipped: Weights) -> None:
    shapes = Architecture("9-1-1-5").shapes
    assert fresh_layers(shipped, shapes) == ("conv3", "conv4")
    assert fresh_layers({}, shapes) == ("conv1", "conv2", "conv3", "conv4")
    partly = {name: array for name, array in shipped.items() if name != "conv1.bias"}
    assert fresh_layers(partly, Architecture("9-1-5").shapes) == ("conv1",)
