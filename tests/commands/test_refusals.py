"""A refused command has no run of its own; where `mlflow run` has opened one, it says why."""

import shutil
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from PIL import Image

from srcnn_mlflow.network.shipped import shipped_network
from srcnn_mlflow.tracking import registry
from tests.conftest import put_store, run_here, runs_of, textured_pixels
from tests.training.test_foreign_weights import saved, state_of

pytestmark = pytest.mark.slow

SHIPPED = ("--model", "shipped")
REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    "train: no data set": (("train", "--dataset", "nowhere"), "is not a folder that exists"),
    "train: small patches": (
        ("train", "--dataset", "photos", "--patch-size", "9"),
        "patch_size 9 leaves nothing of a patch",
    ),
    "train: large patches": (
        ("train", "--dataset", "photos", "--patch-size", "900"),
        "none of the 1 training pictures of data set photos holds a patch of 900x900 pixels",
    ),
    "train: plain validation pictures": (
        ("train", "--dataset", "plain"),
        "none of the 1 pictures can be compared",
    ),
    "train: no GPU": (("train", "--dataset", "photos", "--device", "cuda"), "finds no GPU"),
    "train: no run to resume": (
        ("train", "--dataset", "photos", "--resume", "0" * 32),
        "cannot be resumed",
    ),
    "main: no data set": (("main", "--dataset", "nowhere"), "is not a folder that exists"),
    "main: no test pictures": (("main", "--dataset", "untested"), "no picture in its test split"),
    "main: no GPU": (("main", "--dataset", "photos", "--device", "cuda"), "finds no GPU"),
    "reproduce: no data set": (("reproduce", "--dataset", "nowhere"), "is not a folder"),
    "reproduce: no test pictures": (("reproduce", "--dataset", "untested"), "in its test split"),
    "evaluate: no data set": (("evaluate", *SHIPPED, "--dataset", "nowhere"), "is not a folder"),
    "evaluate: no such split": (
        ("evaluate", *SHIPPED, "--dataset", "untested"),
        "no picture in its test split",
    ),
    "evaluate: wide border": (
        ("evaluate", *SHIPPED, "--dataset", "photos", "--border", "500"),
        "none of the 1 pictures can be compared at scale 2 with a border of 500",
    ),
    "evaluate: no version": (("evaluate", "--model", "9"), "there is no model models:/srcnn-x2/9"),
    "evaluate: no champion": (
        ("evaluate", "--model", "champion"),
        "the registry has no champion of srcnn-x2",
    ),
    "evaluate: no folder": (("evaluate", "--model", "./nothing"), "there is no model ./nothing"),
    "evaluate: another scale": (
        ("evaluate", "--scale", "3", "--model", "models:/srcnn-x2/1", "--dataset", "photos"),
        "srcnn-x2/1 enlarges by 2, not by 3",
    ),
    "promote: no version": (("promote", "--version", "9"), "there is no model models:/srcnn-x2/9"),
    "promote: no word": (("promote", "--version", "best"), "version 'best' is not challenger"),
    "promote: no former champion": (
        ("promote", "--version", "previous"),
        "srcnn-x2 has had no earlier champion",
    ),
    "promote: no data set": (
        ("promote", "--version", "1", "--dataset", "nowhere"),
        "is not a folder that exists",
    ),
    "promote: small pictures": (
        ("promote", "--version", "1", "--dataset", "small"),
        "none of the 1 pictures can be compared",
    ),
    "compare: no models": (("compare",), "the registry has no challenger or champion"),
    "compare: no version": (("compare", "--models", "srcnn-x2/9"), "there is no model"),
    "compare: no name": (("compare", "--models", "best"), "does not name a registered version"),
    "compare: no data set": (
        ("compare", "--models", "shipped", "--dataset", "nowhere"),
        "is not a folder that exists",
    ),
    "sweep: no data set": (("sweep", "--dataset", "nowhere"), "is not a folder that exists"),
    "sweep: no name": (("sweep", "--study", "a b"), "study 'a b' is not a name"),
    "sweep: no address": (("sweep", "--storage", "somewhere"), "storage is not a database's URL"),
    "sweep: no database": (
        ("sweep", "--dataset", "photos", "--storage", "sqlite:////dev/null/sweep.db"),
        "cannot write /dev/null",
    ),
    "study: no data set": (("study", "--dataset", "nowhere"), "is not a folder that exists"),
    "study: no test pictures": (
        ("study", "--dataset", "photos", "--scale", "2", "--test", "untested"),
        "no picture in its test split",
    ),
    "import-weights: no file": (("import-weights", "--file", "nothing.pth"), "nothing.pth"),
    "import-weights: no data set": (
        ("import-weights", "--file", "weights.pth", "--dataset", "nowhere"),
        "is not a folder that exists",
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    """Data sets, weights, and a registry of one version without an alias."""
    folder = tmp_path_factory.mktemp("refusals")
    splits = {"photos": ("train", "valid", "test"), "untested": ("train", "valid")}
    for name, parts in {**splits, "plain": ("train",), "small": ("train", "valid")}.items():
        for number, split in enumerate(parts):
            (folder / name / split).mkdir(parents=True)
            pixels = textured_pixels(66, 80, number)
            Image.fromarray(pixels).save(folder / name / split / "one.png")
    for name, split, side in (("plain", "valid", 80), ("small", "test", 12)):
        (folder / name / split).mkdir()
        Image.fromarray(np.full((side, side), 9, np.uint8)).save(folder / name / split / "one.png")
    saved(folder, state_of())
    shutil.copyfile(shipped_network(2), folder / registry.NETWORK_FILE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, folder))
        with mlflow.start_run():
            registry.register(2, folder / registry.NETWORK_FILE, {}, alias=None)
        for run in runs_of(MlflowClient()):
            MlflowClient().delete_run(run.info.run_id)
    return folder


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_command_leaves_no_run(
    case: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
    arguments, reason = REFUSED[case]
    done = run_here(*arguments, cwd=folder)
    assert done.returncode == 1
    assert reason in done.stderr
    assert runs_of(MlflowClient()) == []
    versions = MlflowClient().search_model_versions("name = 'srcnn-x2'")
    assert [int(one.version) for one in versions] == [1]


@pytest.mark.parametrize(
    "case", ["evaluate: no data set", "train: small patches", "promote: no word", "main: no GPU"]
)
def test_the_run_of_a_project_is_told_why(
    case: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
    client = MlflowClient()
    # As `mlflow run` does before it starts a command.
    run_id = client.create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    arguments, reason = REFUSED[case]
    assert run_here(*arguments, cwd=folder).returncode == 1
    (run,) = runs_of(client)
    client.delete_run(run_id)
    assert (run.info.run_id, run.info.status) == (run_id, "FAILED")
    assert run.data.tags["entry_point"] == arguments[0]
    assert reason in run.data.tags["failure"]
