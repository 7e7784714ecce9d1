"""Runs of one tracking store again in another, with all but the state of their trainings."""

import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient
from mlflow.entities import LoggedModelInput, LoggedModelOutput, Metric, Param, Run, ViewType
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from srcnn_mlflow.tracking.experiments import experiment_named
from srcnn_mlflow.tracking.run_search import is_deleted

# The tag of a copy: what it is one of, by a name that is the same wherever it is copied to.
ORIGIN = "origin"
# Not of a copy: which process works on the run, and what MLflow keeps for itself.
_LEFT_OUT = (
    *("process", "host", "process_id", "process_start", "process_ticks", "mlflow.parentRunId"),
    "mlflow.log-model.history",
)
# Among its artifacts, what only goes on with a training; the best epoch is the model's.
_STATE = "checkpoint"
# In these tags a run names registered versions.
_NAMES_VERSIONS = ("model_uri", "judged_against")
_VERSION = re.compile(r"(?<=models:/)[^/+@]+/[0-9]+")
# MLflow takes no more at once.
_METRICS_AT_ONCE, _PARAMETERS_AT_ONCE = 1000, 100


class RunCopies:
    """Copies runs, and those above them, into the experiments of the same names, each once."""

    def __init__(self, source: MlflowClient, target: MlflowClient) -> None:
        """Take both stores.

        Args:
            source: the store that has the runs.
            target: the store that is to have them.
        """
        self._source, self._target = source, target
        self._runs: dict[str, Run] = {}
        self._copies: dict[str, str] = {}

    def copy(self, run_id: str | None) -> str | None:
        """Copy a run; a copy that broke off is completed.

        Args:
            run_id: in the source; None for none.

        Returns:
            The id of the copy; None where the source does not have the run any more.
        """
        if run_id is None or run_id in self._copies:
            return self._copies.get(run_id or "")
        run = self._find(run_id)
        if run is None:
            return None
        above = self.copy(run.data.tags.get(MLFLOW_PARENT_RUN_ID))
        origin = run.data.tags.get(ORIGIN, run_id)
        copy = self._copy_of(origin) or self._begin(run, origin, above)
        copy_id = str(copy.info.run_id)
        if copy.info.status == "RUNNING":
            self._fill(run, copy_id)
            # A training that has failed would be gone on with, and its state is not there.
            self._target.set_terminated(copy_id, "FINISHED", run.info.end_time)
        if not is_deleted(copy):
            self._runs[run_id] = run
        self._copies[run_id] = copy_id
        return copy_id

    def settle(self, models: Mapping[str, str], versions: Mapping[str, str]) -> None:
        """Let the copies name models and versions as the target has them, when all are there.

        Args:
            models: ids of logged models there, by those here.
            versions: registered versions there, as `srcnn-x2/3`, by what they are here.
        """
        for run_id, run in self._runs.items():
            copy = self._target.get_run(self._copies[run_id])
            if ORIGIN not in copy.data.tags:
                continue
            self._link(run, copy, models)
            for tag in _NAMES_VERSIONS:
                named = run.data.tags.get(tag, "")
                there = _VERSION.sub(lambda found: versions.get(found[0], found[0]), named)
                if there != copy.data.tags.get(tag, ""):
                    self._target.set_tag(copy.info.run_id, tag, there)
            if is_deleted(run):
                self._target.delete_run(copy.info.run_id)

    def _find(self, run_id: str) -> Run | None:
        try:
            return self._source.get_run(run_id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise

    def _copy_of(self, origin: str) -> Run | None:
        """The run that is a copy, or the very one of which there are copies elsewhere."""
        experiments = [one.experiment_id for one in self._target.search_experiments()]
        for wanted in (f"tags.{ORIGIN} = '{origin}'", f"attributes.run_id = '{origin}'"):
            if found := self._target.search_runs(experiments, wanted, ViewType.ALL, max_results=1):
                return found[0]
        return None

    def _begin(self, run: Run, origin: str, above: str | None) -> Run:
        name = self._source.get_experiment(run.info.experiment_id).name
        tags = {key: value for key, value in run.data.tags.items() if key not in _LEFT_OUT}
        return self._target.create_run(
            experiment_named(name, self._target),
            run.info.start_time,
            {**tags, ORIGIN: origin, **({} if above is None else {MLFLOW_PARENT_RUN_ID: above})},
            run.info.run_name,
        )

    def _fill(self, run: Run, copy_id: str) -> None:
        """Write what may have been written before; the same again adds nothing."""
        parameters = [Param(name, value) for name, value in run.data.params.items()]
        for start in range(0, len(parameters), _PARAMETERS_AT_ONCE):
            chunk = parameters[start : start + _PARAMETERS_AT_ONCE]
            self._target.log_batch(copy_id, params=chunk)
        for name in run.data.metrics:
            # Without the models they are tied to, which have other ids there, and are copied later.
            points = [
                Metric(point.key, point.value, point.timestamp, point.step)
                for point in self._source.get_metric_history(run.info.run_id, name)
            ]
            for start in range(0, len(points), _METRICS_AT_ONCE):
                self._target.log_batch(copy_id, metrics=points[start : start + _METRICS_AT_ONCE])
        if run.inputs and run.inputs.dataset_inputs:
            self._target.log_inputs(copy_id, run.inputs.dataset_inputs)
        self._copy_artifacts(run.info.run_id, copy_id)

    def _copy_artifacts(self, run_id: str, copy_id: str) -> None:
        for file in self._source.list_artifacts(run_id):
            if Path(file.path).name == _STATE:
                continue
            with TemporaryDirectory() as folder:
                self._source.download_artifacts(run_id, file.path, folder)
                self._target.log_artifacts(copy_id, folder)

    def _link(self, run: Run, copy: Run, models: Mapping[str, str]) -> None:
        """Let a copy stand beside the models that the run made, or was given."""
        copy_id = copy.info.run_id
        given = [models.get(one.model_id) for one in _model_inputs(run)]
        if inputs := [LoggedModelInput(one) for one in given if one]:
            self._target.log_inputs(copy_id, models=inputs)
        present = {one.model_id for one in _model_outputs(copy)}
        made = {models.get(one.model_id): one.step for one in _model_outputs(run)}
        missing = [LoggedModelOutput(one, made[one]) for one in made if one and one not in present]
        if missing:
            self._target.log_outputs(copy_id, missing)


def _model_inputs(run: Run) -> list[LoggedModelInput]:
    return list(run.inputs.model_inputs) if run.inputs else []


def _model_outputs(run: Run) -> list[LoggedModelOutput]:
    return list(run.outputs.model_outputs) if run.outputs else []
