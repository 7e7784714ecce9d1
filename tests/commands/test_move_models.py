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
from mlflow.entities import Metric
from mlflow.entities.model_registry import RegisteredModel
from PIL import Image

from srcnn_mlflow.network.shipped import shipped_network
from srcnn_mlflow.tracking import champions, registry
from srcnn_mlflow.tracking.moving import Mover
from srcnn_mlflow.tracking.runs import track
from tests.conftest import mlflow_server, put_store, run_here, runs_of, textured_pixels

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
    assert f"copied {NAME} version 3 to {server} as version 2" in done.stdout
    assert "left out: the artifacts of runs but for the models" in done.stdout

    source, target = MlflowClient(), MlflowClient(server, server)
    model = target.get_registered_model(NAME)
    assert model.description == "what they are"
    assert aliases(model) == {"champion": 2, "challenger": 2, "previous-champion": 1}
    assert model.tags["champions"] == "[1, 2]"
    first, second = (target.get_model_version(NAME, number) for number in ("1", "2"))
    assert (first.tags["psnr"], second.tags["psnr"]) == ("31", "33")
    assert second.description == "what it is"
    assert second.tags["moved_from"] == f"{NAME}/3 of {here}/mlflow.db"
    training = target.get_run(str(second.run_id))
    assert training.data.params["seed"] == "3"
    assert training.data.tags["entry_point"] == "train"
    curve = target.get_metric_history(training.info.run_id, "val_psnr")
    assert [(point.step, point.value) for point in curve] == [(1, 33.1), (2, 33.2)]
    assert target.get_run(second.tags["judged_by"]).data.tags["verdict"] == "promoted"
    # On the model's page, too, with its run and its pictures.
    page = target.get_logged_model(str(second.source).removeprefix("models:/"))
    (number,) = page.metrics or []
    assert (number.key, number.value, number.dataset_name) == ("srcnn_psnr", 33.0, "photos")
    assert number.run_id == second.tags["judged_by"]
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
