"""Which experiment a run is begun in, in real stores."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Experiment

from srcnn_mlflow.machine.errors import TrackingError
from srcnn_mlflow.tracking.experiments import describe_experiment, experiment_of_next_run
from srcnn_mlflow.tracking.run_search import interrupted_runs, newest_by
from srcnn_mlflow.tracking.runs import go_on, track
from tests.conftest import put_store


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path) -> Path:
    """A store in one folder, used from another."""
    folder = tmp_path / "store"
    elsewhere = tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, folder))
    return folder


def named(name: str) -> Experiment:
    experiment = MlflowClient().get_experiment_by_name(name)
    assert experiment is not None
    return experiment


def begun(entry_point: str) -> tuple[str, str]:
    """The experiment of a run that is begun now, and of one below it."""
    with track(entry_point, 2, {}, "above") as above, track("train", 2, {}, "below") as below:
        pass
    experiments = [run.info.experiment_id for run in (above, below)]
    first, second = (MlflowClient().get_experiment(one).name for one in experiments)
    return first, second


def test_where_nobody_has_named_one_it_is_named_for_the_command(store: Path) -> None:
    expected = {
        "train": ("srcnn", "srcnn_psnr", "trainings, evaluations"),
        "study": ("srcnn-studies", "best_val_psnr", "Tables of settings"),
        "sweep": ("srcnn-sweeps", "best_val_psnr", "Searches of hyper-parameters"),
    }
    for entry_point, (name, metric, words) in expected.items():
        assert begun(entry_point) == (name, name)
        experiment = named(name)
        assert experiment.tags["mlflow.experiment.primaryMetric.name"] == metric
        assert experiment.tags["mlflow.experiment.primaryMetric.greaterIsBetter"] == "True"
        assert words in experiment.tags["mlflow.note.content"]
        assert experiment.artifact_location == f"{store}/mlruns/{name}"


def test_a_description_that_somebody_has_written_stays() -> None:
    begun("train")
    (experiment,) = MlflowClient().search_experiments(filter_string="name = 'srcnn'")
    MlflowClient().set_experiment_tag(experiment.experiment_id, "mlflow.note.content", "ours")
    begun("train")
    assert named("srcnn").tags["mlflow.note.content"] == "ours"


def test_the_one_that_the_user_has_named_is_taken_and_left_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    assert begun("sweep") == ("mine", "mine")
    assert named("mine").tags == {}
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "0")
    assert begun("study") == ("Default", "Default")
    # As a program does that calls the functions of this package.
    monkeypatch.setattr(mlflow.tracking.fluent, "_active_experiment_id", None)
    mlflow.set_experiment("set here")
    assert begun("train") == ("set here", "set here")


def test_what_is_in_other_experiments_is_found_and_gone_on_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_EXPERIMENT_NAME", "Default")
        with track("evaluate", 2, {}, "former") as evaluation:
            pass
        with pytest.raises(KeyError), track("train", 2, {}, "former") as training:
            raise KeyError
    begun("sweep")
    (newest,) = newest_by((), "evaluate", 2)
    assert newest.info.run_id == evaluation.info.run_id
    (found,) = interrupted_runs("train", 2)
    assert found.info.run_id == training.info.run_id
    with track("study", 2, {}, "now"), go_on(found.info.run_id) as again:
        assert again.info.experiment_id == "0"


def test_a_deleted_one_is_told_with_what_brings_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    begun("train")
    experiment = named("srcnn").experiment_id
    MlflowClient().delete_experiment(experiment)
    told = (
        f"the experiment srcnn was deleted; mlflow experiments restore --experiment-id {experiment}"
        " brings it back, or set MLFLOW_EXPERIMENT_NAME to another"
    )
    with pytest.raises(TrackingError, match=told):
        begun("train")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "another")
    assert begun("train") == ("another", "another")
    MlflowClient().restore_experiment(experiment)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME")
    assert begun("train") == ("srcnn", "srcnn")


def test_many_may_begin_together_in_an_experiment_that_none_has_made_or_described() -> None:
    together = Barrier(6)

    def begin(_: int) -> str:
        together.wait()
        experiment = experiment_of_next_run("train")
        assert experiment is not None
        return experiment

    def describe(experiment: str) -> None:
        together.wait()
        describe_experiment(experiment)

    for _ in range(3):
        with ThreadPoolExecutor(6) as threads:
            (experiment,) = set(threads.map(begin, range(6)))
        MlflowClient().rename_experiment(experiment, f"former {experiment}")
        # As `mlflow run --experiment-name srcnn` makes it.
        plain = MlflowClient().create_experiment("srcnn")
        with ThreadPoolExecutor(6) as threads:
            list(threads.map(describe, 6 * [plain]))
        assert len(named("srcnn").tags) == 3
        MlflowClient().rename_experiment(plain, f"former {plain}")
