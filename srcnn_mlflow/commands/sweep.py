"""`sweep`: search hyper-parameters, a nested run a trial, and go on where a search broke off."""

import logging
import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import chain
from typing import Any

from optuna.trial import Trial

from srcnn_mlflow.commands.train import train
from srcnn_mlflow.commands.train_data import make_ready
from srcnn_mlflow.commands.train_epochs import Watch
from srcnn_mlflow.commands.train_origin import surroundings
from srcnn_mlflow.commands.train_request import BEFORE, TrainRequest
from srcnn_mlflow.commands.trials import Ground, TrialRun, check_password, run_trial
from srcnn_mlflow.machine.errors import SrcnnError, SweepError
from srcnn_mlflow.machine.text import as_file_name, as_markdown, as_text, short_dataset
from srcnn_mlflow.network.foreign import short_name
from srcnn_mlflow.pictures.datasets import Split
from srcnn_mlflow.showing.search_figures import draw_search
from srcnn_mlflow.showing.search_tables import as_json, table
from srcnn_mlflow.tracking import active_run, runs
from srcnn_mlflow.tracking.decisions import find_decisions
from srcnn_mlflow.tracking.run_search import find_run, get_run, mark_best_trial
from srcnn_mlflow.tracking.search import TENTHS, Search
from srcnn_mlflow.tracking.study import LONGEST_STUDY, RUN_ID, Place
from srcnn_mlflow.training import search_space
from srcnn_mlflow.training.distributed import alone, choose_device
from srcnn_mlflow.training.fit import EpochResult
from srcnn_mlflow.training.networks import network_of
from srcnn_mlflow.training.plan import Plan
from srcnn_mlflow.training.settings import TrainingSettings

logger = logging.getLogger(__name__)

ARTIFACTS = "sweep"
# The tag of a trial's run that says whether it was ended early.
PRUNED = "pruned"
# The tag of a sweep that says how often its validation set has chosen something.
DECISIONS = "decisions"
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
        architecture: of every trial's network.
        seed: of every trial's training, and of what is suggested.
        max_minutes: of a trial, in place of epochs; None for epochs.
        device: `auto`, `cpu`, `cuda` or `mps`.
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
        asked = f"x{self.scale}-{short_name(self.architecture)}{colours}-{self.dataset}"
        name = as_file_name(asked, LONGEST_STUDY) if self.study is None else self.study
        if not re.fullmatch(r"[\w.-]+", name) or len(name.encode()) > LONGEST_STUDY:
            raise SweepError(
                f"study {name!r} is not a name; use letters, digits, dots, dashes and underscores, "
                f"at most {LONGEST_STUDY} bytes"
            )
        return Place(name, self.storage)

    def command_for(self, values: Mapping[str, Any]) -> str:
        """The command that trains a trial's values in full."""
        usual = {**asdict(TrainingSettings()), "device": "auto"}
        shared = {
            name: getattr(self, name) for name in ("architecture", "channels", "seed", "device")
        }
        given = {"scale": self.scale, "dataset": self.dataset, "epochs": self.full_epochs} | {
            name: value for name, value in {**shared, **values}.items() if value != usual[name]
        }
        options = [(f"--{name.replace('_', '-')}", as_text(value)) for name, value in given.items()]
        return shlex.join(["srcnn-mlflow", "train", *chain.from_iterable(options)])

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
    check_password(place, "sweep")
    shown = {**asdict(request), "study": place.name, "storage": str(place)}
    label = request.training().settings.label
    name = f"sweep x{request.scale} {label} {short_dataset(request.dataset)}"

    def check() -> tuple[Ground, Search]:
        world = alone(choose_device(request.device))
        prepared = make_ready(request.training())
        ground = Ground(prepared, prepared.open(), world)
        with place.errors_told():
            return ground, Search(place, _terms(request, ground), BEFORE)

    track = runs.track_after(check, "sweep", request.scale, shown, name)
    with track as (ground, study), place.errors_told():
        active_run.set_tags({"study": place.name, "storage": str(place)})
        changes = study.changes(_may_change(request, ground))
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
        _run_trials(_Bench(request, place, ground, study))
        _report(request, study, ground.prepared.valid)
        if request.train_best:
            _train_best(request, study)


