"""Runs in MLflow: start or join one, and log what every run holds."""

import json
import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import mlflow
from mlflow import MlflowClient
from mlflow.data.dataset import Dataset as MlflowDataset
from mlflow.data.sources import LocalArtifactDatasetSource  # type: ignore[attr-defined]
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from sqlalchemy.engine import URL, make_url

from srcnn_mlflow.atomic_write import atomic_write
from srcnn_mlflow.datasets import Photo, digest
from srcnn_mlflow.errors import SrcnnError
from srcnn_mlflow.faults import explain
from srcnn_mlflow.locking import one_at_a_time
from srcnn_mlflow.processes import ProcessSign

# What MLflow tells of its own housekeeping would drown what the commands say.
for _name in (
    *("alembic", "mlflow.pyfunc", "mlflow.models"),
    "mlflow.system_metrics",
):
    logging.getLogger(_name).setLevel(logging.WARNING)
# An error of the database is raised too, and then told in one line instead of a traceback.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


# The tag of a run that has failed: the reason, as the person at the keyboard was told it.
FAILURE = "failure"
# The tag of a run whose process has ended without a word.
TIDIED = "tidied"
# Where the UI looks for a run's description, in Markdown.
DESCRIPTION = "mlflow.note.content"
# The tag of the run that holds the best trial of a study.
BEST_TRIAL = "best_trial"


class _PhotoDataset(MlflowDataset):
    """A set of photographs, as MLflow lists it among a run's inputs."""

    def __init__(self, name: str, photos: Sequence[Photo]) -> None:
        self._photos = photos
        folders = sorted({str(photo.path.parent.absolute()) for photo in photos})
        source = LocalArtifactDatasetSource(os.path.commonpath(folders))
        super().__init__(source=source, name=name, digest=digest(photos))

    def _compute_digest(self) -> str:
        return digest(self._photos)

    @property
    def profile(self) -> dict[str, int]:
        """Number of pictures and of their pixels."""
        pixels = sum(photo.width * photo.height for photo in self._photos)
        return {"images": len(self._photos), "pixels": pixels}

    @property
    def schema(self) -> None:
        """Photographs have none."""

    def to_dict(self) -> dict[str, str]:
        """What MLflow stores of the data set."""
        return {**super().to_dict(), "profile": json.dumps(self.profile)}


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
    _create_store()
    with _run(log_system_metrics=system_metrics) as run:
        mlflow.set_tags(
            {
                "mlflow.runName": name,
                "entry_point": entry_point,
                "git_commit": git_commit(),
                **ProcessSign.own().tags(),
                **({} if scale is None else {"scale": str(scale)}),
            }
        )
        mlflow.log_params(
            {key: as_text(value) for key, value in parameters.items() if key not in run.data.params}
        )
        yield run


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
        mlflow.set_tags(ProcessSign.own().tags())
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
    return told or f"{type(error).__name__}: {error}"


def _create_store() -> None:
    """Let one process at a time create the tables of a local store, which MLflow does not.

    MLflow cannot go on with a database whose creation has broken off, so it has its name only
    when it is complete.
    """
    uri = mlflow.get_tracking_uri()
    if not uri.startswith("sqlite:///"):
        return
    path = Path(make_url(uri).database or "")
    with one_at_a_time(
        path.with_name(f"{path.name}.lock"), f"creates {path}", logging.getLogger(__name__).info
    ):
        if path.exists():
            # MLflow tries for more than a minute to open one that cannot be opened.
            path.open("r+b").close()
        else:
            with atomic_write(path) as partial:
                partial_uri = URL.create("sqlite", database=str(partial))
                MlflowClient(partial_uri.render_as_string()).search_experiments(max_results=1)


def as_text(value: Any) -> str:
    """Write a parameter the way the command line takes it: `none`, `true`, `false`, `0.001`."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def log_photos(name: str, photos: Sequence[Photo], context: str) -> None:
    """Log photographs among the active run's inputs, with their digest.

    Args:
        name: of the data set.
        photos: at least one.
        context: what they were used for: `train`, `valid` or `test`.
    """
    mlflow.log_input(_PhotoDataset(name, photos), context=context)


@contextmanager
def artifact_folder(artifact_path: str) -> Iterator[Path]:
    """Give a folder to write into; when the block ends well its files become artifacts."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        yield folder
        mlflow.log_artifacts(str(folder), artifact_path)


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


def download(run_id: str, artifact_path: str, destination: Path) -> Path:
    """Fetch one artifact of a run into a local folder."""
    return Path(
        mlflow.artifacts.download_artifacts(
            run_id=run_id, artifact_path=artifact_path, dst_path=str(destination)
        )
    )


def running_runs() -> list[Run]:
    """All runs that are RUNNING, in any experiment."""
    return _search_runs("attributes.status = 'RUNNING'")


def mark_failed(run_id: str, reason: str) -> None:
    """End a run for a process that may be gone; does nothing to a run that has ended."""
    client = MlflowClient()
    if client.get_run(run_id).info.status == "RUNNING":
        client.set_tag(run_id, FAILURE, reason)
        client.set_terminated(run_id, "FAILED")


def process_of(run: Run) -> ProcessSign | None:
    """The process that a run belongs to; None where the run does not say."""
    return ProcessSign.from_tags(run.data.tags)


def interrupted_runs(entry_point: str, scale: int) -> list[Run]:
    """Runs that have not finished and whose process is not known to live, newest first."""
    runs = _search_runs(
        f"tags.entry_point = '{entry_point}' and tags.scale = '{scale}' "
        "and attributes.status != 'FINISHED'",
        order_by=["attributes.start_time DESC"],
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


def newest_run(entry_point: str, scale: int) -> Run | None:
    """The latest finished run of an entry point at a scale, in any experiment."""
    runs = _search_runs(
        f"tags.entry_point = '{entry_point}' and tags.scale = '{scale}' "
        "and attributes.status = 'FINISHED'",
        order_by=["attributes.start_time DESC"],
        max_results=1,
    )
    return runs[0] if runs else None


def _search_runs(wanted: str, **how: Any) -> list[Run]:
    runs: list[Run] = mlflow.search_runs(
        search_all_experiments=True, filter_string=wanted, output_format="list", **how
    )
    return runs


def git_commit() -> str:
    """The commit of the code that runs, with `-dirty` where files differ from it."""
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        # An installed copy may lie inside the repository of something else.
        git("ls-files", "--error-unmatch", Path(__file__).name)
        commit = git("rev-parse", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit}-dirty" if changed else commit
