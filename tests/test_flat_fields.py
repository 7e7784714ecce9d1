"""`tools/flat_fields.py`: a network that changes flat fields, and what becomes of it."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from flat_fields import flatten, levels_off
from onnx import numpy_helper

from srcnn_mlflow.measuring.evaluation import score_photos, summarize
from srcnn_mlflow.network.shipped import shipped_network
from srcnn_mlflow.network.upscaler import Upscaler
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.pictures.photos import Photo
from tests.conftest import sampled, write_crops


def lightened(folder: Path, name: str, scale: int) -> Path:
    """A network that ships, made to lighten whatever passes through its brightest features."""
    network = folder / "network.onnx"
    shutil.copyfile(shipped_network(scale, name), network)
    model = onnx.load(network)
    for one in model.graph.initializer:
        if one.name == "conv3.weight":
            kernel = numpy_helper.to_array(one) + np.float32(2e-3)
            one.CopyFrom(numpy_helper.from_array(kernel, one.name))
    onnx.save(model, network)
    return network


def psnr(network: Path, photos: tuple[Photo, ...], scale: int) -> float:
    scored = score_photos(photos, scale, scale, Upscaler(network).upscale_luma)
    return summarize(score for _, score in scored).srcnn_psnr


@pytest.mark.parametrize(
    ("name", "scale"), sampled([("shipped-9-1-5", 2), ("shipped-9-1-5", 3), ("shipped-9-1-5", 4)])
)
def test_flat_fields_become_flat_and_pictures_lose_nothing(
    tmp_path: Path, name: str, scale: int
) -> None:
    write_crops(tmp_path / "crops", 96, train=6, valid=1, test=4)
    data = load_dataset(str(tmp_path / "crops"))
    network = lightened(tmp_path, name, scale)
    before = psnr(network, data.photos("test"), scale)
    assert levels_off(network) >= 1
    flatten(network, data.photos("train"), scale)
    assert levels_off(network) == 0
    # What was put in took something from the pictures, too.
    assert psnr(network, data.photos("test"), scale) > before
