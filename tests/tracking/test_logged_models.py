"""The one model of a training, and what is tied to it, whoever begins and whoever ends it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import pytest
import torch
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelStatus

from srcnn_mlflow.commands.train import resume, train
from srcnn_mlflow.commands.train_request import TrainRequest
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.tracking import registry
from srcnn_mlflow.training.distributed import alone
from srcnn_mlflow.training.settings import TrainingSettings
from tests.conftest import put_store, sampled, textured_photos

pytestmark = pytest.mark.slow


class KilledError(BaseException):
    """What ends a process wherever it is."""


@pytest.fixture(scope="module")
def request_here(
    tmp_path_factory: pytest.TempPathFactory, empty_store: Path
) -> Iterator[TrainRequest]:
    """A short training on a few pictures."""
    folder = tmp_path_factory.mktemp("lineage")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, folder))
        settings = TrainingSettings(architecture="9-1-5", epochs=2)
        yield TrainRequest(2, str(textured_photos(folder)), 33, 14, None, settings)


def models_of(run_id: str) -> list[LoggedModel]:
    experiment = mlflow.get_run(run_id).info.experiment_id
    return list(MlflowClient().search_logged_models([experiment], f"source_run_id = '{run_id}'"))


def newest_run() -> str:
    newest, *_ = mlflow.search_runs(
        search_all_experiments=True, order_by=["start_time DESC"], output_format="list"
    )
    return str(newest.info.run_id)


def check_only_model(run_id: str, request: TrainRequest, version: int) -> LoggedModel:
    """Hold the one model of a training against its run; gives the model."""
    (model,) = models_of(run_id)
    run = mlflow.get_run(run_id)
    epoch = int(run.data.metrics["best_epoch"])
    assert run.outputs is not None
    assert [(one.model_id, one.step) for one in run.outputs.model_outputs] == [
        (model.model_id, epoch)
    ]
    assert model.status == LoggedModelStatus.READY
    assert model.params == run.data.params
    registered = MlflowClient().get_model_version("srcnn-x2", str(version))
    assert (registered.source, registered.run_id) == (f"models:/{model.model_id}", run_id)
    valid = load_dataset(request.dataset).split("valid")
    assert model.metrics is not None
    (tied,) = model.metrics
    assert (tied.dataset_name, tied.dataset_digest) == (valid.dataset, valid.digest)
    assert tied.value == run.data.metrics["best_val_psnr"]
    if epoch:
        history = MlflowClient().get_metric_history(run_id, "val_psnr")
        assert [point.step for point in history] == list(range(1, len(history) + 1))
        point = history[epoch - 1]
        assert (tied.key, tied.step, tied.timestamp) == ("val_psnr", epoch, point.timestamp)
    return model


def test_the_best_epoch_is_the_one_model_of_its_run(request_here: TrainRequest) -> None:
    trained = train(request_here, "cpu")
    model = check_only_model(trained.run_id, request_here, trained.version)
    # What it began with is the input of what is trained from it.
    further = replace(request_here, init_from=str(trained.version))
    second = train(further, "cpu")
    run = mlflow.get_run(second.run_id)
    assert run.inputs is not None
    assert [one.model_id for one in run.inputs.model_inputs] == [model.model_id]
    assert run.data.tags["init_from"].startswith(f"models:/srcnn-x2/{trained.version}#")
    own = check_only_model(second.run_id, further, second.version)
    assert own.params["init_from"] == run.data.tags["init_from"]


@pytest.mark.parametrize(
    ("place", "status"),
    sampled(
        [
            ((MlflowClient, "log_outputs"), LoggedModelStatus.PENDING),
            ((MlflowClient, "log_model_artifacts"), LoggedModelStatus.PENDING),
            ((mlflow, "register_model"), LoggedModelStatus.READY),
            ((registry, "version_with_alias"), LoggedModelStatus.READY),
        ]
    ),
)
def test_a_registration_that_was_killed_is_gone_on_with(
    request_here: TrainRequest,
    monkeypatch: pytest.MonkeyPatch,
    place: tuple[Any, str],
    status: LoggedModelStatus,
) -> None:
    def kill(*_: Any, **__: Any) -> None:
        raise KilledError

    request = replace(request_here, settings=replace(request_here.settings, epochs=1))
    with monkeypatch.context() as killed:
        killed.setattr(*place, kill)
        with pytest.raises(KilledError):
            train(request, "cpu")
    run_id = newest_run()
    (begun,) = models_of(run_id)
    assert begun.status == status
    MlflowClient().set_terminated(run_id, "FAILED")
    trained = resume(run_id, alone(torch.device("cpu")))
    assert check_only_model(run_id, request, trained.version).model_id == begun.model_id
    # Nor is there a second version of it.
    found = MlflowClient().search_model_versions(f"run_id = '{run_id}'")
    assert [int(version.version) for version in found] == [trained.version]
    assert registry.version_with_alias(2, "challenger") == trained.version


def test_an_interrupted_training_has_no_model(
    request_here: TrainRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*_: Any) -> None:
        raise KilledError

    with monkeypatch.context() as killed:
        killed.setattr("srcnn_mlflow.commands.train.tell_epoch", kill)
        with pytest.raises(KilledError):
            train(request_here, "cpu")
    run_id = newest_run()
    assert models_of(run_id) == []
    MlflowClient().set_terminated(run_id, "FAILED")
    trained = resume(run_id, alone(torch.device("cpu")))
    check_only_model(run_id, request_here, trained.version)
