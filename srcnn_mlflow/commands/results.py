"""`results`: what has come of the experiments so far."""

import json
import shlex
import sys
import tempfile
from pathlib import Path

from srcnn_mlflow import tracking
from srcnn_mlflow.commands.evaluate import ARTIFACTS
from srcnn_mlflow.errors import ModelError
from srcnn_mlflow.evaluation import TableRow, markdown_table
from srcnn_mlflow.progress import Say

SCALES = (2, 3, 4)


def show_results(say: Say) -> None:
    """Print the newest evaluation of every scale, a table a data set, and where the pictures are.

    Raises:
        ModelError: nothing has been evaluated yet.
    """
    tables: dict[str, list[TableRow]] = {}
    pictures = []
    for scale in SCALES:
        run = tracking.newest_run("evaluate", scale)
        if run is None:
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = tracking.download(run.info.run_id, f"{ARTIFACTS}/table.json", Path(folder))
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
        say(f"on {pictures_of}:")
        say(markdown_table(rows))
    for line in pictures:
        say(line)
    say(f"to see and compare the runs: {_mlflow_command()} ui --port 5000")
    say("then open http://127.0.0.1:5000/#/experiments/0/runs")


def _mlflow_command() -> str:
    """How to call the MLflow of this environment from the present folder."""
    program = Path(sys.executable).with_name("mlflow")
    if program.is_relative_to(Path.cwd()):
        program = program.relative_to(Path.cwd())
    return shlex.quote(str(program))


def local_path(uri: str) -> str:
    """A file URI as a path; any other as it is."""
    return uri.removeprefix("file://")
