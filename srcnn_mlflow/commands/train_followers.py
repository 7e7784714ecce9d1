"""The processes that train beside the one that leads: what they are told, and what they do."""

import json

from safetensors.numpy import load, save

from srcnn_mlflow.commands.prepare import prepare_dataset
from srcnn_mlflow.commands.train_origin import WINDOW, Facts, check_origin, facts_of, tell_changes
from srcnn_mlflow.commands.train_request import TrainRequest
from srcnn_mlflow.commands.train_state import TrainingState
from srcnn_mlflow.machine.errors import SrcnnError
from srcnn_mlflow.network.plain_weights import Weights
from srcnn_mlflow.tracking.run_search import mark_failed
from srcnn_mlflow.training.distributed import World
from srcnn_mlflow.training.planned_fit import plan_fit


def brief_followers(
    world: World,
    run_id: str,
    facts: Facts,
    state: TrainingState | None,
    start: Weights | None = None,
) -> None:
    """Tell the others what is trained, from where it goes on, and with which weights it begins."""
    world.broadcast(json.dumps({"run_id": run_id, **facts}).encode())
    world.broadcast(b"" if state is None else state.file)
    world.broadcast(b"" if start is None else save(dict(start)))


def follow(world: World) -> None:
    """Train beside the process that leads, which tracks and registers for all.

    Raises:
        SrcnnError: with a message for the person who asked.
    """
    with world.together():
        brief = json.loads(world.broadcast(b""))
        state_file = world.broadcast(b"")
        start_file = world.broadcast(b"")
    start = load(start_file) if start_file else None
    state = TrainingState.from_bytes(state_file) if state_file else None
    request = TrainRequest.from_parameters(brief["parameters"])
    try:
        prepared = prepare_dataset(request.dataset, request.store, request.train_images)
        store = prepared.open()
        _check_brief(brief, facts_of(request, prepared, store.checksum(), world), world)
        with world.together():
            fit = state.fit if state else None
            planned = plan_fit(store, request.settings, world, fit, start, brief.get(WINDOW))
            for _ in planned.epochs():
                pass
    except (SrcnnError, KeyboardInterrupt) as error:
        # The process that leads may be the one that is lost, and then cannot say so.
        if world.beside_leader:
            mark_failed(brief["run_id"], str(error) or "interrupted")
        raise


def _check_brief(brief: Facts, found: Facts, world: World) -> None:
    """Make sure that this process, perhaps of another machine, trains on what the leader does.

    Raises:
        TrainingError: it finds other pictures, or prepares other planes.
    """
    check_origin(
        brief,
        found,
        "the process that leads",
        f"they are process {world.rank}'s; give every machine the same",
    )
    # Every machine has a name of its own.
    known = {name: one for name, one in brief["surroundings"].items() if name != "host"}
    tell_changes({**brief, "surroundings": known}, found, f"process {world.rank}")
