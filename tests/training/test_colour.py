"""Training on three planes: patches, whitening, importance, validation, arithmetic in torch."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from srcnn_mlflow.measuring.evaluation import score_photos, summarize
from srcnn_mlflow.network.architecture import Architecture
from srcnn_mlflow.network.onnx_export import build_onnx
from srcnn_mlflow.network.upscaler import Upscaler, grey_of
from srcnn_mlflow.pictures.colour import luma_plane
from srcnn_mlflow.pictures.datasets import Dataset, load_dataset
from srcnn_mlflow.pictures.imaging import to_eight_bit
from srcnn_mlflow.pictures.store import Store, open_store
from srcnn_mlflow.pictures.store_file import StoreSettings
from srcnn_mlflow.pictures.store_writer import prepare
from srcnn_mlflow.training import preconditioning
from srcnn_mlflow.training.colour import from_ycbcr, saved_luma, to_ycbcr
from srcnn_mlflow.training.distributed import alone
from srcnn_mlflow.training.importance import measure_importance, patch_errors
from srcnn_mlflow.training.learner import Learner
from srcnn_mlflow.training.model import Chain, Srcnn
from srcnn_mlflow.training.planned_fit import is_bicubic, plan_fit
from srcnn_mlflow.training.preconditioning import fit_preconditioner
from srcnn_mlflow.training.sampler import PatchSampler
from srcnn_mlflow.training.settings import TrainingSettings
from srcnn_mlflow.training.validation import make_validation
from tests.conftest import textured_pixels
from tests.network.test_network import random_weights
from tests.pictures.test_colour import from_ycbcr as from_ycbcr_numpy
from tests.pictures.test_colour import to_ycbcr as to_ycbcr_numpy

CPU = torch.device("cpu")
IN_COLOUR = pytest.mark.parametrize("channels", ["rgb", "ycbcr"])
QUICK = TrainingSettings(architecture="9-1-5", epochs=1, precision="float32")


@pytest.fixture
def dataset(photo_folder: Path) -> Dataset:
    """With a grey photograph among those to train and to validate on."""
    for split, seed in (("train", 30), ("valid", 31)):
        grey = textured_pixels(64, 58, seed)[..., 0]
        Image.fromarray(grey).save(photo_folder / split / "grey.png")
    return load_dataset(str(photo_folder))


@pytest.fixture
def store(dataset: Dataset, photo_folder: Path) -> Store:
    settings = StoreSettings(2, 25, 14, planes=3)
    return open_store(*prepare(dataset, settings, photo_folder / "out").files)


def random_planes(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


def test_torch_converts_as_numpy_does() -> None:
    planes = random_planes(2, 3, 9, 8)
    for one, given in zip(to_ycbcr(planes), planes, strict=True):
        expected = to_ycbcr_numpy(255 * given.numpy()) / 255
        assert one.numpy() == pytest.approx(expected, abs=1e-6)
        back = from_ycbcr(one[None])[0].numpy()
        assert back == pytest.approx(given.numpy(), abs=1e-6)
        assert back == pytest.approx(from_ycbcr_numpy(255 * one.numpy()) / 255, abs=1e-5)


def test_the_luma_that_will_be_saved_is_taken_in_whole_levels() -> None:
    levels = 300 * random_planes(3, 20, 30) - 20
    saved = to_eight_bit(levels.numpy())
    colour = saved_luma(levels, grey=False).numpy()
    assert np.array_equal(colour, luma_plane(np.ascontiguousarray(saved.transpose(1, 2, 0))))
    grey = saved_luma(levels, grey=True).numpy()
    assert np.array_equal(grey, to_eight_bit(grey_of(levels.clamp(0, 255).numpy())))
    assert np.array_equal(saved_luma(levels[:1], grey=True).numpy(), saved[0])


@IN_COLOUR
def test_patches_are_cut_out_of_all_planes_at_once(store: Store, channels: str) -> None:
    sampler = PatchSampler(store, CPU, channels=channels)
    indices = torch.tensor([0, len(store.patches) - 1, 3])
    for place, gathered in enumerate(sampler.gather(indices)):
        assert gathered.shape == (3, 3, 25, 25)
        for number, patch in zip(indices.tolist(), gathered, strict=True):
            expected = store.patch(number)[place].astype(np.float32)
            if channels == "ycbcr":
                expected = to_ycbcr_numpy(expected)
            assert 255 * patch.numpy() == pytest.approx(expected, abs=1e-3)


@IN_COLOUR
@pytest.mark.parametrize("padding", ["none", "replicate", "zero"])
@pytest.mark.parametrize("most", [1000, 80])
def test_the_whitened_network_is_a_plain_one(
    store: Store, channels: str, padding: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preconditioning, "_MOST_TOGETHER", most)
    sampler = PatchSampler(store, CPU, channels=channels)
    patches = sampler.measured(100)
    fitted = fit_preconditioner(patches, 9)
    assert fitted.matrix.shape == ((243, 243) if most == 1000 else (81, 81))
    assert fitted.mean.flatten().tolist() == pytest.approx(patches.mean((0, 2, 3)).tolist())
    torch.manual_seed(0)
    architecture = Architecture("9-1-5", padding=padding, channels=channels)
    trained = Srcnn(architecture, "plain", fitted)
    plain = Srcnn(architecture)
    plain.load_state_dict(trained.plain_weights())
    assert torch.allclose(trained(patches[:3]), plain(patches[:3]), atol=1e-5)
    assert not torch.allclose(trained.layers[0].weight, plain.layers[0].weight, atol=1e-3)


def test_whitening_takes_the_correlation_of_colours_too(store: Store) -> None:
    sampler = PatchSampler(store, CPU, channels="rgb")
    patches = sampler.measured(500)
    fitted = fit_preconditioner(patches, 1)
    pixels = (patches - fitted.mean).permute(0, 2, 3, 1).reshape(-1, 3).double()
    before = torch.linalg.eigvalsh(pixels.T @ pixels)
    seen = pixels @ fitted.matrix.double()
    after = torch.linalg.eigvalsh(seen.T @ seen)
    # A power -1/4 on both sides leaves the root of every eigenvalue.
    assert float(after[-1] / after[0]) == pytest.approx(
        float(before[-1] / before[0]) ** 0.5, rel=0.1
    )


def test_whitening_of_large_kernels_stays_small() -> None:
    patches = random_planes(4, 3, 40, 40)
    fitted = fit_preconditioner(patches, 31)
    assert fitted.matrix.shape == (31 * 31, 31 * 31)
    trained = random_planes(2, 3, 31, 31)
    kernel = fitted.kernel(trained)
    by_hand = trained.flatten(2) @ fitted.matrix
    assert torch.allclose(kernel.flatten(2), by_hand, atol=1e-4)


@IN_COLOUR
@pytest.mark.parametrize("margin", [0, 6])
def test_errors_are_those_of_all_planes(store: Store, channels: str, margin: int) -> None:
    inside = slice(margin, 25 - margin)
    expected = []
    for number in range(len(store.patches)):
        lr, hr = (plane.astype(np.float32) for plane in store.patch(number))
        if channels == "ycbcr":
            lr, hr = to_ycbcr_numpy(lr), to_ycbcr_numpy(hr)
        expected.append(np.mean(np.square((hr - lr)[:, inside, inside])))
    pictures = range(len(store.train))
    errors = np.concatenate([patch_errors(store, one, margin, channels) for one in pictures])
    assert errors == pytest.approx(expected, rel=1e-4)
    importance = measure_importance(store, margin, "by_error", "psnr", channels)
    assert importance is not None


@IN_COLOUR
@pytest.mark.parametrize("padding", ["none", "zero"])
def test_validation_is_of_the_luma_that_evaluation_measures(
    dataset: Dataset, store: Store, channels: str, padding: str
) -> None:
    network = Architecture("9-1-5", padding=padding, channels=channels)
    weights = random_weights(network)
    enlarge = Upscaler(build_onnx(weights, network, 2)).upscale_pixels
    scored = score_photos(dataset.photos("valid"), 2, 2, enlarge, channels)
    expected = summarize(score for _, score in scored).srcnn_psnr
    assert make_validation(store, Chain(network), alone(CPU)).score(weights) == pytest.approx(
        expected, abs=1e-12
    )


@IN_COLOUR
@pytest.mark.parametrize("optimizer", ["muon", "adam"])
def test_a_step_goes_downhill_for_every_layer(store: Store, channels: str, optimizer: str) -> None:
    settings = replace(QUICK, channels=channels, optimizer=optimizer)
    sampler = PatchSampler(store, CPU, channels=channels)
    learner = Learner(settings, sampler, alone(CPU))
    before = learner.weights()
    batch = sampler.gather(torch.arange(16))
    losses = [float(learner.step(*batch, lr=2e-4)) for _ in range(12)]
    assert losses[-1] < losses[0]
    assert all((learner.weights()[name] != before[name]).any() for name in before)
    # Where a training goes on, it has to be with the same state.
    again = Learner(settings, sampler, alone(CPU))
    again.load_state(learner.state())
    steps = [float(one.step(*batch, lr=2e-4)) for one in (learner, again)]
    assert steps[0] == steps[1]
    for name, value in learner.weights().items():
        assert np.array_equal(value, again.weights()[name])


@IN_COLOUR
def test_an_untouched_network_is_bicubic_and_validated_as_such(store: Store, channels: str) -> None:
    settings = replace(QUICK, channels=channels)
    begun = plan_fit(store, settings, alone(CPU))
    assert is_bicubic(begun.best, settings)
    assert begun.progress.best_epoch == 0
    assert begun.progress.best_val_psnr == begun.validate(begun.best)
    assert "9-1-5 " + channels in begun.describe()
