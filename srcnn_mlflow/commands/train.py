"""`train`: fit a network, track every epoch, register what came out."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from srcnn_mlflow.commands.project import under_project
from srcnn_mlflow.commands.train_data import log_origin, make_ready
from srcnn_mlflow.commands.train_epochs import Watch, record_epochs, tell_epoch
from srcnn_mlflow.commands.train_followers import brief_followers, follow
from srcnn_mlflow.commands.train_origin import WINDOW
from srcnn_mlflow.commands.train_request import TrainRequest
from srcnn_mlflow.commands.train_result import Trained, register
from srcnn_mlflow.commands.train_start import INIT_FROM, Start, find_start
from srcnn_mlflow.commands.train_state import TrainingState, find_interrupted, state_to_resume
from srcnn_mlflow.machine.text import differences, short_dataset
from srcnn_mlflow.pictures.store_writer import Prepared
from srcnn_mlflow.tracking import active_run, registry, runs
from srcnn_mlflow.tracking.store import check_store
from srcnn_mlflow.training.distributed import World, alone, choose_device, join_world
from srcnn_mlflow.training.fit import EpochResult
from srcnn_mlflow.training.plan import Plan
from srcnn_mlflow.training.planned_fit import choose_window, plan_fit

logger = logging.getLogger(__name__)


def run_train(
    request: TrainRequest, device: str, resume_from: str | None, memory: int | None = None
) -> None:
    """What this process does for `train`, which `torchrun` may have started several times.

    Args:
        request: what to train.
        device: `auto`, `cpu`, `cuda` or `mps`.
        resume_from: the id of an interrupted run; `auto` for the newest of the same request, if
            there is any; None to begin anew.
        memory: what the training planes of a process may take, in bytes; None for what the machine
            has to spare. A training that is gone on with keeps to what it had.

    Raises:
        SrcnnError: with a message for the person who asked.
    """
    with join_world(device) as world:
        if not world.leads:
            follow(world)
            return
        if resume_from is not None:
            check_store()
        if resume_from == "auto":
            # As it is noted in the run that is looked for.
            request, _ = find_start(request)
        run_id = find_interrupted(request) if resume_from == "auto" else resume_from
        if run_id is None:
            train(request, device, world, memory=memory)
        else:
            resume(run_id, world, request)


def train(
    request: TrainRequest,
    device: str,
    world: World | None = None,
    prepared: Prepared | None = None,
    memory: int | None = None,
) -> Trained:
    """Prepare where needed, train, and register the best epoch as challenger.

    Args:
        request: what to train.
        device: `auto`, `cpu`, `cuda` or `mps`.
        world: the processes that train together, which this one leads; None for this one alone.
        prepared: what `make_ready` has made of the request, where it has done so already.
        memory: as in `run_train`.

    Raises:
        SrcnnError: with a message for the person who asked.
    """
    world = world or alone(choose_device(device))
    name = f"train x{request.scale} {request.settings.label} {short_dataset(request.dataset)}"
    parameters = request.logged(device, memory)
    # Logged once it is known which version that is.
    del parameters[INIT_FROM]

    def check() -> tuple[Prepared, TrainRequest, Start | None]:
        return prepared or make_ready(request), *find_start(request)

    with runs.track_after(
        check, *("train", request.scale, parameters, name), system_metrics=True
    ) as (ready, found, start):
        active_run.log_parameters({INIT_FROM: found.init_from})
        return _lead(active_run.run_id(), found, ready, world, None, start, memory)


def resume(run_id: str, world: World, asked: TrainRequest | None = None) -> Trained:
    """Go on with an interrupted training, in its own run and with its own settings.

    Under `mlflow run`, the run that MLflow itself has opened says which one that is, in the tag
    `resumed_run`.

    Args:
        run_id: of the interrupted run.
        world: the processes that train together, which this one leads.
        asked: what the command was given beside the run; it is told where it differs.

    Raises:
        TrainingError: there is no such run, or it has no state to go on from.
    """
    with _tag_project_run(run_id):
        state = state_to_resume(run_id)
        logger.info(
            "resuming run %s after epoch %d of %d",
            run_id,
            state.fit.progress.epoch,
            state.fit.plan.epochs,
        )
        own = state.request.parameters()
        others = differences(asked.parameters(), own) if asked else ""
        if others:
            logger.info("its own settings hold, and not those of this command: %s", others)
        prepared = make_ready(state.request)
        with runs.go_on(run_id):
            return _lead(run_id, state.request, prepared, world, state)


def _lead(
    run_id: str,
    request: TrainRequest,
    prepared: Prepared,
    world: World,
    state: TrainingState | None,
    start: Start | None = None,
    memory: int | None = None,
) -> Trained:
    store = prepared.open()
    facts = log_origin(run_id, request, prepared, store, world, state, start)
    if state is None:
        window = choose_window(store, world.device, memory)
    else:
        window = state.facts.get(WINDOW)
    facts = {**facts, WINDOW: window}
    active_run.set_tags({"processes": world.size})
    if window is not None:
        active_run.set_tags({"memory": f"{window:,} bytes at a time"})
    with world.together():
        weights = start.weights if start else None
        brief_followers(world, run_id, facts, state, weights)
    with world.together():
        fit = state.fit if state else None
        planned = plan_fit(store, request.settings, world, fit, weights, window)
        logger.info("training %s %s", registry.model_name(request.scale), planned.describe())
        with _told_how_to_go_on(run_id, planned.progress.epoch) as watch:
            best = record_epochs(run_id, planned, facts, watch)
    return register(run_id, request, prepared, len(store.patches), best)


@contextmanager
def _told_how_to_go_on(run_id: str, kept: int) -> Iterator[Watch]:
    """Tell every epoch, and whoever interrupts the training how it goes on.

    Args:
        run_id: of the training.
        kept: how many of its epochs are done.
    """

    def watch(plan: Plan, result: EpochResult) -> bool:
        nonlocal kept
        kept = result.epoch
        return tell_epoch(plan, result)

    try:
        yield watch
    except KeyboardInterrupt:
        if kept:
            logger.info(
                "to go on after epoch %d: srcnn-mlflow train --resume %s, or mlflow run . -e train "
                "-P resume=%s",
                *(kept, run_id, run_id),
            )
        raise


@contextmanager
def _tag_project_run(run_id: str) -> Iterator[None]:
    if not under_project():
        yield
        return
    with runs.track("resume", None, {}, f"resume {run_id}"):
        active_run.set_tags({"resumed_run": run_id})
        yield
