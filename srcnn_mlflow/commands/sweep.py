"""`sweep`: search hyper-parameters, a nested run a trial, and go on where a search broke off."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

import mlflow
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from optuna.trial import Trial

from srcnn_mlflow import search_space, tracking
from srcnn_mlflow.commands.prepare import Prepared, under_project
from srcnn_mlflow.commands.results import local_path
from srcnn_mlflow.commands.train import TrainRequest, Watch, make_ready, train, try_out
from srcnn_mlflow.datasets import digest
from srcnn_mlflow.distributed import World, alone, choose_device
from srcnn_mlflow.errors import SrcnnError, SweepError
from srcnn_mlflow.progress import Say, say_nothing
from srcnn_mlflow.store import Store, open_store
from srcnn_mlflow.study import RUN_ID, TENTHS, Place, SharedStudy
from srcnn_mlflow.study_figures import as_json, draw_study, table
from srcnn_mlflow.training import EpochResult, Plan, TrainingSettings

ARTIFACTS = "sweep"
# The tag of a trial's run that says whether it was ended early.
PRUNED = "pruned"
FAILURES_IN_A_ROW = 3
SHOWN = 5


@dataclass(frozen=True)
class SweepRequest:
    """Everything that decides a sweep; its fields are the parameters of `sweep`.

    Attributes:
        scale: 2, 3 or 4.
        dataset: names the photographs.
        trials: so many finished trials the study is to have in all.
        epochs: of a trial.
        architecture: `9-5-5` or `9-1-5`.
        seed: of every trial's training, and of what is suggested.
        max_minutes: of a trial, in place of epochs; None for epochs.
        device: `auto`, `cpu` or `cuda`.
        study: its name; None for one made of scale, architecture and data set.
        storage: an SQLAlchemy URL; None for a SQLite file.
        train_best: train and register the best trial's settings at the end.
        full_epochs: of that training.
    """

    scale: int
    dataset: str
    trials: int
    epochs: int
    architecture: str
    seed: int
    max_minutes: float | None
    device: str
    study: str | None
    storage: str | None
    train_best: bool
    full_epochs: int

    @property
    def place(self) -> Place:
        """Where the study is kept."""
        made = re.sub(r"[^\w.-]+", "-", f"x{self.scale}-{self.architecture}-{self.dataset}")
        name = made if self.study is None else self.study
        if not re.fullmatch(r"[\w.-]+", name):
            raise SweepError(
                f"study {name!r} is not a name; use letters, digits, dots, dashes and underscores"
            )
        return Place(name, self.storage)

    def training(self) -> TrainRequest:
        """What all trials share; the search space's values are the recipe's."""
        settings = TrainingSettings(
            architecture=self.architecture,
            epochs=self.epochs,
            max_minutes=self.max_minutes,
            seed=self.seed,
        )
        return TrainRequest(self.scale, self.dataset, 33, 14, None, settings)


def sweep(request: SweepRequest, say: Say) -> None:
    """Begin, join or continue a study until it has so many finished trials.

    Args:
        request: what to search, and how long.
        say: where messages go.

    Raises:
        SrcnnError: with a message for the person who asked.
    """
    place = request.place
    if place.has_password and under_project():
        raise SweepError(
            f"storage {place} was given with its password, which mlflow run writes into its run: "
            "change that password, delete the run, and give the URL without it (PostgreSQL reads "
            "PGPASSWORD and ~/.pgpass), or run srcnn-mlflow sweep"
        )
    shown = {**asdict(request), "study": place.name, "storage": str(place)}
    name = f"sweep x{request.scale} {request.architecture} {request.dataset}"
    with tracking.track("sweep", request.scale, shown, name), place.errors_told():
        mlflow.set_tags({"study": place.name, "storage": str(place)})
        world = alone(choose_device(request.device))
        prepared = make_ready(request.training(), say)
        study = SharedStudy(place, _terms(request, prepared), say)
        say(f"study {place.name} in {place}: {len(study.finished())} of {request.trials} trials")
        store = open_store(prepared.path)
        _run_trials(_Bench(request, place, prepared, store, world, study), say)
        _report(study, say)
        if request.train_best:
            _train_best(request, study, say)


def _terms(request: SweepRequest, prepared: Prepared) -> dict[str, Any]:
    """What trials have to share, so that their validation PSNR can be compared."""
    return {
        "scale": request.scale,
        "architecture": request.architecture,
        "epochs": request.epochs,
        "max_minutes": request.max_minutes,
        "seed": request.seed,
        "train_digest": digest(prepared.dataset.photos("train")),
        "valid_digest": digest(prepared.dataset.photos("valid")),
        "search_space": [row.name for row in search_space.SEARCH_SPACE],
    }


@dataclass(frozen=True)
class _Bench:
    """What every trial of this process needs."""

    request: SweepRequest
    place: Place
    prepared: Prepared
    store: Store
    world: World
    study: SharedStudy

    def training(self, trial: Trial) -> TrainRequest:
        shared = self.request.training()
        settings = search_space.settings(shared.settings, search_space.suggest(trial))
        return replace(shared, settings=settings)


def _run_trials(bench: _Bench, say: Say) -> None:
    failures, study = 0, bench.study
    while (trial := study.take(bench.request.trials, bench.request.seed)) is not None:
        try:
            run = _run_trial(bench, trial, say)
        except SrcnnError as error:
            study.fail(trial, str(error))
            say(f"trial {trial.number}: failed, {search_space.describe(trial.params)}: {error}")
            failures += 1
            if failures == FAILURES_IN_A_ROW:
                raise
            continue
        failures = 0
        pruned = run.data.tags[PRUNED] == "true"
        value = run.data.metrics["best_val_psnr"]
        study.finish(trial, None if pruned else value)
        say(_describe_end(trial, value, pruned, study))
        _mark_best(study)


def _run_trial(bench: _Bench, trial: Trial, say: Say) -> Run:
    """Train a trial to its end in its own run, from where that run stands."""
    former = _find_run(trial.user_attrs.get(RUN_ID))
    if former is not None and former.info.status == "FINISHED":
        return former
    training = bench.training(trial)
    with _trial_run(bench, trial, training, former) as run_id:
        if former is not None:
            say(f"trial {trial.number}: continued in run {run_id}, which had broken off")
        # Only what decides of the trial as a whole is told; its epochs stand in its run.
        try_out(
            run_id, training, bench.prepared, bench.store, bench.world, _watch(trial), say_nothing
        )
    return mlflow.get_run(run_id)


def _find_run(run_id: str | None) -> Run | None:
    """A run of the present tracking store; None where it has no such run."""
    with suppress(MlflowException):
        return None if run_id is None else mlflow.get_run(run_id)
    return None


@contextmanager
def _trial_run(
    bench: _Bench, trial: Trial, training: TrainRequest, former: Run | None
) -> Iterator[str]:
    if former is not None:
        with tracking.go_on(former.info.run_id):
            mlflow.set_tag(PRUNED, "false")
            yield former.info.run_id
        return
    parameters = training.logged(bench.request.device)
    del parameters["resume"]
    name = f"trial {trial.number} of {bench.place.name}"
    scale = bench.request.scale
    with tracking.track("trial", scale, parameters, name, system_metrics=True) as run:
        trial.set_user_attr(RUN_ID, run.info.run_id)
        mlflow.set_tags({"study": bench.place.name, "trial": trial.number, PRUNED: "false"})
        yield run.info.run_id


def _watch(trial: Trial) -> Watch:
    """Report every tenth of a training, and end it where the pruner says so."""

    def watch(plan: Plan, result: EpochResult) -> bool:
        tenth = TENTHS * result.epoch // plan.epochs
        if tenth == TENTHS * (result.epoch - 1) // plan.epochs:
            return True
        trial.report(result.val_psnr, tenth)
        if tenth == TENTHS or not trial.should_prune():
            return True
        mlflow.set_tag(PRUNED, "true")
        return False

    return watch


def _describe_end(trial: Trial, value: float, pruned: bool, study: SharedStudy) -> str:
    how = "pruned at" if pruned else "reached"
    best = study.best()
    end = f"trial {trial.number}: {how} {value:.3f} dB, {search_space.describe(trial.params)}"
    return end if best is None else f"{end}; best so far: trial {best.number}, {best.value:.3f} dB"


def _mark_best(study: SharedStudy) -> None:
    """Tell of the best trial in its run and in this process's, and in no other."""
    with study.alone():
        best = study.best()
        if best is None:
            return
        mlflow.log_metric("best_val_psnr", best.values[0])
        run = _find_run(best.user_attrs.get(RUN_ID))
        if run is not None:
            mlflow.set_tag("best_run", run.info.run_id)
            runs = [trial.user_attrs.get(RUN_ID, "") for trial in study.trials()]
            tracking.mark_best_trial(run.info.run_id, runs)


def _report(study: SharedStudy, say: Say) -> None:
    """Log tables and plots, and say what was found and who still works."""
    for line in study.describe_running():
        say(line)
    best = study.best()
    if best is None:
        say("no trial is complete, so there is nothing to show")
        return
    _mark_best(study)
    with tracking.artifact_folder(ARTIFACTS) as folder:
        draw_study(study.optuna, folder)
        (folder / "trials.md").write_text(table(study.trials()) + "\n", encoding="utf-8")
        (folder / "trials.json").write_text(as_json(study.trials()) + "\n", encoding="utf-8")
    say(table(study.ranking()[:SHOWN]))
    say(f"plots and all trials: {local_path(mlflow.get_artifact_uri(ARTIFACTS))}")


def _train_best(request: SweepRequest, study: SharedStudy, say: Say) -> None:
    best = study.best()
    if best is None or len(study.finished()) < request.trials:
        say("the best is not trained here, because other processes still run trials")
        return
    shared = request.training()
    full = replace(shared.settings, epochs=request.full_epochs, max_minutes=None)
    settings = search_space.settings(full, best.params)
    train(replace(shared, settings=settings), request.device, say)
