"""`move-models`: what is on the other server afterwards, and what is not done twice."""

import base64
import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, ViewType
from mlflow.entities.model_registry import RegisteredModel
from PIL import Image

from srcnn_mlflow.commands.compare import compare
from srcnn_mlflow.commands.evaluate import evaluate
from srcnn_mlflow.commands.leaderboard import show_leaderboard
from srcnn_mlflow.commands.move_models import move_models
from srcnn_mlflow.commands.promote import promote
from srcnn_mlflow.commands.results import show_results
from srcnn_mlflow.network.shipped import shipped_network
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.tracking import active_run, champions, registry
from srcnn_mlflow.tracking.decisions import find_decisions
from srcnn_mlflow.tracking.descriptions import describe_new
from srcnn_mlflow.tracking.exposure import find_history
from srcnn_mlflow.tracking.moving import Mover
from srcnn_mlflow.tracking.runs import track
from srcnn_mlflow.tracking.seen_pictures import log_seen
from tests.conftest import (
    mlflow_server,
    put_store,
    run_here,
    runs_of,
    sampled,
    textured_pixels,
    write_crops,
)

pytestmark = pytest.mark.slow
NAME = "srcnn-x2"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("other") / "server") as address:
        yield address


@pytest.fixture
def here(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store in which version 3 is champion after version 1, and version 2 was deleted."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    client = MlflowClient()
    for number in (1, 2, 3):
        with track("train", 2, {"seed": number}, f"training {number}"):
            for step in (1, 2):
                mlflow.log_metric("val_psnr", 30 + number + step / 10, step=step)
            registry.register(2, shipped_network(2, "shipped-9-1-5"), {"psnr": f"3{number}"})
    with track("promote", 2, {}, "promotion") as judged:
        mlflow.set_tag("verdict", "promoted")
        third = str(client.get_model_version(NAME, "3").source).removeprefix("models:/")
        point = Metric("srcnn_psnr", 33.0, 1_700_000_000_000, 0, third, "photos", "d" * 8)
        client.log_batch(judged.info.run_id, [point])
    client.set_model_version_tag(NAME, "3", "judged_by", judged.info.run_id)
    client.update_model_version(NAME, "3", "what it is")
    client.update_registered_model(NAME, "what they are")
    client.delete_model_version(NAME, "2")
    champions.promote(2, 1, ())
    champions.promote(2, 3, (1,))
    return tmp_path


def aliases(model: RegisteredModel) -> dict[str, int]:
    """By name; a server gives texts."""
    return {alias: int(number) for alias, number in model.aliases.items()}


def answer(uri: str) -> np.ndarray:
    """What the champion of a store makes of a picture, as it is served."""
    file = io.BytesIO()
    Image.fromarray(textured_pixels(20, 30, 1)).save(file, "PNG")
    frame = pd.DataFrame({"image": [base64.b64encode(file.getvalue()).decode()]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        (row,) = mlflow.pyfunc.load_model(f"models:/{NAME}@champion").predict(frame)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(row["image"]))))


