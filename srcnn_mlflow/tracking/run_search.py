"""Runs that were begun before: found, looked into, and marked from outside."""

import shlex
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from srcnn_mlflow.machine.credentials import without_credentials
from srcnn_mlflow.machine.errors import TrackingError
from srcnn_mlflow.machine.faults import explain, is_fault_of_disk
from srcnn_mlflow.machine.processes import ProcessSign
from srcnn_mlflow.machine.text import first_line, is_number

# The tag of a run that has failed: the reason, as the person at the keyboard was told it.
FAILURE = "failure"
# The tag of a run whose process has ended without a word.
TIDIED = "tidied"
# The tag of a run that is one more than that of every run which its store had when it began (after
# Lamport, "Time, Clocks, and the Ordering of Events", 1978): clocks go back, and machines' differ.
SEQUENCE = "sequence"
# Runs that are looked through for the newest of each kind.
_MOST_RUNS = 200
_NEWEST_FIRST = [f"tags.{SEQUENCE} DESC", "attributes.start_time DESC"]
# The tag of the run that holds the best trial of a study.
BEST_TRIAL = "best_trial"


def download(run_id: str, artifact_path: str, destination: Path) -> Path:
    """Fetch one artifact of a run into a local folder.

    Raises:
        TrackingError: there is no such file, or the tracking store cannot be asked.
    """
    with _told():
        return Path(
            mlflow.artifacts.download_artifacts(
                run_id=run_id, artifact_path=artifact_path, dst_path=str(destination)
            )
        )


def read_text(run_id: str, artifact_path: str) -> str:
    """One artifact of a run, as a text.

    Raises:
        TrackingError: there is no such file, or the tracking store cannot be asked.
    """
    with _told():
        return str(mlflow.artifacts.load_text(f"runs:/{run_id}/{artifact_path}"))


@contextmanager
def _told() -> Iterator[None]:
    """Turn what MLflow raises, or `requests` beneath it, into one line."""
    try:
        yield
    except (MlflowException, OSError) as error:
        if is_fault_of_disk(error):
            raise
        raise TrackingError(explain(error) or first_line(error)) from error


def running_runs() -> list[Run]:
    """All runs that are RUNNING, in any experiment."""
    return _search_runs("attributes.status = 'RUNNING'")


def finished_runs(entry_point: str) -> list[Run]:
    """All runs of an entry point that have ended well, in any experiment."""
    return _search_runs(
        f"tags.entry_point = '{entry_point}' and attributes.status = 'FINISHED'",
        order_by=_NEWEST_FIRST,
    )


def find_run(run_id: str | None) -> Run | None:
    """A run of the present tracking store; None where it has no such run, or none is asked for.

    Raises:
        TrackingError: the tracking store cannot be asked.
    """
    if run_id is None:
        return None
    with _told():
        try:
            return mlflow.get_run(run_id)
        except MlflowException as error:
            # What is no id at all is called an invalid parameter.
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise


def is_deleted(run: Run) -> bool:
    """Whether a person has deleted a run, which the store keeps until it is cleaned."""
    return bool(run.info.lifecycle_stage == "deleted")


def get_run(run_id: str) -> Run:
    """A run that should be there.

    Raises:
        TrackingError: the tracking store has no such run, or cannot be asked.
    """
    with _told():
        return mlflow.get_run(run_id)


def metric_by_step(run_id: str, name: str) -> dict[int, float]:
    """A metric of a run at every step, in their order.

    Raises:
        TrackingError: there is no such run, or the tracking store cannot be asked.
    """
    with _told():
        history = MlflowClient().get_metric_history(run_id, name)
    return dict(sorted((point.step, point.value) for point in history))


def adopt(run_ids: Collection[str], parent: str) -> None:
    """Let runs stand below another one in the UI, wherever they stood before.

    Raises:
        TrackingError: the tracking store does not take it.
    """
    client = MlflowClient()
    with _told():
        for run_id in run_ids:
            client.set_tag(run_id, MLFLOW_PARENT_RUN_ID, parent)


