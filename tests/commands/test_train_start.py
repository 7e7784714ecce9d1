"""`init_from`: a training that begins with a model's weights, from the command to the version."""

import re
import shutil
from pathlib import Path

import mlflow
import numpy as np
import onnx
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from srcnn_mlflow.commands.train_request import TrainRequest
from srcnn_mlflow.commands.train_start import find_start, weights_digest
from srcnn_mlflow.network.onnx_export import read_network
from srcnn_mlflow.network.shipped import SHIPPED, full_name, shipped_network
from srcnn_mlflow.tracking import registry
from srcnn_mlflow.training.settings import TrainingSettings
from tests.conftest import put_store, run_here, write_crops

pytestmark = pytest.mark.slow

SHORT = ("--dataset", "photos", "--epochs", "1", "--stride", "60", "--precision", "float32")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path) -> Path:
    """Photographs, and a registry in which srcnn-x2 version 1 holds the shipped 9-1-5."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    write_crops(tmp_path / "photos", 120, train=3, valid=2, test=2)
    with mlflow.start_run():
        network = tmp_path / registry.NETWORK_FILE
        shutil.copyfile(shipped_network(2, "shipped-9-1-5"), network)
        assert registry.register(2, network, {}) == 1
    return tmp_path


def train(folder: Path, *more: str) -> tuple[str, Run]:
    done = run_here("train", *SHORT, *more, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr, newest()


def newest() -> Run:
    (run,) = mlflow.search_runs(
        search_all_experiments=True,
        filter_string="tags.entry_point = 'train'",
        order_by=["tags.sequence DESC"],
        output_format="list",
        max_results=1,
    )
    return run


def version(scale: int, number: int) -> dict[str, str]:
    return dict(MlflowClient().get_model_version(f"srcnn-x{scale}", str(number)).tags)


def network_of(scale: int, number: int) -> dict[str, np.ndarray]:
    return dict(read_network(registry.find_model(str(number), scale).network).weights)


def test_a_version_is_gone_on_with_and_named(folder: Path) -> None:
    # A rate at which nothing is better than the network that it begins with.
    harmful = ("--architecture", "9-1-5", "--lr", "0.01", "--optimizer", "adam")
    out, run = train(folder, *harmful, "--init-from", "challenger")
    assert "beginning with the weights of srcnn-x2 version 1 (9-1-5)" in out
    shipped = read_network(shipped_network(2, "shipped-9-1-5")).weights
    digest = weights_digest({n: shipped[n] for n in TrainingSettings("9-1-5").network.shapes})
    assert run.data.params["init_from"] == f"models:/srcnn-x2/1#{digest}"
    assert run.data.tags["init_from"] == f"models:/srcnn-x2/1#{digest}"
    assert run.data.metrics["best_epoch"] == 0
    unchanged = f"models:/srcnn-x2/1#{digest} unchanged, because no epoch was better than it"
    assert run.data.tags["warning"] == version(2, 2)["warning"] == unchanged
    assert version(2, 2)["init_from"] == f"models:/srcnn-x2/1#{digest}"
    mine = network_of(2, 2)
    assert all(np.array_equal(mine[name], shipped[name]) for name in shipped)
    # What it was logged as is what it can be repeated with.
    again, _ = find_start(
        TrainRequest(2, "photos", 33, 60, None, TrainingSettings("9-1-5"), f"srcnn-x2/1#{digest}")
    )
    assert again.init_from == f"models:/srcnn-x2/1#{digest}"


def test_x3_begins_with_x2_and_main_with_what_ships(folder: Path) -> None:
    out, run = train(
        folder, "--scale", "3", "--architecture", "9-5-5", "--init-from", "srcnn-x2@challenger"
    )
    told = "these layers of srcnn-x2 version 1 do not fit 9-5-5, and begin anew: conv2"
    assert told in out
    assert run.data.params["init_from"].startswith("models:/srcnn-x2/1#")
    assert "was trained with padding" not in out
    done = run_here(
        "main",
        "--dataset",
        "photos",
        "--epochs",
        "1",
        "--architecture",
        "9-1-5",
        "--init-from",
        "shipped",
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(f"{full_name(SHIPPED)}#[0-9a-f]{{32}}", newest().data.params["init_from"])
    # Of the weights that ship it is not known what they have seen.
    assert "which pictures srcnn-x2/2 was trained on is not known" in done.stdout


def test_other_edges_than_those_it_was_trained_with_are_told(folder: Path, said: list[str]) -> None:
    assert folder
    for padding, told in (("zero", True), ("none", False)):
        said.clear()
        settings = TrainingSettings("9-1-5", padding=padding)
        find_start(TrainRequest(2, "photos", 33, 60, None, settings, "srcnn-x2/1"))
        begins = f"srcnn-x2 version 1 was trained with padding=none, and this one has {padding}"
        assert any(line.startswith(begins) for line in said) == told


def test_what_a_start_has_seen_its_successor_has_seen(folder: Path) -> None:
    shutil.copytree(folder / "photos", folder / "others")
    train(folder, "--architecture", "9-1-5")
    shutil.rmtree(folder / "photos" / "train")
    write_crops(folder / "new", 90, train=6)
    shutil.copytree(folder / "new" / "train", folder / "photos" / "train")
    train(folder, "--architecture", "9-1-5", "--init-from", "newest", "--seed", "1")
    done = run_here(
        "evaluate", "--model", "3", "--dataset", "others", "--split", "train", cwd=folder
    )
    assert "srcnn-x2/3 has seen 3 of 3 of these pictures in its training" in done.stdout
    assert "is not known" not in done.stdout


def test_an_interrupted_training_goes_on_without_its_start(folder: Path) -> None:
    from tests.commands.test_train import interrupted_after

    settings = ("--architecture", "9-1-5", "--epochs", "2", "--init-from", "1")
    arguments = ("train", *SHORT[:2], *SHORT[4:], *settings)
    whole = run_here(*arguments, cwd=folder)
    assert whole.returncode == 0, whole.stderr
    best = newest().data.metrics["val_psnr"]
    with interrupted_after(1):
        if run_here(*arguments, cwd=folder).returncode == 130:
            raise KeyboardInterrupt
    shutil.rmtree(registry.find_model("1", 2).folder)
    resumed = run_here("train", "--resume", newest().info.run_id, cwd=folder)
    assert resumed.returncode == 0, resumed.stderr
    assert newest().data.metrics["val_psnr"] == best


REFUSED = {
    "no version": (("--init-from", "9"), "there is no model models:/srcnn-x2/9"),
    "no alias": (("--init-from", "champion"), "the registry has no champion of srcnn-x2"),
    "no model": (("--init-from", "./nothing"), "there is no model ./nothing"),
    "not the same": (("--init-from", f"1#{'0' * 32}"), "are not those of 1#0000"),
    "no layer fits": (
        ("--init-from", "1", "--architecture", "3-3:5"),
        "srcnn-x2 version 1 (9-1-5) has no layer that fits 3-3:5; give init_from a model of such",
    ),
    "other meaning": (
        ("--init-from", "1", "--residual", "false"),
        "was trained with residual=true, and this training has false",
    ),
    "colour": (("--init-from", "colour"), "works on channels=rgb, and this training on y"),
    "another's": (("--init-from", "another"), "another is no model of srcnn-mlflow"),
    "no ONNX": (("--init-from", "broken"), "broken holds no ONNX network that can be read"),
}


def test_what_cannot_be_begun_with_is_refused_in_one_line(folder: Path) -> None:
    def model(name: str) -> Path:
        shutil.copytree(registry.find_model("1", 2).folder, folder / name)
        (network,) = (folder / name).glob(f"**/{registry.NETWORK_FILE}")
        return network

    colour = onnx.load(model("colour"))
    said = colour.metadata_props.add()
    said.key, said.value = "channels", "rgb"
    (network,) = (folder / "colour").glob(f"**/{registry.NETWORK_FILE}")
    network.write_bytes(colour.SerializeToString())
    another = onnx.load(model("another"))
    del another.metadata_props[:]
    (network,) = (folder / "another").glob(f"**/{registry.NETWORK_FILE}")
    network.write_bytes(another.SerializeToString())
    model("broken").write_bytes(b"no ONNX")
    for arguments, reason in REFUSED.values():
        done = (
            run_here("train", *SHORT, "--architecture", "9-1-5", *arguments, cwd=folder)
            if ("--architecture" not in arguments)
            else run_here("train", *SHORT, *arguments, cwd=folder)
        )
        assert done.returncode == 1, arguments
        (line,) = done.stderr.splitlines()[-1:]
        assert line.startswith("error: ")
        assert reason in line
    assert not mlflow.search_runs(
        search_all_experiments=True,
        filter_string="tags.entry_point = 'train'",
        output_format="list",
    )
    assert registry.version_with_alias(2, "challenger") == 1
