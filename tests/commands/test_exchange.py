"""Networks from other programs, and for them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from PIL import Image

from srcnn_mlflow.commands.export import export
from srcnn_mlflow.commands.import_weights import import_weights
from srcnn_mlflow.measuring.evaluation import score_photos, summarize
from srcnn_mlflow.network.architecture import Architecture
from srcnn_mlflow.network.upscaler import Upscaler
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.pictures.imaging import Plane, to_eight_bit, upscale
from srcnn_mlflow.training.model import Srcnn
from tests.conftest import put_store, textured_pixels

pytestmark = pytest.mark.slow


def foreign(name: str = "9-5-5") -> Srcnn:
    torch.manual_seed(0)
    return Srcnn(Architecture(name, residual=False, padding="zero"), "plain")


def test_imported_weights_are_judged_and_exported_ones_run_without_mlflow(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    photo_folder: Path,
    said: list[str],
    empty_store: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    model = foreign()
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    result = import_weights(tmp_path / "weights.pth", 2, str(photo_folder), "test")
    assert "registered srcnn-x2 version 1" in said[1]

    def by_torch(small: Plane) -> Plane:
        bicubic = torch.from_numpy(upscale(small, 2))[None, None] / 255
        with torch.no_grad():
            return to_eight_bit(model(bicubic)[0, 0].numpy() * 255)

    photos = load_dataset(str(photo_folder)).photos("test")
    expected = summarize(score for _, score in score_photos(photos, 2, 2, by_torch))
    assert result.summary.srcnn_psnr == pytest.approx(expected.srcnn_psnr, abs=0.01)
    version = MlflowClient().get_model_version("srcnn-x2", "1")
    assert version.tags["imported_from"] == "weights.pth"
    assert float(version.tags["psnr"]) == pytest.approx(result.summary.srcnn_psnr, abs=1e-4)
    assert not version.aliases
    card = version.description or ""
    assert card.startswith("srcnn-x2 version 1: SRCNN ")
    assert "- Imported from: weights.pth" in card
    assert f"| {result.summary.psnr_gain:+.2f} |" in card
    assert "get-artifact?path=evaluation%2Fbest.png&run_uuid=" in card
    about = MlflowClient().get_registered_model("srcnn-x2").description or ""
    assert about.startswith("Networks that make a picture 2 times as large")

    export(2, "newest", tmp_path / "out")
    script = tmp_path / "out" / "srcnn_x2.py"
    Image.fromarray(textured_pixels(21, 32, 7)).save(tmp_path / "photo.png")
    subprocess.run(
        [sys.executable, script, tmp_path / "photo.png", tmp_path / "result.png"],
        check=True,
    )
    upscaler = Upscaler(tmp_path / "out" / "srcnn-x2.onnx")
    own = upscaler.upscale_image(Image.open(tmp_path / "photo.png"))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "result.png")), np.asarray(own))
