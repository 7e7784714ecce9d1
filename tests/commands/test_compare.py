"""`compare` with real models in a real registry."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import Run
from PIL import Image

from srcnn_mlflow.commands import compare as command
from srcnn_mlflow.commands.evaluate import evaluate
from srcnn_mlflow.machine.errors import DatasetError, ModelError
from srcnn_mlflow.machine.text import as_markdown, rounded
from srcnn_mlflow.network import shipped
from srcnn_mlflow.network.architecture import Architecture
from srcnn_mlflow.network.onnx_export import read_layers, save_onnx
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.pictures.photos import digest
from srcnn_mlflow.tracking import registry
from srcnn_mlflow.tracking.card_facts import find_card_facts
from srcnn_mlflow.tracking.versions import find_versions
from tests.conftest import put_store, run_here, runs_of

pytestmark = pytest.mark.slow

WEIGHTS = shipped.FOLDER
# Versions of srcnn-x2: the shipped network, and one that changes nothing of bicubic's result.
SHIPPED, IDLE = 1, 2


def copy_network(scale: int, folder: Path) -> Path:
    path = folder / registry.NETWORK_FILE
    path.write_bytes((WEIGHTS / f"srcnn-9-1-5-x{scale}.onnx").read_bytes())
    return path


def idle_network(folder: Path) -> Path:
    """A residual 9-5-5 of nothing but zeros."""
    network = Architecture("9-5-5")
    weights = {name: np.zeros(shape, np.float32) for name, shape in network.shapes.items()}
    path = folder / registry.NETWORK_FILE
    save_onnx(path, weights, network, 2)
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Path]:
    """A folder with photographs, and a registry with two versions of x2 and one of x4."""
    folder = tmp_path_factory.mktemp("registry")
    test = folder / "photos" / "test"
    test.mkdir(parents=True)
    for photo in load_dataset("samples").photos("test")[:4]:
        middle = Image.open(photo.path).crop((150, 100, 291, 230))
        middle.save(test / f"{photo.path.stem}.png")
    # Large enough for x2, which leaves out 2 pixels along each edge, but not for x4.
    Image.effect_noise((18, 18), 60).save(test / "small.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, folder))
        with mlflow.start_run():
            assert registry.register(2, copy_network(2, folder), {}, alias="champion") == SHIPPED
            assert registry.register(2, idle_network(folder), {}) == IDLE
            registry.register(4, copy_network(4, folder), {})
        client = MlflowClient()
        for alias in ("champion", "mine"):
            client.set_registered_model_alias("srcnn-x4", alias, "1")
        yield folder


def newest_comparison() -> Run:
    (run,) = mlflow.search_runs(
        search_all_experiments=True,
        filter_string="tags.entry_point = 'compare'",
        order_by=["attributes.start_time DESC"],
        max_results=1,
        output_format="list",
    )
    return run


def artifact(run: Run, name: str) -> str:
    uri = f"runs:/{run.info.run_id}/{command.ARTIFACTS}/{name}"
    return Path(download_artifacts(uri)).read_text(encoding="utf-8")


@pytest.mark.usefixtures("store")
def test_all_versions_with_an_alias_are_compared_once_by_what_evaluate_measures(
    said: list[str],
) -> None:
    compared = command.compare("all", "photos", "test")
    assert [model.name for model in compared] == [
        "srcnn-x2/1 (champion)",
        "srcnn-x2/2 (challenger)",
        "srcnn-x4/1 (challenger, champion)",
    ]
    assert [(model.architecture, model.weights) for model in compared] == [
        ("9-1-5", 8_129),
        ("9-5-5", 57_281),
        ("9-1-5", 8_129),
    ]
    shipped, idle, _ = (model.summary for model in compared)
    assert idle.psnr_gain == pytest.approx(0, abs=1e-3)
    assert shipped.psnr_gain > 0.5
    assert all(model.seconds > 0 for model in compared)
    # The same pictures without the one that x4 cannot be judged on.
    Path("photos/test/small.png").rename("small.png")
    try:
        for model, scale, version in zip(compared, (2, 2, 4), ("1", "2", "1"), strict=True):
            again = evaluate(scale, version, "photos", "test", None)
            assert model.summary == again.summary
    finally:
        Path("small.png").rename("photos/test/small.png")
    _check_run(newest_comparison())
    # Of x4 there is one version alone, which leads nothing.
    (told,) = [text for text in said if text.startswith("On these ")]
    lead = shipped.srcnn_psnr - idle.srcnn_psnr
    assert told.startswith(f"On these 4 pictures srcnn-x2/1 is {lead:.2f} dB above srcnn-x2/2 (95 ")
    # Gains that differ this much say little on four pictures.
    assert told.endswith("): within chance.")
    assert f"\n\n{as_markdown(told)}\n\n" in artifact(newest_comparison(), "table.md")
    assert any(re.search(r"small\.png: \d+x\d+ is too small", text) for text in said)
    assert (
        "all models are compared on the 4 of 5 pictures that every one of them could be judged on"
    ) in said


def _check_run(run: Run) -> None:
    assert run.info.status == "FINISHED"
    assert run.data.params == {
        **{"models": "all", "dataset": "photos", "split": "test", "gate_split": "false"},
    }
    assert run.data.tags["model_uri"] == (
        "models:/srcnn-x2/2+models:/srcnn-x2/1+models:/srcnn-x4/1"
    )
    table = json.loads(artifact(run, "table.json"))
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert [row["label"] for row in rows] == ["srcnn-x2/1", "srcnn-x2/2", "srcnn-x4/1"]
    assert [row["images"] for row in rows] == [4, 4, 4]
    below = runs_of(MlflowClient(), f"tags.mlflow.parentRunId = '{run.info.run_id}'")[::-1]
    assert [one.data.params["label"] for one in below] == [row["label"] for row in rows]
    assert [one.data.tags["entry_point"] for one in below] == ["compare-version"] * 3
    for one, row in zip(below, rows, strict=True):
        for name in ("srcnn_psnr", "psnr_gain", "srcnn_ssim", "seconds"):
            assert one.data.metrics[name] == rounded(row[name])
    # A model's page has them by the names that `evaluate` gives, and the pictures that count.
    shared = [photo for photo in load_dataset("photos").photos("test") if photo.name != "small.png"]
    for one, row in zip(below, rows, strict=True):
        number, scale = row["label"].rpartition("/")[2], int(row["label"][7])
        model_id = registry.logged_id(registry.find_model(number, scale))
        # A search does not give the models of a run.
        inputs = mlflow.get_run(run.info.run_id).inputs
        assert inputs is not None
        assert model_id in {used.model_id for used in inputs.model_inputs}
        own = {
            score.key: score
            for score in MlflowClient().get_logged_model(str(model_id)).metrics or []
            if score.run_id == one.info.run_id
        }
        assert own["srcnn_psnr"].value == rounded(row["srcnn_psnr"])
        assert own["srcnn_psnr"].dataset_digest == digest(shared)
        # Its card names the comparison, too, once.
        contests = find_card_facts(scale, int(number)).contests
        (named,) = [one for one in contests if one.page.run_id == run.info.run_id]
        assert (named.kind, named.dataset) == ("comparison", "photos")
        assert row["label"].partition(" ")[0] in named.of
    page = artifact(run, "table.md")
    assert page.index("| srcnn-x2/1 ") < page.index("| srcnn-x2/2 ")
    assert "| srcnn-x4/1 (challenger, champion) | x4 " in page
    assert "Seconds are this machine's" in artifact(run, "table.md")
    images = json.loads(artifact(run, "images.json"))
    assert images["models"] == {"2": "srcnn-x2/1", "4": "srcnn-x4/1"}
    assert images["extremes"] == 2
    assert len(images["pictures"]) == 4
    assert [pair["scales"] for pair in images["shared"]] == [[2, 4]]
    assert "Of 4 pictures, among the best 2 at both x2 and x4" in artifact(run, "images.md")
    assert run.inputs is not None
    assert [entry.dataset.name for entry in run.inputs.dataset_inputs] == ["photos"]


def test_the_command_compares_and_draws(store: Path) -> None:
    result = run_here(
        *("compare", "--models", "srcnn-x4@mine+models:/srcnn-x4/1+srcnn-x4/1"),
        *("--dataset", "photos"),
        cwd=store,
    )
    assert result.returncode == 0, result.stderr
    assert "| srcnn-x4/1 (mine) | x4 " in result.stdout
    assert "All models are of x4; a second scale would show" in result.stdout
    assert "table, figure and pictures: " in result.stdout
    run = newest_comparison()
    figure = download_artifacts(f"runs:/{run.info.run_id}/{command.ARTIFACTS}/figure.png")
    with Image.open(figure) as picture:
        assert "srcnn-x4/1 (mine): +" in picture.info["Description"]


@pytest.mark.usefixtures("store")
def test_versions_stand_in_the_order_they_are_named_in() -> None:
    versions = find_versions("srcnn-x4/1+srcnn-x2@champion+srcnn-x2/1+srcnn-x4@champion")
    assert [(version.found.label, version.aliases) for version in versions] == [
        ("srcnn-x4/1", ("champion",)),
        ("srcnn-x2/1", ("champion",)),
    ]


@pytest.mark.parametrize(
    ("models", "says"),
    [
        ("srcnn-x5/1", "model 'srcnn-x5/1' does not name a registered version; give srcnn-x4@"),
        ("srcnn-x2@champion+", "model '' does not name a registered version"),
        ("champion", "model 'champion' does not name a registered version"),
        ("srcnn-x2", "model 'srcnn-x2' does not name"),
        ("models:/other/1", "model 'models:/other/1' does not name"),
        ("all+srcnn-x2/1", "model 'all' does not name"),
        ("srcnn-x2/77", "there is no model models:/srcnn-x2/77"),
        ("srcnn-x3@champion", "the registry has no champion of srcnn-x3; train one with scale=3"),
        ("srcnn-x2@best", "the registry has no best of srcnn-x2"),
    ],
)
@pytest.mark.usefixtures("store")
def test_what_is_no_version_is_named(models: str, says: str) -> None:
    with pytest.raises(ModelError, match=f"^{says}"):
        find_versions(models)


def test_without_any_version_one_is_told_to_train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/empty.db")
    with pytest.raises(ModelError, match=r"no challenger or champion of srcnn-x2, .*train one"):
        find_versions("all")


def test_pictures_too_small_for_every_scale_are_an_error(store: Path) -> None:
    (store / "tiny" / "test").mkdir(parents=True)
    Image.effect_noise((18, 18), 60).save(store / "tiny" / "test" / "small.png")
    with pytest.raises(DatasetError, match="none of the 1 pictures can be compared at scale 4"):
        command.compare("srcnn-x2/1+srcnn-x4/1", "tiny", "test")


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("srcnn-x4@champion", (4, "champion")),
        ("srcnn-x3@previous-champion", (3, "previous-champion")),
        ("srcnn-x2/31", (2, "31")),
        ("models:/srcnn-x4/3", (4, "3")),
        ("models:/srcnn-x4@champion", (4, "champion")),
    ],
)
def test_references_are_taken_apart(reference: str, parts: tuple[int, str]) -> None:
    assert registry.parse_reference(reference) == parts


def test_layers_are_read_from_the_file(tmp_path: Path) -> None:
    assert read_layers(idle_network(tmp_path)) == ("9-5-5", 57_281)
    assert read_layers(WEIGHTS / "srcnn-9-1-5-x3.onnx") == ("9-1-5", 8_129)
