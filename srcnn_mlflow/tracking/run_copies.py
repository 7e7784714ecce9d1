"""A run of one tracking store again in another: its parameters, tags and curves."""

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run
from mlflow.exceptions import MlflowException

from srcnn_mlflow.tracking.experiments import experiment_named

# The tag of a copy: what it is one of, by a name that is the same wherever it is copied to.
ORIGIN = "origin"
# Not of a copy: which process works on the run, what it stands below, what MLflow keeps for itself.
_LEFT_OUT = (
    *("process", "host", "process_id", "process_start", "process_ticks", "mlflow.parentRunId"),
    *("mlflow.loggedArtifacts", "mlflow.log-model.history"),
)
# MLflow takes no more at once.
_METRICS_AT_ONCE, _PARAMETERS_AT_ONCE = 1000, 100


def copy_run(run_id: str, source: MlflowClient, target: MlflowClient) -> str | None:
    """Copy a run into the experiment of the same name, once; a copy that broke off is completed.

    Args:
        run_id: in the source.
        source: the store that has it.
        target: the store that is to have it.

    Returns:
        The id of the copy; None where the source does not have the run any more.
    """
    try:
        run = source.get_run(run_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    origin = run.data.tags.get(ORIGIN, run_id)
    copy = _copy_of(origin, target) or _begin(run, origin, source, target)
    if copy.info.status == "RUNNING":
        _fill(run, copy.info.run_id, source, target)
        # A training that has failed would be gone on with, and its state is not there.
        target.set_terminated(copy.info.run_id, "FINISHED", run.info.end_time)
    return str(copy.info.run_id)


def _copy_of(origin: str, target: MlflowClient) -> Run | None:
    """The run of a store that is a copy, or the very one of which there are copies elsewhere."""
    experiments = [one.experiment_id for one in target.search_experiments()]
    for wanted in (f"tags.{ORIGIN} = '{origin}'", f"attributes.run_id = '{origin}'"):
        if found := target.search_runs(experiments, wanted, max_results=1):
            return found[0]
    return None


def _begin(run: Run, origin: str, source: MlflowClient, target: MlflowClient) -> Run:
    name = source.get_experiment(run.info.experiment_id).name
    tags = {key: value for key, value in run.data.tags.items() if key not in _LEFT_OUT}
    return target.create_run(
        experiment_named(name, target),
        run.info.start_time,
        {**tags, ORIGIN: origin},
        run.info.run_name,
    )


def _fill(run: Run, copy_id: str, source: MlflowClient, target: MlflowClient) -> None:
    """Write what may have been written before; the same again adds nothing."""
    parameters = [Param(name, value) for name, value in run.data.params.items()]
    for start in range(0, len(parameters), _PARAMETERS_AT_ONCE):
        target.log_batch(copy_id, params=parameters[start : start + _PARAMETERS_AT_ONCE])
    for name in run.data.metrics:
        # Without the models they are tied to, which have other ids there, and are copied later.
        points = [
            Metric(point.key, point.value, point.timestamp, point.step)
            for point in source.get_metric_history(run.info.run_id, name)
        ]
        for start in range(0, len(points), _METRICS_AT_ONCE):
            target.log_batch(copy_id, metrics=points[start : start + _METRICS_AT_ONCE])
