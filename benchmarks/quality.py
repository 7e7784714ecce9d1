"""Time to quality: how long until Set5 at x2 reaches 35.5 and 36.0 dB, beside the classical loop.

    python benchmarks/quality.py --dataset t91 --test set5

`fit` trains as `train` does, for a minute. The classical loop then has ten times as long as `fit`
took to 36.0 dB, with the report's settings. Clocks stand still while a test set is scored, which
serves here as the finishing line and chooses nothing.
"""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
from arithmetic import matrix_product_rate
from classical import classical_network, train_classically

from srcnn_mlflow.measuring.evaluation import score_plane
from srcnn_mlflow.network.architecture import Architecture
from srcnn_mlflow.network.onnx_export import Weights, build_onnx
from srcnn_mlflow.network.upscaler import Upscaler
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.pictures.imaging import Plane
from srcnn_mlflow.pictures.photos import load_luma
from srcnn_mlflow.pictures.store import open_store
from srcnn_mlflow.pictures.store_file import StoreSettings
from srcnn_mlflow.pictures.store_writer import prepare
from srcnn_mlflow.training.fit import fit
from srcnn_mlflow.training.plan import make_plan
from srcnn_mlflow.training.sampler import PatchSampler
from srcnn_mlflow.training.settings import TrainingSettings

SCALE, TARGETS, HANDICAP, LOOKS = 2, (35.5, 36.0), 10, 40
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Point:
    """A PSNR in dB, and the training seconds it took."""

    seconds: float
    psnr: float


@click.command()
@click.option("--dataset", default="t91", show_default=True, help="To train on.")
@click.option("--test", default="set5", show_default=True, help="To measure on.")
@click.option("--minutes", default=1.0, show_default=True, help="How long `fit` trains.")
def main(dataset: str, test: str, minutes: float) -> None:
    """Train one side after the other in this process, and print when each passed the targets."""
    photos = load_dataset(dataset)
    originals = [load_luma(photo) for photo in load_dataset(test).photos("all")]
    rate = matrix_product_rate(CPU) / 1e9
    click.echo(f"matrix product: {rate:.0f} GFLOP/s on {torch.get_num_threads()} thread(s)")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        planes = prepare(photos, StoreSettings(SCALE, 33, 14), folder).path
        patches = prepare(photos, StoreSettings(SCALE, 33, 14, materialize=True), folder).path
        ours = _collect("fit", _train_ours(planes, originals, minutes))
        reached = _when(ours, TARGETS[-1])
        if reached is None:
            raise click.ClickException(f"fit did not reach {TARGETS[-1]} dB; give more minutes")
        theirs = _collect(
            "the classical loop", _train_theirs(patches, originals, HANDICAP * reached)
        )
    for target in TARGETS:
        mine, other = _when(ours, target), _when(theirs, target)
        click.echo(
            f"{target} dB: fit after {mine:.0f} s, the classical loop "
            + (
                f"not within {theirs[-1].seconds:.0f} s, best {max(p.psnr for p in theirs):.2f} dB"
                if other is None
                else f"after {other:.0f} s"
            )
        )


def _train_ours(planes: Path, originals: Sequence[Plane], minutes: float) -> Iterator[Point]:
    settings = TrainingSettings(max_minutes=minutes)
    sampler = PatchSampler(open_store(planes), CPU)
    spent = 0.0
    plan = make_plan(sampler, settings, validation=0.0)
    for result in fit(sampler, settings, plan, validate=lambda _: 0.0):
        spent += result.seconds
        yield Point(spent, _score(result.weights, settings.network, originals))


def _train_theirs(patches: Path, originals: Sequence[Plane], seconds: float) -> Iterator[Point]:
    network = classical_network("9-5-5")
    losses = train_classically(network, patches, 1e-3, 0, CPU)
    spent, looked = 0.0, 0
    while spent < seconds:
        start = time.perf_counter()
        next(losses)
        spent += time.perf_counter() - start
        if spent > seconds * (looked + 1) / LOOKS:
            looked += 1
            yield Point(spent, _score(_name(network), REPORT, originals))


REPORT = Architecture(residual=False, padding="zero")


def _name(network: torch.nn.Sequential) -> dict[str, np.ndarray]:
    layers = {"0": "conv1", "2": "conv2", "4": "conv3"}
    return {
        f"{layers[name.split('.')[0]]}.{name.split('.')[1]}": value.detach().numpy().copy()
        for name, value in network.state_dict().items()
    }


def _score(
    weights: Weights | Mapping[str, np.ndarray], network: Architecture, originals: Sequence[Plane]
) -> float:
    upscaler = Upscaler(build_onnx(weights, network, SCALE))
    scores = [
        score_plane("", plane, SCALE, SCALE, upscaler.upscale_luma).srcnn_psnr
        for plane in originals
    ]
    return float(np.mean(scores))


def _collect(name: str, points: Iterator[Point]) -> list[Point]:
    found = []
    for point in points:
        found.append(point)
        click.echo(f"{name}: {point.psnr:.2f} dB after {point.seconds:.0f} s of training")
    return found


def _when(points: Sequence[Point], target: float) -> float | None:
    return next((point.seconds for point in points if point.psnr >= target), None)


if __name__ == "__main__":
    main()
