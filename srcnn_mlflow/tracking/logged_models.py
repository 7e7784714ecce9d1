"""The logged model of a run, to which MLflow ties numbers, pictures and a registered version."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, Metric, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import Model

from srcnn_mlflow.pictures.datasets import Split
from srcnn_mlflow.tracking import active_run
from srcnn_mlflow.tracking.model_files import write_model

# What the model is called within its run.
_NAME = "model"


@dataclass(frozen=True)
class BestEpoch:
    """The epoch of a training that its model is of.

    Attributes:
        number: of the epoch; 0 for the network before its training.
        pictures: which have chosen it.
    """

    number: int
    pictures: Split


def log_model(network: Path, scale: int, epoch: BestEpoch | None = None) -> tuple[str, bool]:
    """Log a network as a model of the active run, with the run's parameters.

    A training has one model: what a process has left that ended before its registration is gone on
    with. Until all files are there, the model is PENDING.

    Args:
        network: an ONNX file.
        scale: that it enlarges by, which is a parameter whatever the run is.
        epoch: what it is of a training; None for a network that was not trained in this run.

    Returns:
        The id of the model, and whether it was begun before.
    """
    client = MlflowClient()
    run = client.get_run(active_run.run_id())
    begun = None if epoch is None else _begun(run)
    model = begun or mlflow.initialize_logged_model(
        _NAME,
        source_run_id=run.info.run_id,
        params={**run.data.params, "scale": str(scale)},
        experiment_id=run.info.experiment_id,
    )
    outputs = run.outputs.model_outputs if run.outputs else []
    if model.model_id not in {output.model_id for output in outputs}:
        output = LoggedModelOutput(model.model_id, 0 if epoch is None else epoch.number)
        client.log_outputs(run.info.run_id, [output])
    if epoch is not None:
        _tie(run, model.model_id, epoch)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / _NAME
        about = Model(
            artifact_path=model.artifact_location,
            run_id=run.info.run_id,
            model_uuid=model.model_id,
            model_id=model.model_id,
        )
        write_model(folder, network, about)
        client.log_model_artifacts(model.model_id, str(folder))
    client.finalize_logged_model(model.model_id, "READY")
    return model.model_id, begun is not None


def register_model(
    model_id: str, name: str, tags: dict[str, str], may_be_registered: bool
) -> ModelVersion:
    """Make a logged model of the active run a version of a registered model, once.

    Args:
        model_id: of the logged model.
        name: of the registered model.
        tags: of the version.
        may_be_registered: whether an earlier process may have done so already.
    """
    uri, client = f"models:/{model_id}", MlflowClient()
    if may_be_registered:
        wanted = f"name = '{name}' and run_id = '{active_run.run_id()}'"
        for version in client.search_model_versions(wanted):
            if version.source == uri:
                return version
    return mlflow.register_model(uri, name, tags=tags)


def _begun(run: Run) -> LoggedModel | None:
    """The model that an earlier process has begun to log in a run."""
    found = MlflowClient().search_logged_models(
        [run.info.experiment_id], f"source_run_id = '{run.info.run_id}'", max_results=1
    )
    return found[0] if found else None


def _tie(run: Run, model_id: str, epoch: BestEpoch) -> None:
    """Tie the number that has chosen an epoch to its model and its pictures.

    It is the very point that the run has of that epoch, so that the run's curve gets no second one.
    Curves begin with epoch 1; of a network that no epoch was better than, it is the last point of
    the best so far.
    """
    client, run_id = MlflowClient(), run.info.run_id
    name = "val_psnr" if epoch.number else "best_val_psnr"
    points = [
        point
        for point in client.get_metric_history(run_id, name)
        if point.step == epoch.number or not epoch.number
    ]
    known = max(points, key=lambda point: (point.step, point.timestamp))
    metric = Metric(
        *(name, known.value, known.timestamp, known.step),
        model_id=model_id,
        dataset_name=active_run.dataset_name(epoch.pictures),
        dataset_digest=epoch.pictures.digest,
        run_id=run_id,
    )
    client.log_batch(run_id, metrics=[metric])
