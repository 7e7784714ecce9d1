"""Where a training stands: its checkpoints, written every epoch, and how to go on from them."""

import logging
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from srcnn_mlflow.commands.train_origin import Facts
from srcnn_mlflow.commands.train_request import TrainRequest
from srcnn_mlflow.machine.errors import TrackingError, TrainingError
from srcnn_mlflow.machine.text import differences
from srcnn_mlflow.network.plain_weights import Weights
from srcnn_mlflow.tracking import run_search
from srcnn_mlflow.tracking.outbox import Outbox
from srcnn_mlflow.training.checkpoint import load_checkpoint, save_checkpoint
from srcnn_mlflow.training.fit import EpochResult, Progress
from srcnn_mlflow.training.plan import Plan
from srcnn_mlflow.training.planned_fit import Interrupted

CHECKPOINTS = "checkpoint"
BEST = "best.safetensors"
# Epochs take turns with them, so that one which is cut short costs an epoch, and not the training.
STATES = ("state-even.safetensors", "state-odd.safetensors")
# In a state, the weights of the best epoch stand under names that begin so.
_BEST_PREFIX = "best:"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingState:
    """Where an interrupted training stood, and the file that says so."""

    arrays: dict[str, Any]
    facts: dict[str, Any]
    file: bytes

    @classmethod
    def from_file(cls, path: Path) -> "TrainingState":
        """Read what `write_checkpoints` wrote.

        Raises:
            TrainingError: it is missing or damaged.
        """
        arrays, facts = load_checkpoint(path)
        return cls(arrays, facts, path.read_bytes())

    @classmethod
    def from_bytes(cls, content: bytes) -> "TrainingState":
        """The same from the file's content."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / STATES[0]
            path.write_bytes(content)
            return cls.from_file(path)

    @property
    def request(self) -> TrainRequest:
        """What was to be trained."""
        return TrainRequest.from_parameters(self.facts["parameters"])

    @property
    def best(self) -> Weights:
        """The weights of the best epoch."""
        return {
            name.removeprefix(_BEST_PREFIX): array
            for name, array in self.arrays.items()
            if name.startswith(_BEST_PREFIX)
        }

    @property
    def fit(self) -> Interrupted:
        """What is to be gone on with."""
        progress = Progress(
            epoch=self.facts["epoch"],
            best_val_psnr=self.facts["best_val_psnr"],
            best_epoch=self.facts["best_epoch"],
            state=self.arrays,
        )
        had_start = self.request.init_from is not None
        return Interrupted(Plan(**self.facts["plan"]), progress, self.best, had_start)

    @property
    def is_complete(self) -> bool:
        """Whether the training had come to the end of its last epoch."""
        return bool(self.facts["epoch"] == self.facts["plan"]["epochs"])


def write_checkpoints(
    result: EpochResult, plan: Plan, best: Weights, facts: Facts, folder: Path
) -> list[Path]:
    """Write the best weights and the state; either heals what a kill has cut short.

    Args:
        result: of the epoch that has just ended.
        plan: of the training.
        best: the weights of the best epoch so far.
        facts: what every checkpoint says of its training.
        folder: gets both files.
    """
    best_facts = {"epoch": result.best_epoch, "val_psnr": result.best_val_psnr, **facts}
    history = {"best_val_psnr": result.best_val_psnr, "best_epoch": result.best_epoch}
    state_facts = {"epoch": result.epoch, **history, "plan": asdict(plan), **facts}
    kept = {f"{_BEST_PREFIX}{name}": array for name, array in best.items()}
    contents = {
        BEST: (best, best_facts),
        STATES[result.epoch % 2]: ({**result.state, **kept}, state_facts),
    }
    for name, (arrays, about) in contents.items():
        save_checkpoint(folder / name, arrays, about)
    return [folder / name for name in contents]


def newest_state(run_id: str) -> TrainingState:
    """The state after the last epoch of a run that is whole.

    Raises:
        TrainingError: there is none.
        TrackingError: an epoch that waits to be sent cannot be.
    """
    Outbox(run_id).send()
    damage = [f"run {run_id} was interrupted before the end of its first epoch"]
    states = []
    with tempfile.TemporaryDirectory() as folder:
        for name in run_search.artifact_names(run_id, CHECKPOINTS).intersection(STATES):
            path = run_search.download(run_id, f"{CHECKPOINTS}/{name}", Path(folder))
            try:
                states.append(TrainingState.from_file(path))
            except TrainingError as error:
                damage.append(str(error))
    if not states:
        raise TrainingError(f"{damage[-1]}; train anew, with resume=none")
    return max(states, key=lambda state: state.facts["epoch"])


def best_weights(run_id: str) -> Weights:
    """The weights of the best epoch of a training that has ended.

    Raises:
        TrainingError: there are none that are whole.
        TrackingError: the tracking store cannot be asked.
    """
    if BEST not in run_search.artifact_names(run_id, CHECKPOINTS):
        raise TrainingError(f"run {run_id} has no {CHECKPOINTS}/{BEST}")
    with tempfile.TemporaryDirectory() as folder:
        path = run_search.download(run_id, f"{CHECKPOINTS}/{BEST}", Path(folder))
        weights, _ = load_checkpoint(path)
    return weights


def state_to_resume(run_id: str) -> TrainingState:
    """The state of a run that may be gone on with.

    Raises:
        TrainingError: there is no such run, it is no training or has ended well, it is still being
            trained, or it has no state to go on from.
    """
    try:
        _check_resumable(run_id)
        return newest_state(run_id)
    except (TrackingError, OSError) as error:
        raise TrainingError(f"run {run_id} cannot be resumed: {error}") from error


def _check_resumable(run_id: str) -> None:
    run = run_search.get_run(run_id)
    entry_point = run.data.tags.get("entry_point")
    if entry_point != "train":
        raise TrainingError(
            f"run {run_id} is not a training but {entry_point}; give the id of a train run"
        )
    if run.info.status == "FINISHED":
        raise TrainingError(f"run {run_id} is finished; there is nothing to resume")
    process = run_search.process_of(run)
    if run.info.status == "RUNNING" and process is not None and process.is_alive_here():
        raise TrainingError(
            f"run {run_id} is still being trained by process {process.number}; wait for it, or end "
            "that process first"
        )


def find_interrupted(request: TrainRequest) -> str | None:
    """The newest run that was to train the same, and was interrupted after an epoch or later."""
    others = []
    for run in run_search.interrupted_runs("train", request.scale):
        try:
            state = newest_state(run.info.run_id)
        except (TrainingError, TrackingError) as error:
            logger.warning("passing over an interrupted run: %s", error)
            continue
        if state.request == request:
            return str(run.info.run_id)
        changes = differences(request.parameters(), state.request.parameters())
        others.append(f"run {run.info.run_id} was interrupted with other settings ({changes})")
    if others:
        logger.info("beginning anew; the newest other one, %s", others[0])
    return None
