"""The experiment that a run is begun in, where nobody has named one, and what the UI says of it."""

import os
from dataclasses import dataclass

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import (
    MLFLOW_EXPERIMENT_PRIMARY_METRIC_GREATER_IS_BETTER,
    MLFLOW_EXPERIMENT_PRIMARY_METRIC_NAME,
)

from srcnn_mlflow.machine.errors import TrackingError
from srcnn_mlflow.machine.text import as_file_name
from srcnn_mlflow.tracking.active_run import DESCRIPTION
from srcnn_mlflow.tracking.store import is_server

# Of a folder's name, in bytes.
LONGEST_FOLDER = 240


@dataclass(frozen=True)
class _Kind:
    """An experiment that is named for what is begun in it.

    Attributes:
        name: of the experiment.
        description: in Markdown.
        metric: the one that its runs are compared by; the higher, the better.
    """

    name: str
    description: str
    metric: str

    @property
    def tags(self) -> dict[str, str]:
        """What the UI reads."""
        return {
            DESCRIPTION: self.description,
            MLFLOW_EXPERIMENT_PRIMARY_METRIC_NAME: self.metric,
            MLFLOW_EXPERIMENT_PRIMARY_METRIC_GREATER_IS_BETTER: "True",
        }


_USUAL = _Kind(
    "srcnn",
    "SRCNN image upscaling: trainings, evaluations, comparisons and promotions. The tags "
    "`entry_point` and `scale` tell them apart: `tags.entry_point = 'evaluate' and tags.scale = "
    "'4'`. `srcnn_psnr` is an evaluation's mean PSNR on luma, in dB; the models are the registered "
    "`srcnn-x2`, `srcnn-x3` and `srcnn-x4`.",
    "srcnn_psnr",
)
_KINDS = {
    "study": _Kind(
        "srcnn-studies",
        "Tables of settings, each trained with several seeds: a nested run a training, and the "
        "table and its figures under `study/` of the run above them. `best_val_psnr` is the PSNR "
        "on validation pictures, in dB.",
        "best_val_psnr",
    ),
    "sweep": _Kind(
        "srcnn-sweeps",
        "Searches of hyper-parameters: a nested run a trial, of which the best has the tag "
        "`best_trial`. `best_val_psnr` is the PSNR on validation pictures, in dB.",
        "best_val_psnr",
    ),
}
_BY_NAME = {kind.name: kind for kind in (_USUAL, *_KINDS.values())}


def experiment_of_next_run(entry_point: str) -> str | None:
    """The id of the experiment that the next run is begun in, which is made where it is missing.

    Returns:
        The experiment of the active run; else the one that the user has named, or ours. None where
        `mlflow run` has opened the run, or the user has given an id, which MLflow sees to.

    Raises:
        TrackingError: the experiment was deleted.
    """
    above = mlflow.active_run()
    if above is not None:
        return str(above.info.experiment_id)
    if os.environ.get("MLFLOW_RUN_ID") or os.environ.get("MLFLOW_EXPERIMENT_ID"):
        return None
    named = os.environ.get("MLFLOW_EXPERIMENT_NAME")
    return experiment_named(named or _KINDS.get(entry_point, _USUAL).name, MlflowClient())


def usual_experiment(store: MlflowClient) -> str:
    """The id of the experiment of all that is neither a sweep nor a study."""
    return experiment_named(_USUAL.name, store)


def experiment_named(name: str, store: MlflowClient) -> str:
    """The id of an experiment of a store, which is made where it is missing.

    Raises:
        TrackingError: it was deleted.
    """
    experiment = _found_or_made(name, store)
    if experiment.lifecycle_stage == "deleted":
        raise TrackingError(
            f"the experiment {experiment.name} was deleted; mlflow experiments restore "
            f"--experiment-id {experiment.experiment_id} brings it back, or set "
            "MLFLOW_EXPERIMENT_NAME to another"
        )
    return str(experiment.experiment_id)


def describe_experiment(experiment_id: str) -> None:
    """Let the UI say what one of our experiments is, but for what somebody has said already."""
    client = MlflowClient()
    experiment = client.get_experiment(experiment_id)
    tags = _tags_of(experiment.name)
    for key in tags.keys() - experiment.tags.keys():
        try:
            client.set_experiment_tag(experiment_id, key, tags[key])
        except MlflowException:
            # Of two processes that set it first, SQLite lets one.
            if key not in client.get_experiment(experiment_id).tags:
                raise


def _tags_of(name: str) -> dict[str, str]:
    return _BY_NAME[name].tags if name in _BY_NAME else {}


def _found_or_made(name: str, client: MlflowClient) -> Experiment:
    experiment = client.get_experiment_by_name(name)
    if experiment is not None:
        return experiment
    try:
        made = client.create_experiment(name, _artifacts_of(name, client), _tags_of(name))
        return client.get_experiment(made)
    except MlflowException as error:
        # Another process has made it meanwhile.
        experiment = client.get_experiment_by_name(name)
        if error.error_code != "RESOURCE_ALREADY_EXISTS" or experiment is None:
            raise
        return experiment


def _artifacts_of(name: str, store: MlflowClient) -> str | None:
    """Beside those of the store's first experiment, wherever a command is started.

    MLflow would put them below the present folder, where it opens the database itself.

    Returns:
        The address; None where a server decides, or the first experiment is gone.
    """
    if is_server(store.tracking_uri):
        return None
    try:
        first = store.get_experiment("0").artifact_location
    except MlflowException:
        return None
    return f"{first.rpartition('/')[0]}/{as_file_name(name, LONGEST_FOLDER)}"
