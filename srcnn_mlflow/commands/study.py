"""`study`: a table of settings, each trained with several seeds, and what is beyond their noise."""

import logging
from dataclasses import asdict

from srcnn_mlflow.commands.evaluate import load_comparable
from srcnn_mlflow.commands.study_cells import (
    Bench,
    check_settings,
    key_of,
    lay_grounds,
    list_cells,
    lose_what_is_gone,
    train_cells,
)
from srcnn_mlflow.commands.study_report import write_report
from srcnn_mlflow.commands.study_request import StudyRequest
from srcnn_mlflow.commands.train_origin import surroundings
from srcnn_mlflow.commands.trials import check_password
from srcnn_mlflow.machine.errors import TrainingError
from srcnn_mlflow.machine.text import short_dataset
from srcnn_mlflow.pictures.datasets import Split
from srcnn_mlflow.tracking import active_run, runs
from srcnn_mlflow.tracking.cells import SharedTable
from srcnn_mlflow.training.distributed import alone, choose_device

logger = logging.getLogger(__name__)


def study(request: StudyRequest) -> None:
    """Begin, join or continue a study, and tell what has come of it.

    Args:
        request: what to train, and how long.

    Raises:
        SrcnnError: with a message for the person who asked.
    """
    place = request.place
    check_password(place, "study")
    shown = {**asdict(request), "name": str(request.name), "storage": str(place)}
    title = f"study {request.name.name} x{request.scale} {short_dataset(request.dataset)}"

    def check() -> tuple[Bench, Split]:
        world = alone(choose_device(request.device))
        check_settings(request)
        test = load_comparable(request.test, "test", request.scale, request.scale)
        grounds = lay_grounds(request, world)
        cells = list_cells(request, grounds)
        with place.errors_told():
            return Bench(request, grounds, cells, SharedTable(place, key_of)), test

    track = runs.track_after(check, "study", request.scale, shown, title)
    with track as (bench, test), place.errors_told():
        active_run.set_tags({"study": place.name, "storage": str(place)})
        active_run.log_split(test)
        _tell_changes(bench)
        lose_what_is_gone(bench)
        done = len(bench.table.done(bench.cells.keys()))
        logger.info(
            "study %s in %s: %d of %d trainings are done, each of %s",
            *(place.name, place, done, len(bench.cells), request.length),
        )
        failed = train_cells(bench)
        if len(failed) == len(bench.cells):
            first = next(iter(failed.values()))
            raise TrainingError(f"all trainings have failed, the first one: {first}")
        write_report(bench, test, failed)


def _tell_changes(bench: Bench) -> None:
    """Tell what is not as it was when the study was begun, and may change its numbers."""
    first = bench.request.name.settings[0]
    world = bench.grounds[first.name].world
    changes = bench.table.changes(surroundings(bench.request.training(first, 0), world))
    if changes:
        logger.warning(
            "study %s goes on with what it did not begin with: %s",
            *(bench.request.place.name, changes),
        )