def test_versions_are_on_the_other_server_with_all_that_points_to_them(
    here: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Broken off after the files of the first version.
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "create_model_version", _killed)
        with pytest.raises(KeyboardInterrupt):
            Mover(server).move(2)
    done = run_here("move-models", "--to", server, cwd=here)
    assert done.returncode == 0, done.stderr
    assert f"copied {NAME} version 3 to {server} as version 3" in done.stdout
    assert "left here: runs that neither made, measured nor judged one" in done.stdout
    assert "View run" not in done.stdout

    source, target = MlflowClient(), MlflowClient(server, server)
    model = target.get_registered_model(NAME)
    assert model.description == "what they are"
    assert aliases(model) == {"champion": 3, "challenger": 3, "previous-champion": 1}
    assert model.tags["champions"] == "[1, 3]"
    # What was deleted here has its number there, too, and nothing else of it.
    assert len(target.search_model_versions(f"name = '{NAME}'")) == 2
    first, third = (target.get_model_version(NAME, number) for number in ("1", "3"))
    assert (first.tags["psnr"], third.tags["psnr"]) == ("31", "33")
    assert third.description == "what it is"
    assert third.tags["moved_from"] == f"{NAME}/3 of {here}/mlflow.db"
    training = target.get_run(str(third.run_id))
    assert training.data.params["seed"] == "3"
    assert training.data.tags["entry_point"] == "train"
    curve = target.get_metric_history(training.info.run_id, "val_psnr")
    assert [(point.step, point.value) for point in curve] == [(1, 33.1), (2, 33.2)]
    assert target.get_run(third.tags["judged_by"]).data.tags["verdict"] == "promoted"
    # On the model's page, too, with its run and its pictures.
    page = target.get_logged_model(str(third.source).removeprefix("models:/"))
    (number,) = page.metrics or []
    assert (number.key, number.value, number.dataset_name) == ("srcnn_psnr", 33.0, "photos")
    assert number.run_id == third.tags["judged_by"]
    assert len(target.get_metric_history(number.run_id, "srcnn_psnr")) == 1
    (experiment,) = target.search_experiments(filter_string="name = 'srcnn'")
    assert {run.info.experiment_id for run in runs_of(target)} == {experiment.experiment_id}
    assert len(runs_of(target)) == 3
    assert len(target.search_logged_models([experiment.experiment_id])) == 2
    assert np.array_equal(answer(server), answer(f"sqlite:///{here}/mlflow.db"))

    # Once more, and back again, nothing is new; what has changed since is followed.
    source.set_registered_model_alias(NAME, "champion", "1")
    again = run_here("move-models", "--to", server, "--scale", "2", cwd=here)
    assert f"2 version(s) of {NAME} were there before" in again.stdout
    assert target.get_model_version_by_alias(NAME, "champion").version in (1, "1")
    assert len(runs_of(target)) == 3
    before = len(runs_of(source))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    monkeypatch.setenv("SRCNN_HOME", "data")
    back = run_here("move-models", "--to", f"sqlite:///{here}/mlflow.db", cwd=here)
    assert f"2 version(s) of {NAME} were there before" in back.stdout
    assert len(runs_of(source)) == before


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_what_the_other_store_has_of_its_own_stays(
    here: Path, empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    to = put_store(empty_store, tmp_path / "other")
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", to)
        with track("train", 2, {}, "its own"):
            registry.register(2, shipped_network(2, "shipped-9-1-5"), {}, alias="champion")
        champions.promote(2, 1, ())
    done = run_here("move-models", "--to", to, cwd=here)
    assert done.returncode == 0
    assert "left: champion of srcnn-x2 is version 1 there, which is none of these" in done.stdout
    model = MlflowClient(to, to).get_registered_model(NAME)
    assert aliases(model) == {"champion": 1, "challenger": 3, "previous-champion": 2}
    assert model.tags["champions"] == "[1]"
    # Nothing of the other store lies where one stands.
    for version in MlflowClient(to, to).search_model_versions(f"name = '{NAME}'"):
        place = MlflowClient(to, to).get_model_version_download_uri(NAME, version.version)
        assert Path(place).is_relative_to(tmp_path / "other")


@pytest.fixture
def measured(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store in which a version that knows its pictures was evaluated, compared and promoted.

    Its number is 2: version 1 was a mistake, and deleted.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    write_crops(tmp_path / "crops", 96, train=3, valid=1, test=5)
    dataset = load_dataset("crops")
    network = tmp_path / registry.NETWORK_FILE
    shutil.copyfile(shipped_network(2, "shipped-9-5-5"), network)
    with track("train", 2, {"seed": 1}, "training"):
        registry.register(2, shipped_network(2, "shipped-9-1-5"), {})
        MlflowClient().delete_model_version(NAME, "1")
        log_seen(dataset.split(split) for split in ("train", "valid"))
        mlflow.log_text("a state", "checkpoint/state-odd.safetensors")
        active_run.log_split(dataset.split("train"))
        assert registry.register(2, network, {"architecture": "9-5-5"}) == 2
    describe_new(2, 2)
    with track("main", 2, {}, "the whole experiment"):
        evaluate(2, "2", "crops", "test", None)
    promote(2, "2", "crops")
    compare(f"{NAME}/2+shipped", "crops", "test")
    (decided,) = runs_of(MlflowClient(), "tags.entry_point = 'promote'")
    MlflowClient().delete_run(decided.info.run_id)
    return tmp_path


@pytest.mark.parametrize(
    "own", sampled([2, 0]), ids=["a store with versions of its own", "an empty store"]
)
def test_what_was_measured_is_known_there(
    measured: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch, said: list[str], own: int
) -> None:
    (measured / "other").mkdir()
    to = put_store(empty_store, measured / "other")
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", to)
        for _ in range(own):
            with track("train", 2, {}, "its own"):
                registry.register(2, shipped_network(2, "shipped-9-1-5"), {})
    move_models(to, None)
    # Nothing is there twice when it is done again.
    before = len(runs_of(MlflowClient(to, to)))
    move_models(to, None)

    monkeypatch.setenv("MLFLOW_TRACKING_URI", to)
    target, number = MlflowClient(), max(2, own + 1)
    assert len(runs_of(target)) == before
    (found,) = runs_of(target, "tags.entry_point = 'evaluate'")
    evaluation = target.get_run(found.info.run_id)
    (above,) = runs_of(target, "tags.entry_point = 'main'")
    assert evaluation.data.tags["mlflow.parentRunId"] == above.info.run_id
    assert evaluation.data.tags["model_uri"] == f"models:/{NAME}/{number}"
    version = target.get_model_version(NAME, str(number))
    training = target.get_run(str(version.run_id))
    assert training.inputs is not None
    assert training.outputs is not None
    assert evaluation.inputs is not None
    assert [one.dataset.name for one in training.inputs.dataset_inputs] == ["crops"]
    (made,) = training.outputs.model_outputs
    (judged,) = evaluation.inputs.model_inputs
    assert f"models:/{made.model_id}" == f"models:/{judged.model_id}" == version.source
    assert [file.path for file in target.list_artifacts(str(version.run_id))] == ["pictures"]

    # The card names the runs of that store, and none of this one.
    card = version.description or ""
    for run in MlflowClient(f"sqlite:///{measured}/mlflow.db").search_runs(
        [training.info.experiment_id], run_view_type=ViewType.ALL
    ):
        assert run.info.run_id not in card
    assert f"run_uuid={evaluation.info.run_id}" in card
    assert f"{NAME} version {number}: SRCNN 9-5-5" in card
    assert "| bicubic | PSNR |" in card

    said.clear()
    show_results()
    assert f"{NAME}/{number}" in "\n".join(said)
    assert show_leaderboard(2, "crops", "test", "srcnn_psnr")[0].model.startswith(
        f"{NAME}/{number}"
    )
    said.clear()
    evaluate(2, str(number), "crops", "all", None)
    assert any(f"{NAME}/{number} has seen 4 of 9 of these pictures" in one for one in said)
    (digest,) = {one.dataset.digest for one in evaluation.inputs.dataset_inputs}
    assert find_decisions(digest).promotions == 1
    (deleted,) = target.search_runs(
        [training.info.experiment_id], "tags.entry_point = 'promote'", ViewType.DELETED_ONLY
    )
    exposure = find_history(registry.find_model(str(number), 2)).exposure(
        load_dataset("crops").photos("test")
    )
    assert (exposure.training, exposure.promotion) == (0, 5)
    assert deleted.data.tags["model_uri"] == f"models:/{NAME}/{number}"


def test_what_cannot_be_moved_is_said(here: Path) -> None:
    same = run_here("move-models", "--to", f"sqlite:///{here}/mlflow.db", cwd=here)
    assert "both stores are the same; give the address of another" in same.stderr
    nothing = run_here("move-models", "--to", "sqlite:///new.db", "--scale", "4", cwd=here)
    assert "has no srcnn-x4, so there is nothing to copy" in nothing.stderr
    place = MlflowClient().get_model_version_download_uri(NAME, "1")
    shutil.rmtree(place)
    done = run_here("move-models", "--to", "sqlite:///new.db", cwd=here)
    assert "left: version 1 of srcnn-x2 is registered, but its files are gone" in done.stdout
    assert done.returncode == 1
