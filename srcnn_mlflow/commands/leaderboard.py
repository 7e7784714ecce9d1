"""`leaderboard`: all models by what they have on one set of pictures."""

import logging
import shlex
from collections.abc import Sequence

from srcnn_mlflow.commands.evaluate import load_split
from srcnn_mlflow.machine.errors import ModelError
from srcnn_mlflow.measuring.tables import aligned_table
from srcnn_mlflow.pictures.datasets import Split
from srcnn_mlflow.tracking.leaderboard import Placed, rank_models
from srcnn_mlflow.tracking.registry import model_name
from srcnn_mlflow.tracking.store import check_store

logger = logging.getLogger(__name__)


def show_leaderboard(
    scale: int, dataset: str, split: str, metric: str, gate_split: bool = False
) -> list[Placed]:
    """Print all models of a scale by a metric on one set of pictures, the best first.

    Args:
        scale: 2, 3 or 4.
        dataset: names the photographs.
        split: `train`, `valid`, `test`, `gate` or `all`.
        metric: its name; higher is better.
        gate_split: cut a gate out of the test pictures.

    Raises:
        ModelError: no model has it on these pictures.
        SrcnnError: with a message for the person who asked.
    """
    check_store()
    pictures = load_split(dataset, split, gate_split)
    placed = list(rank_models(scale, metric, pictures.digest))
    if not placed:
        raise ModelError(_nobody(scale, pictures, metric, _options(dataset, split, gate_split)))
    logger.info(
        "models of %s by %s on %d pictures of %s (digest %s):",
        *(model_name(scale), metric, len(pictures.photos), pictures.label, pictures.digest),
    )
    logger.info(leaderboard_table(placed, metric))
    return placed


def leaderboard_table(placed: Sequence[Placed], metric: str) -> str:
    """Models by their places, as a Markdown table; equal scores share a place."""
    digits, rows = (5 if "ssim" in metric else 3), []
    for one in placed:
        place = 1 + sum(other.score > one.score for other in placed)
        rows.append(
            {
                "Model": one.model,
                "Run": one.run_id,
                "Place": str(place),
                metric: f"{one.score:.{digits}f}",
                "Over bicubic": "" if one.gain is None else f"{one.gain:+.{digits}f}",
                "Pictures": "" if one.images is None else str(one.images),
            }
        )
    return aligned_table(rows, text_columns=2)


def _options(dataset: str, split: str, gate_split: bool) -> str:
    options = f"--dataset {shlex.quote(dataset)}"
    options += "" if split == "test" else f" --split {split}"
    return f"{options} --gate-split true" if gate_split else options


def _nobody(scale: int, pictures: Split, metric: str, options: str) -> str:
    """Why there is nothing to show, and what to do."""
    found = (
        f"no model of {model_name(scale)} has a {metric} on the {len(pictures.photos)} pictures of "
        f"{pictures.label} (digest {pictures.digest})"
    )
    if metric == "val_psnr":
        return f"{found}; a training has it on those that chose its epoch: give --split valid"
    ensemble = " --self-ensemble true" if metric.startswith("ensemble_") else ""
    return (
        f"{found}; `srcnn-mlflow evaluate --scale {scale} {options}{ensemble}` measures the newest "
        "version, and --model another one"
    )
