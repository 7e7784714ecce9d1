"""`main` on photographs with a part for promotions alone."""

from pathlib import Path

import mlflow
import pytest
from PIL import Image

from srcnn_mlflow.commands.main import run_main
from srcnn_mlflow.commands.train_request import TrainRequest
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.tracking.active_run import DESCRIPTION
from srcnn_mlflow.tracking.decisions import find_decisions
from srcnn_mlflow.training.settings import TrainingSettings
from tests.conftest import put_store, textured_pixels

pytestmark = pytest.mark.slow


def test_the_gate_decides_and_the_test_pictures_choose_nothing(
    photo_folder: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    monkeypatch.chdir(photo_folder.parent)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, photo_folder.parent))
    (photo_folder / "gate").mkdir()
    for number in range(6):
        pixels = textured_pixels(66, 80, 60 + number)
        Image.fromarray(pixels).save(photo_folder / "gate" / f"gate{number}.png")
    settings = TrainingSettings(architecture="9-1-5", epochs=1)
    run_main(TrainRequest(2, "photos", 33, 14, None, settings), "cpu")
    # What decides has pictures enough; and the last lines tell where to look.
    assert not any("to replace" in line for line in said)
    assert "/#/experiments/" in "\n".join(said[-2:])
    runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
    images = {run.data.tags["entry_point"]: run.data.metrics.get("images") for run in runs}
    assert (images["evaluate"], images["promote"]) == (3, 6)
    told = {run.data.tags["entry_point"]: run.data.tags[DESCRIPTION] for run in runs}
    assert "srcnn-x2/1" in told["main"]
    assert "on 3 pictures" in told["main"]
    assert "6 pictures" in told["promote"]
    assert all("|" in told[one] for one in ("main", "evaluate", "promote"))
    for run in runs:
        for value in run.data.metrics.values():
            assert value == float(f"{value:.6g}")
    chosen = {
        split: find_decisions(load_dataset("photos").measured(split).digest)
        for split in ("valid", "test", "gate")
    }
    assert {split: (one.promotions, one.epochs) for split, one in chosen.items()} == {
        **{"valid": (0, 1), "test": (0, 0), "gate": (1, 0)},
    }


def test_too_few_test_pictures_are_told_before_the_training(
    photo_folder: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    monkeypatch.chdir(photo_folder.parent)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, photo_folder.parent))
    settings = TrainingSettings(architecture="9-1-5", epochs=1)
    run_main(TrainRequest(2, "photos", 33, 14, None, settings), "cpu")
    (told,) = [place for place, line in enumerate(said) if "takes at least 5" in line]
    assert "photos has 3 test picture(s)" in said[told]
    assert told < next(place for place, line in enumerate(said) if line.startswith("epoch 1"))
