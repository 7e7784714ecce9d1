"""A trial of a sweep or a study: a training in a run of its own, of which nothing is registered."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from optuna.trial import Trial

from srcnn_mlflow.commands.project import under_project
from srcnn_mlflow.commands.train_data import log_origin
from srcnn_mlflow.commands.train_epochs import Watch, record_epochs
from srcnn_mlflow.commands.train_request import TrainRequest
from srcnn_mlflow.commands.train_state import newest_state
from srcnn_mlflow.machine.errors import SweepError, TrainingError
from srcnn_mlflow.pictures.store import Store
from srcnn_mlflow.pictures.store_writer import Prepared
from srcnn_mlflow.tracking import active_run, runs
from srcnn_mlflow.tracking.run_search import find_run, is_deleted
from srcnn_mlflow.tracking.study import RUN_ID, Place
from srcnn_mlflow.training.distributed import World
from srcnn_mlflow.training.planned_fit import plan_fit

# The tag of a trial's run that says how many steps it was to take.
STEPS = "steps"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ground:
    """What a trial trains on, and where.

    Attributes:
        prepared: the photographs.
        store: their planes and patches.
        world: the process that trains.
    """

    prepared: Prepared
    store: Store
    world: World


@dataclass(frozen=True)
class TrialRun:
    """How the run of a trial is called.

    Attributes:
        entry_point: goes into the tag of that name.
        name: what the run is called in the UI.
        told: what the trial is called in messages.
        device: `auto`, `cpu`, `cuda` or `mps`, as it was asked for.
        tags: of the run, from its beginning on.
    """

    entry_point: str
    name: str
    told: str
    device: str
    tags: Mapping[str, Any]


def check_password(place: Place, command: str) -> None:
    """Make sure that no password of a database goes into the run that `mlflow run` writes.

    Raises:
        SweepError: one would.
    """
    if place.has_password and under_project():
        raise SweepError(
            f"storage {place} was given with its password, which mlflow run writes into its run: "
            "change that password, delete the run, and give the URL without it (PostgreSQL reads "
            f"PGPASSWORD and ~/.pgpass), or run srcnn-mlflow {command}"
        )


def run_trial(
    trial: Trial, training: TrainRequest, ground: Ground, about: TrialRun, watch: Watch
) -> str:
    """Train a trial to its end in its own run, from where that run stands.

    Args:
        trial: signed by this process.
        training: what to train.
        ground: on what, and where.
        about: how its run is called.
        watch: told of every epoch; False ends the training after it.

    Returns:
        The id of the run, which has ended well.

    Raises:
        SrcnnError: with a message for the person who asked.
    """
    run = find_run(trial.user_attrs.get(RUN_ID))
    if run is not None and is_deleted(run):
        run = None
    if run is not None and run.info.status == "FINISHED":
        return str(run.info.run_id)
    former = None if run is None else run.info.run_id
    with _open_run(trial, training, about, former) as run_id:
        try_out(run_id, training, ground, watch)
    return run_id


def try_out(run_id: str, training: TrainRequest, ground: Ground, watch: Watch) -> None:
    """Train in the active run as `train` does, but register nothing.

    Args:
        run_id: of the active run; where it holds the state of a broken-off training, that goes on.
        training: what to train.
        ground: on what, and where.
        watch: told of every epoch; False ends the training after it.

    Raises:
        SrcnnError: with a message for the person who asked.
    """
    try:
        state = newest_state(run_id)
    except TrainingError:
        # None was written yet, or none that is whole.
        state = None
    facts = log_origin(run_id, training, ground.prepared, ground.store, ground.world, state)
    fit = state.fit if state else None
    planned = plan_fit(ground.store, training.settings, ground.world, fit)
    active_run.set_tags({STEPS: planned.plan.total_steps})
    record_epochs(run_id, planned, facts, watch)


@contextmanager
def _open_run(
    trial: Trial, training: TrainRequest, about: TrialRun, former: str | None
) -> Iterator[str]:
    if former is not None:
        with runs.go_on(former):
            logger.info("%s: continued in run %s, which had broken off", about.told, former)
            active_run.set_tags(about.tags)
            yield former
        return
    parameters = training.logged(about.device)
    for absent in ("resume", "init_from"):
        del parameters[absent]
    opened = runs.track(
        about.entry_point, training.scale, parameters, about.name, system_metrics=True
    )
    with opened as run:
        trial.set_user_attr(RUN_ID, run.info.run_id)
        active_run.set_tags(about.tags)
        yield run.info.run_id