def _terms(request: SweepRequest, ground: Ground) -> dict[str, Any]:
    """What trials have to share, so that their validation PSNR can be compared."""
    ranges = search_space.ranges()
    settings = asdict(request.training().settings)
    return {
        "scale": request.scale,
        # One by one, so that a study goes on when a later version has settings more.
        **{name: value for name, value in settings.items() if name not in ranges},
        "train_digest": ground.prepared.train.digest,
        "valid_digest": ground.prepared.valid.digest,
        "planes": ground.store.checksum(),
        "search_space": list(ranges),
        "ranges": ranges,
        # What a network from outside is made of.
        **network_of(request.training().settings).source,
    }


def _may_change(request: SweepRequest, ground: Ground) -> dict[str, str]:
    """What a study may go on without, and what is told of then."""
    test = ground.prepared.test
    digest = {"test_digest": test.digest} if test else {}
    return {**surroundings(request.training(), ground.world), **digest}


@dataclass(frozen=True)
class _Bench:
    """What every trial of this process needs."""

    request: SweepRequest
    place: Place
    ground: Ground
    study: Search

    def training(self, trial: Trial) -> TrainRequest:
        shared = self.request.training()
        settings = search_space.settings(shared.settings, search_space.suggest(trial))
        return replace(shared, settings=settings)


def _run_trials(bench: _Bench) -> None:
    failures, study = 0, bench.study
    while (trial := study.suggested(bench.request.trials, bench.request.seed)) is not None:
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
    told = f"trial {trial.number}"
    about = TrialRun(
        "trial",
        f"{told} of {bench.place.name}",
        told,
        bench.request.device,
        {"study": bench.place.name, "trial": trial.number, PRUNED: "false"},
    )
    # Only what decides of the trial as a whole is told; its epochs stand in its run.
    run = get_run(run_trial(trial, bench.training(trial), bench.ground, about, _watch(trial)))
    return run.data.metrics["best_val_psnr"], run.data.tags[PRUNED] == "true"


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


def _describe_end(trial: Trial, value: float, pruned: bool, study: Search) -> str:
    how = "pruned at" if pruned else "reached"
    best = study.best()
    end = f"trial {trial.number}: {how} {value:.3f} dB, {search_space.describe(trial.params)}"
    return end if best is None else f"{end}; best so far: trial {best.number}, {best.value:.3f} dB"


def _mark_best(study: Search) -> None:
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


def _report(request: SweepRequest, study: Search, valid: Split) -> None:
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
    command = request.command_for(best.params)
    told = f"{as_markdown(decided)}\n\nTo train the best in full:\n\n    {command}\n"
    with active_run.artifact_folder(ARTIFACTS) as folder:
        draw_search(study.optuna, folder)
        page = f"{table(study.trials())}\n\n{told}"
        (folder / "trials.md").write_text(page, encoding="utf-8")
        (folder / "trials.json").write_text(as_json(study.trials()) + "\n", encoding="utf-8")
    best_ones = table(study.ranking()[:SHOWN])
    active_run.describe(f"{best_ones}\n\n{told}")
    logger.info(best_ones)
    logger.info(decided)
    address = active_run.place_of_artifacts(ARTIFACTS)
    logger.info("plots and all trials: %s", address)
    for line in active_run.how_to_see_below("all trials in each chart", "best_val_psnr"):
        logger.info(line)
    if not request.train_best:
        logger.info("to train the best in full: %s", command)


def _train_best(request: SweepRequest, study: Search) -> None:
    best = study.best()
    if best is None or len(study.finished()) < request.trials:
        logger.info("the best is not trained here, because other processes still run trials")
        return
    shared = request.training()
    full = replace(shared.settings, epochs=request.full_epochs, max_minutes=None)
    settings = search_space.settings(full, best.params)
    train(replace(shared, settings=settings), request.device)
