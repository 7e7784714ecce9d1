"""`results`: what has come of the experiments so far."""

import json
import logging
import shlex
import sys
import tempfile
from pathlib import Path

from srcnn_mlflow.commands.evaluate import ARTIFACTS
from srcnn_mlflow.machine.errors import ModelError
from srcnn_mlflow.machine.text import local_path
from srcnn_mlflow.measuring.tables import TableRow, markdown_table
from srcnn_mlflow.network.architecture import SCALES
from srcnn_mlflow.tracking import run_search
from srcnn_mlflow.tracking.store import check_store

logger = logging.getLogger(__name__)


def show_results() -> None:
    """Print the newest evaluation of every scale, a table a data set, and where the pictures are.

    Raises:
        ModelError: nothing has been evaluated yet.
    """
    check_store()
    tables: dict[str, list[TableRow]] = {}
    pictures = []
    for scale in SCALES:
        run = run_search.newest_run("evaluate", scale)
        if run is None:
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = run_search.download(run.info.run_id, f"{ARTIFACTS}/table.json", Path(folder))
            table = json.loads(path.read_text(encoding="utf-8"))
        pictures_of = f"{table['images']} pictures of {table['dataset']} {table['split']}"
        tables.setdefault(pictures_of, []).extend(map(TableRow.from_cells, table["rows"]))
        pictures.append(
            f"x{scale}: {table['model']}, report.html, best.png and worst.png in "
            f"{local_path(run.info.artifact_uri)}/{ARTIFACTS}"
        )
    if not tables:
        raise ModelError("nothing has been evaluated yet; run main, or train and then evaluate")
    for pictures_of, rows in tables.items():
        logger.info("on %s:", pictures_of)
        logger.info(markdown_table(rows))
    for line in pictures:
        logger.info(line)
    logger.info("to see and compare the runs: %s ui --port 5000", _mlflow_command())
    logger.info("then open http://127.0.0.1:5000/#/experiments/0/runs")


def _mlflow_command() -> str:
    """How to call the MLflow of this environment from the present folder."""
    program = Path(sys.executable).with_name("mlflow")
    if program.is_relative_to(Path.cwd()):
        program = program.relative_to(Path.cwd())
    return shlex.quote(str(program))
