"""Registered versions of one tracking store again in another.

MLflow's own `copy_model_version` stays within one registry, and its export tools know no logged
models; so each version is logged and registered anew there.
"""

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, Metric
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from srcnn_mlflow.machine.errors import ModelError, TrackingError
from srcnn_mlflow.tracking.card_facts import metrics_of
from srcnn_mlflow.tracking.champions import LINE
from srcnn_mlflow.tracking.experiments import usual_experiment
from srcnn_mlflow.tracking.fetching import fetch
from srcnn_mlflow.tracking.registry import model_name
from srcnn_mlflow.tracking.run_copies import ORIGIN, copy_run
from srcnn_mlflow.tracking.store import check_store_at, environment, tracking_address, tracking_uri

# The tag of a version that was moved, for its reader: the store and the version it is a copy of.
MOVED_FROM = "moved_from"
_JUDGED_BY = "judged_by"


@dataclass
class Moved:
    """What has come of the versions of a registered model.

    Attributes:
        copied: the number of each version that is new there, by its number here.
        present: the same of those that were there before.
        broken: why a version could not be copied, a sentence a version.
        kept: what was left as it was there, in sentences.
    """

    copied: dict[int, int] = field(default_factory=dict)
    present: dict[int, int] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    @property
    def all(self) -> dict[int, int]:
        """The numbers there of all versions that are in both stores, by their numbers here."""
        return self.present | self.copied


class Mover:
    """Copies registered models from the present tracking store to another."""

    def __init__(self, to: str) -> None:
        """Make sure that both stores can be used.

        Args:
            to: the address of the other.

        Raises:
            TrackingError: it is the same, or cannot be used.
        """
        check_store_at(to)
        if to == tracking_uri():
            raise TrackingError("both stores are the same; give the address of another in to")
        self._source, self._target = MlflowClient(), MlflowClient(to, to)

    def move(self, scale: int) -> Moved | None:
        """Copy all versions of a scale's model that are not there yet, and what points to them.

        Returns:
            What has come of it; None where there is no such model.
        """
        model, moved = self._model(model_name(scale)), Moved()
        if model is None:
            return None
        self._make_model(model)
        there = {_origin(one): int(one.version) for one in self._versions(self._target, model.name)}
        for version in self._versions(self._source, model.name):
            number = int(version.version)
            if _origin(version) in there:
                moved.present[number] = there[_origin(version)]
                continue
            try:
                moved.copied[number] = self._copy(version)
            except ModelError as error:
                moved.broken.append(str(error))
        self._point(model, moved)
        return moved

    def _model(self, name: str) -> RegisteredModel | None:
        try:
            return self._source.get_registered_model(name)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise

    def _make_model(self, model: RegisteredModel) -> None:
        try:
            self._target.create_registered_model(model.name, description=model.description)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    @staticmethod
    def _versions(store: MlflowClient, name: str) -> list[ModelVersion]:
        found = store.search_model_versions(f"name = '{name}'")
        return sorted(found, key=lambda version: int(version.version))

    def _copy(self, version: ModelVersion) -> int:
        label = f"{version.name}/{version.version}"
        files = fetch(f"models:/{label}")
        run_id = copy_run(version.run_id, self._source, self._target) if version.run_id else None
        model = self._log(files, run_id)
        tags = {
            **version.tags,
            ORIGIN: _origin(version),
            MOVED_FROM: f"{label} of {tracking_address()}",
        }
        copies = {version.run_id: run_id}
        judged_by = version.tags.get(_JUDGED_BY)
        if judged_by is not None:
            copies[judged_by] = copy_run(judged_by, self._source, self._target)
            tags[_JUDGED_BY] = copies[judged_by] or judged_by
        self._tie(version, model.model_id, copies)
        # A database's registry looks for the model in the present store, whichever client asks.
        with environment({"MLFLOW_TRACKING_URI": self._target.tracking_uri}):
            made = self._target.create_model_version(
                version.name,
                f"models:/{model.model_id}",
                run_id,
                tags,
                description=version.description,
                model_id=model.model_id,
            )
        return int(made.version)

    def _log(self, files: Path, run_id: str | None) -> LoggedModel:
        """Log a model's files; what a process that was killed has begun is gone on with."""
        begun: list[LoggedModel] = []
        if run_id is None:
            experiment, params = usual_experiment(self._target), {}
        else:
            run = self._target.get_run(run_id)
            experiment, params = run.info.experiment_id, run.data.params
            wanted = f"source_run_id = '{run_id}'"
            begun = self._target.search_logged_models([experiment], wanted, max_results=1)
        model = next(iter(begun), None) or self._target.create_logged_model(
            experiment, "model", run_id, params=params
        )
        with TemporaryDirectory() as temporary:
            folder = Path(temporary) / "model"
            shutil.copytree(files, folder)
            about = Model.load(str(folder))
            about.model_id = about.model_uuid = model.model_id
            about.run_id, about.artifact_path = run_id, model.artifact_location
            about.save(str(folder / "MLmodel"))
            self._target.log_model_artifacts(model.model_id, str(folder))
        return self._target.finalize_logged_model(model.model_id, "READY")

    def _tie(
        self, version: ModelVersion, model_id: str, copies: Mapping[str | None, str | None]
    ) -> None:
        """Tie the numbers of copied runs to the copied model, and to their pictures, as here."""
        for one in metrics_of(version):
            run_id = copies.get(one.run_id)
            if run_id is not None:
                # The very point that the run has, which adds none to its curve.
                point = (one.key, one.value, one.timestamp, one.step)
                pictures = (one.dataset_name, one.dataset_digest)
                self._target.log_batch(run_id, [Metric(*point, model_id, *pictures, run_id)])

    def _point(self, model: RegisteredModel, moved: Moved) -> None:
        """Let aliases, and the line of champions, stand for the same versions there."""
        there = self._target.get_registered_model(model.name)
        ours = moved.all
        for alias, number in model.aliases.items():
            wanted, present = ours.get(int(number)), there.aliases.get(alias)
            if wanted is None or (present is not None and int(present) == wanted):
                continue
            if present is not None and int(present) not in ours.values():
                moved.kept.append(
                    f"{alias} of {model.name} is version {present} there, which is none of these, "
                    "and stays so"
                )
                continue
            self._target.set_registered_model_alias(model.name, alias, str(wanted))
        line = [ours[one] for one in _line_of(model) if one in ours]
        if line and set(_line_of(there)) <= set(ours.values()):
            self._target.set_registered_model_tag(model.name, LINE, json.dumps(line))


def _origin(version: ModelVersion) -> str:
    """What a version is, in whichever store: a copy has the origin of what it is a copy of."""
    made = version.run_id or str(version.creation_timestamp)
    return str(version.tags.get(ORIGIN, f"{version.name}/{version.version} of {made}"))


def _line_of(model: RegisteredModel) -> list[int]:
    with suppress(KeyError, TypeError, ValueError):
        return [int(one) for one in json.loads(model.tags[LINE])]
    return []
