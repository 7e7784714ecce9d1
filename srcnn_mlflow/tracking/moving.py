"""Registered versions of one tracking store again in another.

MLflow's own `copy_model_version` stays within one registry, and its export tools know no logged
models; so each version is logged and registered anew there.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, Metric, ViewType
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from srcnn_mlflow.machine.errors import ModelError, TrackingError
from srcnn_mlflow.machine.progress import progress
from srcnn_mlflow.tracking.card_facts import logged_model_of, metrics_of
from srcnn_mlflow.tracking.champions import LINE
from srcnn_mlflow.tracking.descriptions import renew_card
from srcnn_mlflow.tracking.experiments import usual_experiment
from srcnn_mlflow.tracking.fetching import fetch
from srcnn_mlflow.tracking.leaderboard import pages
from srcnn_mlflow.tracking.registry import model_name
from srcnn_mlflow.tracking.run_copies import ORIGIN, RunCopies
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
        self._runs = RunCopies(self._source, self._target)
        # Ids of models, and versions, of the other store by those of this one.
        self._models: dict[str, str] = {}
        self._labels: dict[str, str] = {}

    def move(self, scale: int) -> Moved | None:
        """Copy all versions of a scale's model that are not there yet, and what points to them.

        With them go the runs that made, measured and judged them, what these are tied to, and
        every promotion of the scale, because what a set of pictures has decided counts there too.

        Returns:
            What has come of it; None where there is no such model.
        """
        model, moved = self._model(model_name(scale)), Moved()
        if model is None:
            return None
        self._make_model(model)
        there = {_origin(one): int(one.version) for one in self._versions(self._target, model.name)}
        versions = self._versions(self._source, model.name)
        for version in progress(versions, len(versions), f"copying {model.name}"):
            number = int(version.version)
            if _origin(version) in there:
                moved.present[number] = there[_origin(version)]
                continue
            try:
                moved.copied[number] = self._copy(version)
            except ModelError as error:
                moved.broken.append(str(error))
        for run_id in self._promotions(scale):
            self._runs.copy(run_id)
        for version in progress(versions, len(versions), f"runs that measured {model.name}"):
            self._tie(version, moved.all.get(int(version.version)))
        self._runs.settle(self._models, self._labels)
        self._point(model, moved)
        with self._there():
            for number in moved.all.values():
                renew_card(scale, number)
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

    def _promotions(self, scale: int) -> list[str]:
        """All that came to a verdict, deleted ones among them."""
        experiments = [one.experiment_id for one in self._source.search_experiments()]
        wanted = f"tags.entry_point = 'promote' and tags.scale = '{scale}'"
        found = pages(
            lambda token: self._source.search_runs(
                experiments, wanted, ViewType.ALL, page_token=token
            )
        )
        return [str(run.info.run_id) for run in found if "verdict" in run.data.tags]

    def _copy(self, version: ModelVersion) -> int:
        label = f"{version.name}/{version.version}"
        files = fetch(f"models:/{label}")
        run_id = self._runs.copy(version.run_id)
        model = self._log(version, files, run_id)
        tags = {
            **version.tags,
            ORIGIN: _origin(version),
            MOVED_FROM: f"{label} of {tracking_address()}",
        }
        judged_by = version.tags.get(_JUDGED_BY)
        if judged_by is not None:
            tags[_JUDGED_BY] = self._runs.copy(judged_by) or judged_by
        made = self._register(version, model, tags)
        # Its number here, where that is free there: runs, tables and pages name it by that.
        for _ in range(int(version.version) - int(made.version)):
            self._target.delete_model_version(made.name, made.version)
            made = self._register(version, model, tags)
        return int(made.version)

    def _register(
        self, version: ModelVersion, model: LoggedModel, tags: dict[str, str]
    ) -> ModelVersion:
        # A database's registry looks for the model in the present store, whichever client asks.
        with self._there():
            return self._target.create_model_version(
                version.name,
                f"models:/{model.model_id}",
                model.source_run_id,
                tags,
                description=version.description,
                model_id=model.model_id,
            )

    @contextmanager
    def _there(self) -> Iterator[None]:
        """Let the other store be the present one while a block runs."""
        to = self._target.tracking_uri
        with environment({"MLFLOW_TRACKING_URI": to, "MLFLOW_REGISTRY_URI": to}):
            yield

    def _log(self, version: ModelVersion, files: Path, run_id: str | None) -> LoggedModel:
        """Log a model's files; what a process that was killed has begun is gone on with."""
        made_of = logged_model_of(version)
        origin = _origin(version) if made_of is None else made_of.tags.get(ORIGIN, made_of.model_id)
        if run_id is None:
            experiment, params = usual_experiment(self._target), {}
        else:
            run = self._target.get_run(run_id)
            experiment, params = run.info.experiment_id, run.data.params
        if made_of is not None:
            params = made_of.params
        begun = self._target.search_logged_models(
            [experiment], f"tags.{ORIGIN} = '{origin}'", max_results=1
        )
        model = next(iter(begun), None) or self._target.create_logged_model(
            experiment, "model", run_id, params=params, tags={ORIGIN: origin}
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

    def _tie(self, version: ModelVersion, number: int | None) -> None:
        """Tie the numbers of a version, of whichever run, to its copy and its pictures, as here."""
        if number is None:
            return
        copied = self._target.get_model_version(version.name, str(number))
        self._labels[f"{version.name}/{version.version}"] = f"{version.name}/{number}"
        model_id = _model_id(copied)
        self._models[_model_id(version)] = model_id
        present = self._target.get_logged_model(model_id).metrics or []
        tied = {(one.key, one.run_id, one.step, one.timestamp) for one in present}
        for one in metrics_of(version):
            run_id = self._runs.copy(one.run_id)
            if run_id is None or (one.key, run_id, one.step, one.timestamp) in tied:
                continue
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


def _model_id(version: ModelVersion) -> str:
    """Of its logged model; of a version of before, which has none, whatever it was made of."""
    return str(version.source).removeprefix("models:/")


def _line_of(model: RegisteredModel) -> list[int]:
    with suppress(KeyError, TypeError, ValueError):
        return [int(one) for one in json.loads(model.tags[LINE])]
    return []
