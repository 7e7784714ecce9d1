"""`main`: one scale, from photographs to a promoted model."""

from dataclasses import asdict

import mlflow

from srcnn_mlflow import tracking
from srcnn_mlflow.commands.evaluate import evaluate
from srcnn_mlflow.commands.promote import SPLIT, promote
from srcnn_mlflow.commands.train import TrainRequest, train
from srcnn_mlflow.progress import Say


def run_main(request: TrainRequest, device: str, say: Say) -> None:
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
            scale, str(trained.version), request.dataset, say, known=evaluation.scores
        )
        mlflow.log_metrics(asdict(evaluation.summary))
        mlflow.set_tag("model_uri", evaluation.model.uri)
        mlflow.set_tag("promoted", str(verdict.promoted).lower())
