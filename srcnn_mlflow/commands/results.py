"""`results`: what has come of the experiments so far."""

import json
import logging
import tempfile
from pathlib import Path
from typing import Any

from srcnn_mlflow.commands.evaluate import ARTIFACTS
from srcnn_mlflow.machine.errors import ModelError, TrackingError
from srcnn_mlflow.measuring.tables import TableRow, markdown_table
from srcnn_mlflow.network.architecture import SCALES
from srcnn_mlflow.tracking import run_search
from srcnn_mlflow.tracking.decisions import find_decisions
from srcnn_mlflow.tracking.store import check_store
from srcnn_mlflow.tracking.where_to_look import how_to_compare, place_of_results

logger = logging.getLogger(__name__)


def show_results() -> None:
    """Print the newest evaluation of every scale, a table a data set, and where the pictures are.

    Raises:
        ModelError: nothing has been evaluated yet.
    """
    check_store()
    tables: dict[str, list[TableRow]] = {}
    digests: dict[str, str] = {}
    pictures, broken, experiment = [], False, "0"
    for scale in SCALES:
        run = run_search.newest_run("evaluate", scale)
        if run is None:
            continue
        try:
            table = _table_of(run.info.run_id)
        except (TrackingError, ValueError) as error:
            logger.warning(
                "x%d: the table of run %s cannot be read: %s", scale, run.info.run_id, error
            )
            broken = True
            continue
        pictures_of = f"{table['images']} pictures of {table['dataset']} {table['split']}"
        if digests.setdefault(pictures_of, table["digest"]) != table["digest"]:
            pictures_of = f"{pictures_of} (digest {table['digest']})"
            digests[pictures_of] = table["digest"]
        experiment = run.info.experiment_id
        tables.setdefault(pictures_of, []).extend(map(TableRow.from_cells, table["rows"]))
        pictures.append(
            f"x{scale}: {table['model']}, report.html, best.png and worst.png in "
            f"{place_of_results(run, ARTIFACTS)}"
        )
    if not tables:
        found = "no evaluation can be shown" if broken else "nothing has been evaluated yet"
        raise ModelError(f"{found}; run main, or train and then evaluate")
    for pictures_of, rows in tables.items():
        logger.info("on %s:", pictures_of)
        logger.info(markdown_table(rows))
        decided = find_decisions(digests[pictures_of]).sentence()
        if decided:
            logger.info(decided)
    for line in (*pictures, *how_to_compare(experiment)):
        logger.info(line)


def _table_of(run_id: str) -> dict[str, Any]:
    """What an evaluation has found."""
    with tempfile.TemporaryDirectory() as folder:
        path = run_search.download(run_id, f"{ARTIFACTS}/table.json", Path(folder))
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
