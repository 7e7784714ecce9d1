"""A picture that a model was trained on is told when the model is judged."""

import shutil
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from PIL import Image

from srcnn_mlflow.commands.compare import compare
from srcnn_mlflow.commands.evaluate import evaluate
from srcnn_mlflow.commands.promote import promote
from srcnn_mlflow.commands.train import train
from srcnn_mlflow.commands.train_request import TrainRequest
from srcnn_mlflow.network.shipped import SHIPPED, full_name, shipped_network
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.tracking import registry
from srcnn_mlflow.tracking.seen_pictures import find_seen, log_seen
from srcnn_mlflow.training.settings import TrainingSettings
from tests.conftest import put_store, write_crops

pytestmark = pytest.mark.slow

# Versions: one that knows what it was trained on, and one from before that was kept.
KNOWS, OLDER = 1, 2


@pytest.fixture
def flat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path) -> Path:
    """A flat folder of which version 1 was trained on two splits, and a registry."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    write_crops(tmp_path / "crops", 140, train=8, valid=2, test=3)
    folder = tmp_path / "flat"
    folder.mkdir()
    for path in (tmp_path / "crops").glob("*/*.png"):
        shutil.move(path, folder / path.name)
    dataset = load_dataset("flat")
    network = tmp_path / registry.NETWORK_FILE
    shutil.copyfile(shipped_network(2), network)
    with mlflow.start_run():
        log_seen(dataset.split(split) for split in ("train", "valid"))
        assert registry.register(2, network, {}) == KNOWS
    with mlflow.start_run():
        assert registry.register(2, network, {}, alias=None) == OLDER
    return folder


def told(said: list[str]) -> list[str]:
    return [line for line in said if "has seen" in line or "is not known" in line]


def tag(entry_point: str, name: str) -> str | None:
    (run,) = mlflow.search_runs(
        search_all_experiments=True,
        filter_string=f"tags.entry_point = '{entry_point}'",
        output_format="list",
    )
    return run.data.tags.get(f"seen_in_training/{name}")


def test_a_trained_picture_that_became_the_test_picture_is_told(
    flat: Path, said: list[str]
) -> None:
    for photo in load_dataset("flat").photos("test"):
        photo.path.unlink()
    (moved,) = load_dataset("flat").photos("test")
    evaluate(2, str(KNOWS), "flat", "test", None)
    (line,) = told(said)
    assert line.startswith(
        "srcnn-x2/1 has seen 1 of 1 of these pictures in its training, or copies of them: "
        f"{moved.name} ({moved.name} of "
    )
    assert (tag("evaluate", "srcnn-x2_1") or "").startswith(f"1 of 1: {moved.name}")
    assert flat.is_dir()


@pytest.mark.usefixtures("flat")
def test_pictures_that_a_model_has_not_seen_are_not_told(said: list[str]) -> None:
    evaluate(2, str(KNOWS), "flat", "test", None)
    assert told(said) == []
    assert tag("evaluate", "srcnn-x2_1") is None


@pytest.mark.usefixtures("flat")
def test_of_a_version_that_has_not_kept_its_pictures_it_is_said_that_they_are_not_known(
    said: list[str],
) -> None:
    evaluate(2, str(OLDER), "flat", "test", None)
    evaluate(2, "shipped", "flat", "test", None)
    assert [line.split()[2] for line in told(said)] == ["srcnn-x2/2", f"{full_name(SHIPPED)}-x2"]
    assert all("is not known; it may have seen some of these" in line for line in told(said))


def test_copies_in_another_data_set_are_told_by_all_who_judge(flat: Path, said: list[str]) -> None:
    (flat.parent / "other" / "test").mkdir(parents=True)
    seen = load_dataset("flat").photos("train")[0]
    with Image.open(seen.path) as image:
        small = image.transpose(Image.Transpose.ROTATE_90).resize((100, 100))
    small.convert("RGB").save(flat.parent / "other" / "test" / "copy.jpg", quality=90)
    compare(f"srcnn-x2/{KNOWS}+srcnn-x2/{OLDER}", "other", "test")
    MlflowClient().set_registered_model_alias("srcnn-x2", "champion", str(KNOWS))
    promote(2, str(OLDER), "other")
    lines = told(said)
    assert [line.split()[0] for line in lines] == ["srcnn-x2/1", "which", "which", "srcnn-x2/1"]
    assert f"copy.jpg ({seen.name} of train)" in lines[0]
    for entry_point in ("compare", "promote"):
        assert (tag(entry_point, "srcnn-x2_1") or "").startswith("1 of 1: copy.jpg")


def test_a_model_from_another_store_is_not_known(flat: Path) -> None:
    found = registry.find_model(str(KNOWS), 2)
    seen = find_seen(found)
    assert seen is not None
    assert {one.split for one in seen} == {"train", "valid"}
    text = (found.folder / "MLmodel").read_text()
    run_id = next(line for line in text.splitlines() if line.startswith("run_id: "))
    elsewhere = flat.parent / "elsewhere"
    shutil.copytree(found.folder, elsewhere)
    (elsewhere / "MLmodel").write_text(text.replace(run_id, f"run_id: {'0' * 32}"))
    assert find_seen(registry.find_model(str(elsewhere), 2)) is None


def test_a_training_keeps_what_it_has_seen(flat: Path) -> None:
    settings = TrainingSettings(architecture="9-1-5", epochs=1)
    trained = train(TrainRequest(2, str(flat), 33, 33, 3, settings), "cpu")
    seen = find_seen(registry.find_model(str(trained.version), 2))
    dataset = load_dataset(str(flat)).with_train_images(3)
    assert seen is not None
    assert [(one.split, one.identity) for one in seen] == [
        (split, photo.identity) for split in ("train", "valid") for photo in dataset.photos(split)
    ]
