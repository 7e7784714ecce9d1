"""The first layer's preconditioner: what it measures, and that it can be folded away."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from srcnn_mlflow.network.architecture import PADDINGS, Architecture
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.pictures.store import open_store
from srcnn_mlflow.pictures.store_file import StoreSettings
from srcnn_mlflow.pictures.store_writer import prepare
from srcnn_mlflow.training.model import Srcnn
from srcnn_mlflow.training.preconditioning import EXPONENT, Preconditioner, fit_preconditioner
from srcnn_mlflow.training.sampler import PatchSampler


@pytest.fixture
def patches(photo_folder: Path) -> torch.Tensor:
    """Network inputs, shape (patches, 1, 25, 25)."""
    settings = StoreSettings(2, 25, 7)
    path = prepare(load_dataset(str(photo_folder)), settings, photo_folder).files[0]
    sampler = PatchSampler(open_store(path), torch.device("cpu"))
    return sampler.measured(1000)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("name", ["9-5-5", "9-1-5"])
def test_the_plain_network_computes_the_same(
    patches: torch.Tensor, name: str, padding: str
) -> None:
    torch.manual_seed(0)
    architecture = Architecture(name, padding=padding)
    trained = Srcnn(architecture, "plain", fit_preconditioner(patches, 9))
    plain = Srcnn(architecture)
    plain.load_state_dict(trained.plain_weights())
    luma = torch.rand(2, 1, 30, 37)
    assert trained(luma).shape == plain(luma).shape
    assert torch.allclose(trained(luma), plain(luma), atol=1e-5)
    assert not torch.allclose(trained.layers[0].weight, plain.layers[0].weight, atol=1e-3)


def test_the_plain_network_computes_nearly_the_same_as_one_in_bfloat16(
    patches: torch.Tensor,
) -> None:
    torch.manual_seed(0)
    fitted = fit_preconditioner(patches, 9)
    # As strong as the whitening of smooth pictures can be.
    trained = Srcnn(Architecture(), "he", Preconditioner(fitted.mean, 30 * fitted.matrix))
    nn.init.normal_(trained.layers[-1].weight, std=0.01)
    plain = Srcnn(Architecture())
    plain.load_state_dict(trained.plain_weights())
    luma = patches[:4]
    with torch.autocast("cpu", torch.bfloat16):
        rough = trained(luma)
    change = plain(luma) - plain.crop_target(luma)
    assert (rough - plain(luma)).abs().max() < 0.05 * change.abs().max()


def test_without_a_preconditioner_the_weights_are_their_own() -> None:
    model = Srcnn(Architecture())
    weights = model.plain_weights()
    assert set(weights) == {f"conv{n}.{kind}" for n in (1, 2, 3) for kind in ("weight", "bias")}
    for name, value in model.state_dict().items():
        assert torch.equal(value, weights[name])


def test_what_the_layer_sees_is_less_correlated_and_as_strong(patches: torch.Tensor) -> None:
    fitted = fit_preconditioner(patches, 9)
    windows = (
        functional.unfold(patches - patches.mean(), 9).permute(0, 2, 1).reshape(-1, 81).double()
    )
    before = windows.T @ windows / len(windows)
    matrix = fitted.matrix.double()
    after = matrix @ before @ matrix.T
    assert fitted.mean == pytest.approx(float(patches.mean()), abs=0.01)
    assert torch.trace(after) == pytest.approx(float(torch.trace(before)), rel=0.05)
    spread = [
        float(values[-1] / values[-40]) for values in map(torch.linalg.eigvalsh, (before, after))
    ]
    # A power p of the covariance on both sides leaves its eigenvalues to the power 1 + 2p.
    assert np.log(spread[1]) == pytest.approx((1 + 2 * EXPONENT) * np.log(spread[0]), rel=0.1)


def test_measuring_twice_gives_the_same(patches: torch.Tensor) -> None:
    first, second = fit_preconditioner(patches, 9), fit_preconditioner(patches, 9)
    assert torch.equal(first.mean, second.mean)
    assert torch.equal(first.matrix, second.matrix)


def test_the_identity_changes_nothing_but_the_mean() -> None:
    identity = Preconditioner(torch.tensor(0.5), torch.eye(81))
    torch.manual_seed(1)
    model = Srcnn(Architecture(), "plain", identity)
    weights = model.plain_weights()
    assert torch.equal(weights["conv1.weight"], model.layers[0].weight)
    expected = 0.5 * model.layers[0].weight.sum((1, 2, 3))
    assert torch.allclose(model.state_dict()["conv1.bias"] - weights["conv1.bias"], expected)