def artifact_names(run_id: str, artifact_path: str) -> set[str]:
    """Names of the files in a folder of a run's artifacts.

    Raises:
        TrackingError: there is no such run, or the tracking store cannot be asked.
    """
    with _told():
        files = MlflowClient().list_artifacts(run_id, artifact_path)
    return {Path(file.path).name for file in files}


def mark_tidied(run_id: str, reason: str) -> None:
    """End a run as FAILED whose process has ended without a word.

    Raises:
        TrackingError: the tracking store does not take it.
    """
    client = MlflowClient()
    with _told():
        client.set_tag(run_id, TIDIED, reason)
        client.set_terminated(run_id, "FAILED")


def mark_failed(run_id: str, reason: str) -> None:
    """End a run for a process that may be gone; does nothing to a run that has ended."""
    client = MlflowClient()
    if client.get_run(run_id).info.status == "RUNNING":
        client.set_tag(run_id, FAILURE, without_credentials(reason))
        client.set_terminated(run_id, "FAILED")


def process_of(run: Run) -> ProcessSign | None:
    """The process that a run belongs to; None where the run does not say."""
    return ProcessSign.from_tags(run.data.tags)


def interrupted_runs(entry_point: str, scale: int) -> list[Run]:
    """Runs that have not finished and whose process is not known to live, newest first."""
    runs = _search_runs(
        f"tags.entry_point = '{entry_point}' and tags.scale = '{scale}' "
        "and attributes.status != 'FINISHED'",
        order_by=_NEWEST_FIRST,
    )
    return [run for run in runs if run.info.status != "RUNNING" or _is_dead(run)]


def _is_dead(run: Run) -> bool:
    process = process_of(run)
    return process is not None and process.is_dead_here()


def mark_best_trial(run_id: str, of: Collection[str]) -> None:
    """Let one run, and no other of some runs, be tagged as the best trial."""
    client = MlflowClient()
    for run in _search_runs(f"tags.{BEST_TRIAL} = 'true'"):
        if run.info.run_id in of and run.info.run_id != run_id:
            client.delete_tag(run.info.run_id, BEST_TRIAL)
    client.set_tag(run_id, BEST_TRIAL, "true")


def newest_by(parameters: Sequence[str], entry_point: str, scale: int) -> list[Run]:
    """The latest finished run of an entry point at a scale for all that parameters were given.

    Args:
        parameters: names; of runs that have the same of them, only the latest is wanted.
        entry_point: of the runs, which may be in any experiment.
        scale: of the runs.

    Returns:
        The newest first, among so many as a person might look through.
    """
    runs = _search_runs(
        f"tags.entry_point = '{entry_point}' and tags.scale = '{scale}' "
        "and attributes.status = 'FINISHED'",
        order_by=_NEWEST_FIRST,
        max_results=_MOST_RUNS,
    )
    newest: dict[tuple[str | None, ...], Run] = {}
    for run in runs:
        newest.setdefault(tuple(_unquoted(run.data.params.get(one)) for one in parameters), run)
    return list(newest.values())


def _unquoted(value: str | None) -> str | None:
    """A parameter as its command took it: `mlflow run` logs it as a word of a shell."""
    try:
        return value and " ".join(shlex.split(value))
    except ValueError:
        return value


def next_in_sequence() -> str:
    """The place of a new run in the order in which a store's runs were begun."""
    newest = _search_runs("tags.entry_point != ''", order_by=_NEWEST_FIRST, max_results=1)
    place = newest[0].data.tags.get(SEQUENCE, "") if newest else ""
    # Tags are texts, and ordered as such; a person may have written into one.
    return f"{int(place) + 1 if is_number(place) else 1:012d}"


def runs_ever(wanted: str) -> list[Run]:
    """The runs that a filter finds in any experiment, deleted ones among them."""
    return _search_runs(wanted, run_view_type=ViewType.ALL)


def _search_runs(wanted: str, **how: Any) -> list[Run]:
    runs: list[Run] = mlflow.search_runs(
        search_all_experiments=True, filter_string=wanted, output_format="list", **how
    )
    return runs
