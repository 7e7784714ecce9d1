"""The trainings of a study: what each is, on what it trains, and one after the other."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from srcnn_mlflow.commands.study_request import StudyRequest
from srcnn_mlflow.commands.train_data import make_ready
from srcnn_mlflow.commands.train_request import TrainRequest
from srcnn_mlflow.commands.train_state import best_weights
from srcnn_mlflow.commands.trials import Ground, TrialRun, run_trial
from srcnn_mlflow.machine.errors import SrcnnError, StudyTableError, TrainingError
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.tracking.cells import Cell, SharedTable
from srcnn_mlflow.tracking.run_search import find_run, get_run, is_deleted
from srcnn_mlflow.tracking.study import RUN_ID
from srcnn_mlflow.training.distributed import World
from srcnn_mlflow.training.study_tables import StudySetting

ENTRY_POINT = "study-training"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bench:
    """What this process needs for the trainings of a study.

    Attributes:
        request: the study.
        grounds: on what each setting trains, by its name.
        cells: each training, by what decides it, in the order in which they are trained.
        table: who trains what.
    """

    request: StudyRequest
    grounds: Mapping[str, Ground]
    cells: Mapping[str, Cell]
    table: SharedTable


def check_settings(request: StudyRequest) -> None:
    """Make sure that every setting can be trained, before anything is prepared.

    Raises:
        SrcnnError: with the setting and what is wrong with it.
    """
    trainings = [(one, request.training(one, 0)) for one in request.name.settings]
    for setting, training in trainings:
        with _named(setting, bool(setting.values)):
            training.check()
    found: set[str] = set()
    for setting, training in trainings:
        if training.dataset not in found:
            with _named(setting, "dataset" in setting.values):
                load_dataset(training.dataset)
            found.add(training.dataset)


def lay_grounds(request: StudyRequest, world: World) -> dict[str, Ground]:
    """Prepare what each setting is to train on; gives it by the setting's name.

    Raises:
        SrcnnError: with a message for the person who asked.
    """
    grounds: dict[object, Ground] = {}
    by_setting = {}
    for setting in request.name.settings:
        training = request.training(setting, 0)
        key = training.dataset, training.store, training.train_images
        if key not in grounds:
            with _named(setting, bool(setting.values)):
                prepared = make_ready(training)
            grounds[key] = Ground(prepared, prepared.open(), world)
        by_setting[setting.name] = grounds[key]
    return by_setting


@contextmanager
def _named(setting: StudySetting, at_fault: bool) -> Iterator[None]:
    """Say of what is wrong with a setting which one it is."""
    try:
        yield
    except SrcnnError as error:
        if not at_fault:
            raise
        raise type(error)(f"setting {setting.name}: {error}") from error


def list_cells(request: StudyRequest, grounds: Mapping[str, Ground]) -> dict[str, Cell]:
    """Each training of a study, by what decides it: every setting with seed 0, then with 1.

    Raises:
        StudyTableError: two settings are the same.
    """
    digests = {
        name: {
            "train": ground.prepared.train.digest,
            "valid": ground.prepared.valid.digest,
            "planes": ground.store.checksum(),
        }
        for name, ground in grounds.items()
    }
    cells: dict[str, Cell] = {}
    for seed in range(request.seeds):
        for setting in request.name.settings:
            training = request.training(setting, seed).parameters()
            cell = Cell(setting.name, seed, training, digests[setting.name])
            key = key_of(cell.attributes())
            assert key is not None
            if key in cells:
                raise StudyTableError(
                    f"study {request.name}: the settings {cells[key].setting} and {setting.name} "
                    "are the same training; leave one of them out"
                )
            cells[key] = cell
    return cells


def key_of(attributes: Mapping[str, Any]) -> str | None:
    """What decides a training, of what its trial says; None for what is no trial of a study.

    Trainings of before, which had fewer settings, did what was then done without them.
    """
    try:
        training = TrainRequest.from_parameters(attributes["training"]).parameters()
        return json.dumps([training, attributes["pictures"]], sort_keys=True)
    except (KeyError, TypeError):
        return None


def lose_what_is_gone(bench: Bench) -> None:
    """Let trainings be done anew whose runs were deleted, or have lost their weights."""
    for key, trial in bench.table.done(bench.cells.keys()).items():
        run = find_run(trial.user_attrs.get(RUN_ID))
        try:
            if run is None or is_deleted(run):
                raise TrainingError(f"there is no run {trial.user_attrs.get(RUN_ID)} any more")
            best_weights(run.info.run_id)
        except TrainingError as error:
            logger.warning("%s: trained anew, because %s", bench.cells[key], error)
            bench.table.lose(trial)


def train_cells(bench: Bench) -> dict[str, str]:
    """Train what no process has trained or is training.

    Returns:
        Why those failed that have, by what decides them.

    Raises:
        SrcnnError: with a message for the person who asked; what broke off goes on when the study
            is started again.
    """
    failed: dict[str, str] = {}
    while True:
        wanted = {key: cell for key, cell in bench.cells.items() if key not in failed}
        taken = bench.table.next_cell(wanted)
        if taken is None:
            return failed
        trial, key = taken
        cell = bench.cells[key]
        training = TrainRequest.from_parameters(cell.training)
        try:
            run_id = run_trial(
                trial, training, bench.grounds[cell.setting], _run_of(cell, bench), lambda *_: True
            )
        except TrainingError as error:
            # It would diverge again, and the others need not wait for it.
            bench.table.fail(trial, str(error))
            failed[key] = str(error)
            logger.warning("%s: failed, and is left out: %s", cell, error)
            continue
        psnr = get_run(run_id).data.metrics["best_val_psnr"]
        bench.table.finish(trial, psnr)
        logger.info(
            "%s: %.3f dB on its validation pictures; %d of %d trainings are done",
            *(cell, psnr, len(bench.table.done(bench.cells.keys())), len(bench.cells)),
        )


def _run_of(cell: Cell, bench: Bench) -> TrialRun:
    name = bench.request.place.name
    tags = {"study": name, "setting": cell.setting}
    return TrialRun(ENTRY_POINT, f"{cell} of {name}", str(cell), bench.request.device, tags)
