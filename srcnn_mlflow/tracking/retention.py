"""Artifacts of runs that have ended: how large they are, and how they are given up."""

from collections.abc import Collection
from contextlib import suppress
from pathlib import PurePosixPath

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from srcnn_mlflow.tracking.run_search import finished_runs
from srcnn_mlflow.tracking.store import tracking_uri

# The tag of a run that says which of its artifacts were given up.
FREED = "freed"
_TRAININGS = ("train", "trial", "study-training")


def finished_trainings() -> list[Run]:
    """All runs of any experiment that have trained a network to the end."""
    return [run for kind in _TRAININGS for run in finished_runs(kind)]


def registered_runs() -> set[str]:
    """The ids of the runs whose model is a registered version that has its files."""
    versions = MlflowClient().search_model_versions()
    return {version.run_id for version in versions if version.run_id and _has_files(version)}


def sizes_of(run_id: str, folder: str, names: Collection[str]) -> dict[str, int]:
    """Those of some files that a run has in a folder of its artifacts: bytes by path."""
    files = MlflowClient().list_artifacts(run_id, folder)
    wanted = {f"{folder}/{name}" for name in names}
    return {file.path: file.file_size or 0 for file in files if file.path in wanted}


def give_up(run: Run, paths: Collection[str]) -> None:
    """Delete artifacts of a run, which says so in a tag."""
    client, run_id = MlflowClient(), run.info.run_id
    former = run.data.tags.get(FREED, "")
    client.set_tag(run_id, FREED, ", ".join(sorted({*former.split(", "), *paths} - {""})))
    store = get_artifact_repository(run.info.artifact_uri, tracking_uri=tracking_uri())
    for path in paths:
        store.delete_artifacts(path)  # type: ignore[no-untyped-call]


def _has_files(version: ModelVersion) -> bool:
    """Whether they can be listed; where not, they count as gone, and all else is kept."""
    with suppress(MlflowException, OSError):
        place = MlflowClient().get_model_version_download_uri(version.name, version.version)
        files = get_artifact_repository(place, tracking_uri=tracking_uri()).list_artifacts(None)
        return "MLmodel" in {PurePosixPath(file.path).name for file in files}
    return False
