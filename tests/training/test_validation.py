"""Validation by torch on a device, held against what ONNX Runtime gives."""

from pathlib import Path

import numpy as np
import pytest
import torch

from srcnn_mlflow.network import upscaler as upscaler_module
from srcnn_mlflow.network.architecture import Architecture
from srcnn_mlflow.network.plain_weights import Weights
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.pictures.pairs import make_small
from srcnn_mlflow.pictures.store import Store, open_store
from srcnn_mlflow.pictures.store_file import StoreSettings
from srcnn_mlflow.pictures.store_writer import prepare
from srcnn_mlflow.training.distributed import World, alone
from srcnn_mlflow.training.model import Chain
from srcnn_mlflow.training.validation import (
    Pair,
    make_validation,
    score_as_shipped,
    score_on_device,
    validation_planes,
)
from tests.conftest import textured_pixels
from tests.network.test_network import every_network, random_weights

CPU = torch.device("cpu")


def make_pairs(scale: int, network: Architecture | None = None) -> list[Pair]:
    """Pairs of luma; for a network on three planes in colour, and the last of them in grey."""
    sizes = [(60, 84), (36, 48), (96, 24)]
    pictures = [textured_pixels(*size, seed=7) for size in sizes]
    if network is None or network.planes == 1:
        pictures = [picture[..., 0] for picture in pictures]
    pictures[-1] = pictures[-1] if pictures[-1].ndim == 2 else pictures[-1][..., 0]
    return [make_small(picture, scale)[:2] for picture in pictures]


@pytest.fixture
def store(photo_folder: Path) -> Store:
    settings = StoreSettings(2, 25, 14)
    return open_store(*prepare(load_dataset(str(photo_folder)), settings, photo_folder).files)


@every_network
@pytest.mark.parametrize("tile", [20, 512])
def test_a_device_gives_the_score_of_what_is_shipped(
    network: Architecture, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upscaler_module, "TILE", tile)
    weights = random_weights(network)
    for scale in (2, 3):
        pairs = make_pairs(scale, network)
        shipped = score_as_shipped(pairs, Chain(network), scale)(weights)
        found = score_on_device(pairs, Chain(network), scale, CPU)(weights)
        # A pixel on the border between two grey levels may fall to either side.
        assert found == pytest.approx(shipped, abs=2e-3)
        assert len(found) == len(pairs)


def test_every_call_scores_the_weights_it_is_given() -> None:
    network = Architecture()
    score = score_on_device(make_pairs(2), Chain(network), 2, CPU)
    weights = random_weights(network)
    nothing: Weights = {name: np.zeros_like(array) for name, array in weights.items()}
    assert score(weights) != score(nothing)
    assert score(nothing) == score_as_shipped(make_pairs(2), Chain(network), 2)(nothing)


def test_no_pictures_have_no_scores() -> None:
    network = Architecture()
    for score in (
        score_as_shipped([], Chain(network), 2),
        score_on_device([], Chain(network), 2, CPU),
    ):
        assert score(random_weights(network)) == []


def test_the_mean_is_over_all_validation_pictures(store: Store) -> None:
    network = Architecture("9-1-5")
    weights = random_weights(network)
    pairs = [(original, small) for original, small, _ in validation_planes(store)]
    scores = score_as_shipped(pairs, Chain(network), 2)(weights)
    assert len(scores) == len(store.valid) >= 1
    assert make_validation(store, Chain(network), alone(CPU)).score(weights) == pytest.approx(
        np.mean(scores)
    )


@pytest.mark.filterwarnings("error")
def test_planes_of_a_prepared_file_go_to_the_device_without_a_warning(store: Store) -> None:
    network = Architecture("9-1-5")
    pairs = [(original, small) for original, small, _ in validation_planes(store)]
    assert len(score_on_device(pairs, Chain(network), 2, CPU)(random_weights(network))) == len(
        pairs
    )


def test_processes_share_the_pictures(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    network = Architecture("9-1-5")
    weights = random_weights(network)
    monkeypatch.setattr(World, "add_up", lambda _, values: values)
    worlds = [World(rank, 2, CPU) for rank in range(2)]
    parts = [make_validation(store, Chain(network), one).score(weights) for one in worlds]
    monkeypatch.undo()
    whole = make_validation(store, Chain(network), alone(CPU)).score(weights)
    assert sum(parts) == pytest.approx(whole)
