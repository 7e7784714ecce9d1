"""`main`: one scale, from photographs to a promoted model."""

from dataclasses import asdict

from srcnn_mlflow.commands.evaluate import evaluate
from srcnn_mlflow.commands.promote import SPLIT, promote
from srcnn_mlflow.commands.train import train
from srcnn_mlflow.commands.train_data import make_ready
from srcnn_mlflow.commands.train_request import TrainRequest
from srcnn_mlflow.measuring.evaluation import check_sizes
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.pictures.store_writer import Prepared
from srcnn_mlflow.tracking import active_run, runs
from srcnn_mlflow.training.distributed import choose_device


def run_main(request: TrainRequest, device: str) -> None:
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

    def check() -> Prepared:
        choose_device(device)
        prepared = make_ready(request)
        # Told before the training, and not after it.
        test = load_dataset(request.dataset).split(SPLIT)
        check_sizes(test.photos, scale, scale)
        return prepared

    with runs.track_after(
        check, "main", scale, parameters, f"main x{scale} {request.dataset}"
    ) as prepared:
        trained = train(request, device, prepared=prepared)
        evaluation = evaluate(scale, str(trained.version), request.dataset, SPLIT, None)
        verdict = promote(scale, str(trained.version), request.dataset, known=evaluation.scores)
        active_run.log_metrics(asdict(evaluation.summary))
        active_run.set_tags(
            {"model_uri": evaluation.model.uri, "promoted": str(verdict.promoted).lower()}
        )
