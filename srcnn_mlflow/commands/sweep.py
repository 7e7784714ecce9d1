"""`sweep`: search hyper-parameters, a nested run a trial, and go on where a search broke off."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from optuna.trial import Trial

from srcnn_mlflow.commands.project import under_project
from srcnn_mlflow.commands.train import train
from srcnn_mlflow.commands.train_data import log_origin, make_ready
from srcnn_mlflow.commands.train_epochs import Watch, record_epochs
from srcnn_mlflow.commands.train_origin import surroundings
from srcnn_mlflow.commands.train_request import BEFORE, TrainRequest
from srcnn_mlflow.commands.train_state import newest_state
from srcnn_mlflow.machine.errors import SrcnnError, SweepError, TrainingError
from srcnn_mlflow.machine.text import as_file_name, as_markdown, local_path
from srcnn_mlflow.pictures.datasets import Split
from srcnn_mlflow.pictures.store import Store, open_store
from srcnn_mlflow.pictures.store_writer import Prepared
from srcnn_mlflow.showing.study_figures import as_json, draw_study, table
from srcnn_mlflow.tracking import active_run, runs
from srcnn_mlflow.tracking.decisions import find_decisions
from srcnn_mlflow.tracking.run_search import find_run, get_run, mark_best_trial
from srcnn_mlflow.tracking.study import RUN_ID, TENTHS, Place, SharedStudy
from srcnn_mlflow.training import search_space
from srcnn_mlflow.training.distributed import World, alone, choose_device
from srcnn_mlflow.training.fit import EpochResult
from srcnn_mlflow.training.plan import Plan
from srcnn_mlflow.training.planned_fit import plan_fit
from srcnn_mlflow.training.settings import TrainingSettings

logger = logging.getLogger(__name__)

ARTIFACTS = "sweep"
# The tag of a trial's run that says whether it was ended early.
PRUNED = "pruned"
# The tag of a sweep that says how often its validation set has chosen something.
DECISIONS = "decisions"
FAILURES_IN_A_ROW = 3
SHOWN = 5
# Of the study's name, in bytes: its file's name has an ending, and SQLite's own files another.
LONGEST_STUDY = 240


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
        study: its name; None for one made of scale, architecture, channels and data set.
        storage: an SQLAlchemy URL; None for a SQLite file.
        train_best: train and register the best trial's settings at the end.
        full_epochs: of that training.
        channels: `y`, `ycbcr` or `rgb`.
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
    channels: str = "y"

    @property
    def place(self) -> Place:
        """Where the study is kept."""
        colours = "" if self.channels == "y" else f"-{self.channels}"
        asked = f"x{self.scale}-{self.architecture}{colours}-{self.dataset}"
        name = as_file_name(asked, LONGEST_STUDY) if self.study is None else self.study
        if not re.fullmatch(r"[\w.-]+", name) or len(name.encode()) > LONGEST_STUDY:
            raise SweepError(
                f"study {name!r} is not a name; use letters, digits, dots, dashes and underscores, "
                f"at most {LONGEST_STUDY} bytes"
            )
        return Place(name, self.storage)

    def training(self) -> TrainRequest:
        """What all trials share; the search space's values are the recipe's."""
        settings = TrainingSettings(
            architecture=self.architecture,
            channels=self.channels,
            epochs=self.epochs,
            max_minutes=self.max_minutes,
            seed=self.seed,
        )
        return TrainRequest(self.scale, self.dataset, 33, 14, None, settings)


def sweep(request: SweepRequest) -> None:
    """Begin, join or continue a study until it has so many finished trials.

    Args:
        request: what to search, and how long.

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
    label = request.training().settings.network.label
    name = f"sweep x{request.scale} {label} {request.dataset}"

    def check() -> tuple[World, Prepared, Store, SharedStudy]:
        world = alone(choose_device(request.device))
        prepared = make_ready(request.training())
        store = open_store(prepared.path)
        with place.errors_told():
            terms = _terms(request, prepared, store)
            return world, prepared, store, SharedStudy(place, terms, BEFORE)

    track = runs.track_after(check, "sweep", request.scale, shown, name)
    with track as (world, prepared, store, study), place.errors_told():
        active_run.set_tags({"study": place.name, "storage": str(place)})
        changes = study.changes(_may_change(request, prepared, world))
        if changes:
            logger.warning(
                "study %s goes on with what it did not begin with: %s", place.name, changes
            )
        logger.info(
            "study %s in %s: %d of %d trials",
            place.name,
            place,
            len(study.finished()),
            request.trials,
        )
        _run_trials(_Bench(request, place, prepared, store, world, study))
        _report(study, prepared.valid)
        if request.train_best:
            _train_best(request, study)


def _terms(request: SweepRequest, prepared: Prepared, store: Store) -> dict[str, Any]:
    """What trials have to share, so that their validation PSNR can be compared."""
    ranges = search_space.ranges()
    settings = asdict(request.training().settings)
    return {
        "scale": request.scale,
        # One by one, so that a study goes on when a later version has settings more.
        **{name: value for name, value in settings.items() if name not in ranges},
        "train_digest": prepared.train.digest,
        "valid_digest": prepared.valid.digest,
        "planes": store.checksum(),
        "search_space": list(ranges),
        "ranges": ranges,
    }


