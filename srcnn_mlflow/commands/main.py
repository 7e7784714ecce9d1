"""`main`: one scale, from photographs to a promoted model."""

import logging

from srcnn_mlflow.commands.evaluate import Evaluation, evaluate, tell_small_gate
from srcnn_mlflow.commands.promote import Verdict, promote
from srcnn_mlflow.commands.train import train
from srcnn_mlflow.commands.train_data import make_ready
from srcnn_mlflow.commands.train_request import TrainRequest
from srcnn_mlflow.commands.train_start import find_start
from srcnn_mlflow.machine.text import as_markdown, short_dataset
from srcnn_mlflow.measuring.evaluation import check_sizes
from srcnn_mlflow.measuring.gate import LEAST_PICTURES
from srcnn_mlflow.measuring.tables import markdown_table, table_rows
from srcnn_mlflow.pictures.datasets import GATE, Dataset, load_dataset
from srcnn_mlflow.pictures.store_writer import Prepared
from srcnn_mlflow.tracking import active_run, runs
from srcnn_mlflow.training.distributed import choose_device

logger = logging.getLogger(__name__)


def run_main(request: TrainRequest, device: str) -> None:
    """Prepare, train, evaluate and register one scale; promote the model when it passes.

    Each stage is a nested run. A refusal to promote is reported, and is no error. Where the data
    set has a gate, that one decides, and the test pictures choose nothing.

    Raises:
        SrcnnError: with a message for the person who asked.
    """
    scale, settings = request.scale, request.settings
    parameters = {
        "scale": scale,
        "dataset": request.dataset,
        "epochs": settings.epochs,
        "architecture": settings.architecture,
        "channels": settings.channels,
        "seed": settings.seed,
        "max_minutes": settings.max_minutes,
        "device": device,
        "init_from": request.init_from,
    }

    def check() -> tuple[Prepared, bool]:
        choose_device(device)
        prepared = make_ready(request)
        find_start(request)
        # Told before the training, and not after it.
        dataset = load_dataset(request.dataset)
        check_sizes(dataset.split("test").photos, scale, scale)
        has_gate = GATE in dataset.splits
        if has_gate:
            check_sizes(dataset.split(GATE).photos, scale, scale)
            tell_small_gate(dataset)
        else:
            _tell_few_tests(dataset)
        return prepared, has_gate

    with runs.track_after(
        check, "main", scale, parameters, f"main x{scale} {short_dataset(request.dataset)}"
    ) as (
        prepared,
        has_gate,
    ):
        trained = train(request, device, prepared=prepared)
        version, dataset = str(trained.version), request.dataset
        evaluation = evaluate(scale, version, dataset, "test", None)
        if has_gate:
            verdict = promote(scale, version, dataset, GATE)
        else:
            verdict = promote(scale, version, dataset, known=evaluation.scores)
        active_run.log_metrics(evaluation.summary.metrics())
        active_run.describe(_describe(evaluation, verdict, scale))
        active_run.log_inputs([], [evaluation.model_id])
        active_run.set_tags(
            {"model_uri": evaluation.model.uri, "promoted": str(verdict.promoted).lower()}
        )
        _tell_what_is_next(scale, verdict)


def _tell_few_tests(dataset: Dataset) -> None:
    """Warn, before hours of training, where no later version could take the champion's place."""
    few = len(dataset.split("test").photos)
    if few < LEAST_PICTURES:
        logger.warning(
            "%s has %d test picture(s): a first champion can be found by them, and to replace it "
            "takes at least %d, which a flat folder has from about 50 photographs on, or which lie "
            "in its folder test/",
            *(dataset.name, few, LEAST_PICTURES),
        )


def _tell_what_is_next(scale: int, verdict: Verdict) -> None:
    for line in active_run.how_to_see_it("all of this run"):
        logger.info(line)
    if verdict.promoted:
        logger.info(
            "in this folder, enlarge a picture by the champion: srcnn-mlflow upscale --scale %d "
            "--input photo.jpg",
            scale,
        )


def _describe(evaluation: Evaluation, verdict: Verdict, scale: int) -> str:
    """What was trained, what it is worth, and what has become of it, in Markdown."""
    summary, label = evaluation.summary, evaluation.model.label
    became = f"not promoted: {'; '.join(verdict.shortcomings)}"
    fate = "promoted to champion" if verdict.promoted else became
    heading = f"{label} on {summary.images} pictures, {fate}."
    return f"{as_markdown(heading)}\n\n{markdown_table(table_rows(scale, summary))}"
