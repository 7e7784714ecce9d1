"""`main`: one scale from photographs to a promoted model, and `results`: what came of it."""

import json
import tempfile
from dataclasses import asdict
from pathlib import Path

import mlflow

from srcnn_mlflow import tracking
from srcnn_mlflow.commands.evaluating import ARTIFACTS, evaluate
from srcnn_mlflow.commands.preparing import Say
from srcnn_mlflow.commands.promoting import SPLIT, promote
from srcnn_mlflow.commands.training import TrainRequest, train
from srcnn_mlflow.errors import ModelError
from srcnn_mlflow.evaluation import TableRow, markdown_table

SCALES = (2, 3, 4)


def run_whole(request: TrainRequest, device: str, say: Say) -> None:
    """Prepare, train, evaluate and register one scale; promote the model when it passes.

    Each stage is a nested run. A refusal to promote is reported, and is no error.

    Raises:
        SrcnnError: with a message for the person who asked.
    """
    scale, settings = request.scale, request.settings
    parameters = {
        "scale": scale,
        "dataset": request.dataset,
        "epochs": settings.epochs,
        "architecture": settings.architecture,
        "seed": settings.seed,
        "max_minutes": settings.max_minutes,
        "device": device,
    }
    with tracking.track("main", scale, parameters, f"main x{scale} {request.dataset}"):
        trained = train(request, device, say)
        evaluation = evaluate(scale, str(trained.version), request.dataset, SPLIT, None, say)
        verdict = promote(
            scale, str(trained.version), request.dataset, say, known=evaluation.summary
        )
        mlflow.log_metrics(asdict(evaluation.summary))
        mlflow.set_tag("model_uri", evaluation.model.uri)
        mlflow.set_tag("promoted", str(verdict.promoted).lower())


def show_results(say: Say) -> None:
    """Print the newest evaluation of every scale as one table, and where the pictures are.

    Raises:
        ModelError: nothing has been evaluated yet.
    """
    rows, pictures = [], []
    for scale in SCALES:
        run = tracking.newest_run("evaluate", scale)
        if run is None:
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = tracking.download(run.info.run_id, f"{ARTIFACTS}/table.json", Path(folder))
            table = json.loads(path.read_text(encoding="utf-8"))
        rows += [TableRow.from_cells(cells) for cells in table["rows"]]
        pictures.append(
            f"x{scale}: {table['model']} on {table['images']} pictures of {table['dataset']} "
            f"{table['split']}; best.png and worst.png in "
            f"{local_path(run.info.artifact_uri)}/{ARTIFACTS}"
        )
    if not rows:
        raise ModelError("nothing has been evaluated yet; run main, or train and then evaluate")
    say(markdown_table(rows))
    for line in pictures:
        say(line)
    say("to see and compare the runs: mlflow ui --port 5000")
    say("then open http://127.0.0.1:5000/#/experiments/0/runs")


def local_path(uri: str) -> str:
    """A file URI as a path; any other as it is."""
    return uri.removeprefix("file://")