def _may_change(request: SweepRequest, prepared: Prepared, world: World) -> dict[str, str]:
    """What a study may go on without, and what is told of then."""
    test = {"test_digest": prepared.test.digest} if prepared.test else {}
    return {**surroundings(request.training(), world), **test}


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


def _run_trials(bench: _Bench) -> None:
    failures, study = 0, bench.study
    while (trial := study.take(bench.request.trials, bench.request.seed)) is not None:
        try:
            value, pruned = _run_trial(bench, trial)
        except SrcnnError as error:
            study.fail(trial, str(error))
            settings = search_space.describe(trial.params)
            logger.warning("trial %d: failed, %s: %s", trial.number, settings, error)
            failures += 1
            if failures == FAILURES_IN_A_ROW:
                raise
            continue
        failures = 0
        study.finish(trial, None if pruned else value)
        logger.info(_describe_end(trial, value, pruned, study))
        _mark_best(study)


def _run_trial(bench: _Bench, trial: Trial) -> tuple[float, bool]:
    """Train a trial to its end in its own run, from where that run stands.

    Returns:
        The highest validation PSNR in dB, and whether the trial was ended early.
    """
    run = find_run(trial.user_attrs.get(RUN_ID))
    if run is None or run.info.status != "FINISHED":
        training = bench.training(trial)
        former = None if run is None else run.info.run_id
        with _trial_run(bench, trial, training, former) as run_id:
            # Only what decides of the trial as a whole is told; its epochs stand in its run.
            try_out(run_id, training, bench, _watch(trial))
        run = get_run(run_id)
    return run.data.metrics["best_val_psnr"], run.data.tags[PRUNED] == "true"


def try_out(run_id: str, training: TrainRequest, bench: _Bench, watch: Watch) -> None:
    """Train in the active run as `train` does, but register nothing.

    Args:
        run_id: of the active run; where it holds the state of a broken-off training, that goes on.
        training: what to train.
        bench: on what, and where.
        watch: told of every epoch; False ends the training after it.

    Raises:
        SrcnnError: with a message for the person who asked.
    """
    try:
        state = newest_state(run_id)
    except TrainingError:
        # None was written yet, or none that is whole.
        state = None
    facts = log_origin(run_id, training, bench.prepared, bench.store, bench.world, state)
    fit = state.fit if state else None
    planned = plan_fit(bench.store, training.settings, bench.world, fit)
    record_epochs(run_id, planned, facts, watch)


@contextmanager
def _trial_run(
    bench: _Bench, trial: Trial, training: TrainRequest, former: str | None
) -> Iterator[str]:
    if former is not None:
        with runs.go_on(former):
            logger.info("trial %d: continued in run %s, which had broken off", trial.number, former)
            active_run.set_tags({PRUNED: "false"})
            yield former
        return
    parameters = training.logged(bench.request.device)
    del parameters["resume"]
    name = f"trial {trial.number} of {bench.place.name}"
    scale = bench.request.scale
    with runs.track("trial", scale, parameters, name, system_metrics=True) as run:
        trial.set_user_attr(RUN_ID, run.info.run_id)
        active_run.set_tags({"study": bench.place.name, "trial": trial.number, PRUNED: "false"})
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
        active_run.set_tags({PRUNED: "true"})
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
        active_run.log_metrics({"best_val_psnr": best.values[0]})
        run = find_run(best.user_attrs.get(RUN_ID))
        if run is not None:
            active_run.set_tags({"best_run": run.info.run_id})
            runs = [trial.user_attrs.get(RUN_ID, "") for trial in study.trials()]
            mark_best_trial(run.info.run_id, runs)


def _report(study: SharedStudy, valid: Split) -> None:
    """Log tables and plots, and say what was found and who still works."""
    for line in study.describe_running():
        logger.info(line)
    best = study.best()
    if best is None:
        logger.info("no trial is complete, so there is nothing to show")
        return
    _mark_best(study)
    decided = find_decisions(valid.digest).sentence(f"The validation set, {valid.label},")
    active_run.set_tags({DECISIONS: decided})
    with active_run.artifact_folder(ARTIFACTS) as folder:
        draw_study(study.optuna, folder)
        page = f"{table(study.trials())}\n\n{as_markdown(decided)}\n"
        (folder / "trials.md").write_text(page, encoding="utf-8")
        (folder / "trials.json").write_text(as_json(study.trials()) + "\n", encoding="utf-8")
    logger.info(table(study.ranking()[:SHOWN]))
    logger.info(decided)
    address = local_path(active_run.artifacts_address(ARTIFACTS))
    logger.info("plots and all trials: %s", address)


def _train_best(request: SweepRequest, study: SharedStudy) -> None:
    best = study.best()
    if best is None or len(study.finished()) < request.trials:
        logger.info("the best is not trained here, because other processes still run trials")
        return
    shared = request.training()
    full = replace(shared.settings, epochs=request.full_epochs, max_minutes=None)
    settings = search_space.settings(full, best.params)
    train(replace(shared, settings=settings), request.device)
