"""Runs in MLflow: start one, join one, or go on in one."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlparse

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.environment_variables import MLFLOW_RUN_ID
from mlflow.exceptions import MlflowException
from mlflow.tracking.context.registry import resolve_tags
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from srcnn_mlflow.machine.atomic_write import atomic_write
from srcnn_mlflow.machine.credentials import without_credentials
from srcnn_mlflow.machine.errors import SrcnnError
from srcnn_mlflow.machine.faults import explain
from srcnn_mlflow.machine.git import git_commit
from srcnn_mlflow.machine.processes import ProcessSign
from srcnn_mlflow.tracking.active_run import shown_parameter
from srcnn_mlflow.tracking.experiments import describe_experiment, experiment_of_next_run
from srcnn_mlflow.tracking.run_search import FAILURE, SEQUENCE, TIDIED, next_in_sequence
from srcnn_mlflow.tracking.store import check_store

Checked = TypeVar("Checked")


@contextmanager
def track(
    entry_point: str,
    scale: int | None,
    parameters: Mapping[str, Any],
    name: str,
    system_metrics: bool = False,
) -> Iterator[Run]:
    """Start a run, nested where one is active; or join the one that `mlflow run` has opened.

    The run ends FINISHED, or FAILED when the block raises.

    Args:
        entry_point: goes into the tag of that name.
        scale: goes into the tag of that name; None where the run has none of its own.
        parameters: logged, but for those that MLflow Projects has logged already.
        name: what the run is called in the UI.
        system_metrics: log what the machine is doing every ten seconds.
    """
    if mlflow.active_run() is None:
        check_store()
    with _tracked(entry_point, scale, parameters, name, system_metrics) as run:
        yield run


@contextmanager
def track_after(
    check: Callable[[], Checked],
    entry_point: str,
    scale: int | None,
    parameters: Mapping[str, Any],
    name: str,
    system_metrics: bool = False,
) -> Iterator[Checked]:
    """As `track`, for a command that may be refused: it has no run before it was looked at.

    Where `mlflow run` has opened a run, that one is told why it is refused.

    Args:
        check: looks at what the command was given; what it gives is given to the block.
        entry_point: as for `track`, and so are those that follow.
        scale: see there.
        parameters: see there.
        name: see there.
        system_metrics: see there.
    """
    if mlflow.active_run() is None:
        check_store()
    about = (entry_point, scale, parameters, name, system_metrics)
    if mlflow.active_run() is None and MLFLOW_RUN_ID.defined:
        with _tracked(*about):
            yield check()
    else:
        checked = check()
        with _tracked(*about):
            yield checked


@contextmanager
def _tracked(
    entry_point: str,
    scale: int | None,
    parameters: Mapping[str, Any],
    name: str,
    system_metrics: bool,
) -> Iterator[Run]:
    place, is_first = next_in_sequence(), mlflow.active_run() is None
    experiment = experiment_of_next_run(entry_point)
    # MLflow notes where git fetches from, and `mlflow run` what it was given.
    own_tags = _corrected(resolve_tags())
    with _run(experiment_id=experiment, tags=own_tags, log_system_metrics=system_metrics) as run:
        if is_first:
            describe_experiment(run.info.experiment_id)
        mlflow.set_tags(
            {
                **_corrected(run.data.tags),
                "mlflow.runName": name,
                "entry_point": entry_point,
                "git_commit": git_commit(),
                SEQUENCE: place,
                **ProcessSign.own().tag(),
                **({} if scale is None else {"scale": str(scale)}),
            }
        )
        mlflow.log_params(
            {
                key: shown_parameter(value)
                for key, value in parameters.items()
                if key not in run.data.params
            }
        )
        yield run


def _corrected(tags: Mapping[str, str]) -> dict[str, str]:
    """Those of some tags that hold a credential, without it."""
    shown = {name: without_credentials(text) for name, text in tags.items()}
    return {name: text for name, text in shown.items() if text != tags[name]}


@contextmanager
def go_on(run_id: str) -> Iterator[Run]:
    """Go on in a run that another process began, under the run that is active here, if any.

    What it said of its former end is taken back. It ends as with `track`.
    """
    parent = mlflow.active_run()
    with _run(run_id=run_id, log_system_metrics=True) as run:
        for tag in (FAILURE, TIDIED):
            if tag in run.data.tags:
                mlflow.delete_tag(tag)
        if parent is not None:
            mlflow.set_tag(MLFLOW_PARENT_RUN_ID, parent.info.run_id)
        mlflow.set_tags(ProcessSign.own().tag())
        yield run


@contextmanager
def _run(**how: Any) -> Iterator[Run]:
    """A run that says why it has failed, where its server can still be told."""
    reason: BaseException | None = None
    try:
        with mlflow.start_run(nested=mlflow.active_run() is not None, **how) as run:
            try:
                yield run
            except (Exception, KeyboardInterrupt) as error:
                reason = error
                # Where the store itself has failed, the first failure is what a person has to know.
                with suppress(MlflowException):
                    mlflow.set_tag(FAILURE, _in_words(error))
                raise
    except MlflowException:
        if reason is not None:
            raise reason from None
        raise


def _in_words(error: BaseException) -> str:
    """Why a run has failed, as the person at the keyboard is told it."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    told = str(error) if isinstance(error, SrcnnError) else explain(error)
    return without_credentials(told or f"{type(error).__name__}: {error}")


def log_file(run_id: str, file: Path, artifact_path: str) -> None:
    """Make a file an artifact of a run, in the place of a former one of its name.

    In a folder of this machine, MLflow would write over the former one, and a full disk would
    leave neither.

    Raises:
        WriteError: the folder may not be written, or its disk is full.
    """
    client = MlflowClient()
    uri = client.get_run(run_id).info.artifact_uri
    if urlparse(uri).scheme not in ("", "file"):
        client.log_artifact(run_id, str(file), artifact_path)
        return
    folder = Path(local_file_uri_to_path(uri)) / artifact_path  # type: ignore[no-untyped-call]
    with atomic_write(folder / file.name, file.stat().st_size) as partial:
        shutil.copyfile(file, partial)
