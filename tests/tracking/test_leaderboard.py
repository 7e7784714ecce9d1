"""Models ranked by what they have on one set of pictures, as it is logged and as it is shown."""

import re
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.store.tracking import sqlalchemy_store

from srcnn_mlflow.commands.leaderboard import leaderboard_table
from srcnn_mlflow.pictures.datasets import Split
from srcnn_mlflow.tracking import active_run
from srcnn_mlflow.tracking.active_run import Measured
from srcnn_mlflow.tracking.leaderboard import Placed, rank_models
from tests.conftest import put_store, run_here, write_crops

# How many models MLflow gives at once here, and more than that.
PAGE, MANY = 4, 10
ONE, OTHER = (Split(name, "test", (), name[-1] * 32) for name in ("set1", "set2"))


@pytest.fixture(scope="module")
def ids(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[list[str]]:
    """Models with scores on one set, in their order, of which the first is registered."""
    folder = tmp_path_factory.mktemp("leaderboard")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, folder))
        patch.setattr(sqlalchemy_store, "SEARCH_LOGGED_MODEL_MAX_RESULTS_DEFAULT", PAGE)
        yield [_measured_model(30 - number / 100) for number in range(MANY)]


def _new_model(scale: int = 2) -> str:
    return str(mlflow.initialize_logged_model("model", params={"scale": str(scale)}).model_id)


def _measured_model(score: float, split: Split = ONE, scale: int = 2) -> str:
    model_id = _new_model(scale)
    with mlflow.start_run():
        _measure(model_id, score, split)
    return model_id


def _measure(model_id: str, score: float, split: Split) -> None:
    values = {"srcnn_psnr": score, "bicubic_psnr": 28.0, "images": 5}
    active_run.log_measured(Measured(values, split, model_id))


def _ranked(scale: int = 2, digest: str = ONE.digest) -> list[Placed]:
    return list(rank_models(scale, "srcnn_psnr", digest))


def test_all_models_stand_in_the_order_of_their_scores(ids: list[str]) -> None:
    ranked = _ranked()
    assert [one.model for one in ranked] == ids
    first = ranked[0]
    assert (first.score, first.gain, first.images) == (30.0, 2.0, 5)
    run = mlflow.get_run(first.run_id)
    assert run.data.metrics["srcnn_psnr"] == 30.0


@pytest.mark.usefixtures("ids")
def test_other_pictures_other_scales_and_other_metrics_have_no_part() -> None:
    before = _ranked()
    on_other = _measured_model(40.0, OTHER)
    at_three = _measured_model(50.0, ONE, scale=3)
    _new_model()
    assert _ranked() == before
    assert [one.model for one in _ranked(digest=OTHER.digest)] == [on_other]
    assert [one.model for one in _ranked(scale=3)] == [at_three]
    assert list(rank_models(2, "srcnn_ssim", ONE.digest)) == []
    assert _ranked(scale=4) == []


@pytest.mark.usefixtures("ids")
def test_the_newest_score_counts_from_whatever_experiment_and_by_whatever_name() -> None:
    model_id = _measured_model(20.0)
    assert _ranked()[-1].model == model_id
    with mlflow.start_run(experiment_id=mlflow.create_experiment("evaluations")):
        # The same pictures, as a folder of another name.
        _measure(model_id, 31.0, Split("copy", "test", (), ONE.digest))
    assert (_ranked()[0].model, _ranked()[0].score) == (model_id, 31.0)
    MlflowClient().delete_logged_model(model_id)


def test_versions_are_named_with_their_aliases(ids: list[str]) -> None:
    client = MlflowClient()
    client.create_registered_model("srcnn-x2")
    for place in (5, 0):
        client.create_model_version("srcnn-x2", f"models:/{ids[place]}", model_id=ids[place])
    for alias in ("champion", "challenger"):
        client.set_registered_model_alias("srcnn-x2", alias, "2")
    names = [one.model for one in _ranked()]
    assert names[0] == "srcnn-x2/2 (challenger, champion)"
    assert names[5] == "srcnn-x2/1"
    assert names[1] == ids[1]


def test_equal_scores_share_a_place() -> None:
    placed = [
        Placed("srcnn-x2/1", 30.1, 1.25, 5, "a" * 32),
        Placed("srcnn-x2/3", 30.1, 1.25, 5, "b" * 32),
        Placed("srcnn-x2/2", 29.0, None, None, "c" * 32),
    ]
    lines = leaderboard_table(placed, "srcnn_psnr").splitlines()
    assert [re.split(r" *\| *", line)[1:-1][2:] for line in lines[2:]] == [
        ["1", "30.100", "+1.250", "5"],
        ["1", "30.100", "+1.250", "5"],
        ["3", "29.000", "", ""],
    ]


@pytest.mark.slow
def test_where_nobody_was_scored_it_is_told_how_to(tmp_path: Path, empty_store: Path) -> None:
    write_crops(tmp_path / "my photos", 60, test=2)
    put_store(empty_store, tmp_path)
    for options, told in (
        ((), r"`srcnn-mlflow evaluate --scale 2 --dataset .*'[^']*my photos'` measures the newest"),
        (("--metric", "ensemble_psnr"), "--self-ensemble true` measures the newest"),
        (("--metric", "val_psnr"), "chose its epoch: give --split valid$"),
    ):
        done = run_here("leaderboard", "--dataset", "my photos", *options, cwd=tmp_path)
        assert done.returncode == 1
        assert re.search("no model of srcnn-x2 has a .* on the 2 pictures of ", done.stderr)
        assert re.search(told, done.stderr.strip()), done.stderr
