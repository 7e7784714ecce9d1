"""Training steps: `fit` beside the classical loop, on the same patches.

    python benchmarks/train.py --dataset t91

The sides take turns, each in a process of its own, as a training is: the classical loop, `fit`
with the same mathematics (zero padding, a loss on whole patches, Adam) in float32 and in bfloat16,
and `fit` as `train` uses it. The rate of a matrix product in the same minute says what the machine
could have done.
"""

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path
from statistics import median

import click
import torch
from arithmetic import matrix_product_rate, training_operations
from classical import BATCH_SIZE, classical_network, train_classically

from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.pictures.store import open_store
from srcnn_mlflow.pictures.store_file import StoreSettings
from srcnn_mlflow.pictures.store_writer import prepare
from srcnn_mlflow.training.distributed import choose_device
from srcnn_mlflow.training.fit import fit
from srcnn_mlflow.training.plan import Plan
from srcnn_mlflow.training.sampler import PatchSampler
from srcnn_mlflow.training.settings import REPORT, TrainingSettings

PATCH_SIZE = 33
CLASSICAL, RECIPE = "the classical loop", "fit, as train uses it"
FITS = {
    "fit, the same mathematics": REPORT,
    "fit, the same in bfloat16": replace(REPORT, precision="bfloat16"),
    RECIPE: TrainingSettings(),
}
WARM_UP = 10


@click.command()
@click.option("--dataset", default="samples", show_default=True, help="Whose patches are used.")
@click.option("--steps", default=150, show_default=True, help="Steps of a side in a round.")
@click.option("--rounds", default=5, show_default=True, help="How often each side runs.")
@click.option("--workers", default=0, show_default=True, help="Of the classical `DataLoader`.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--side", type=(str, click.Path(path_type=Path)), hidden=True)
def main(
    dataset: str, steps: int, rounds: int, workers: int, device: str, side: tuple[str, Path] | None
) -> None:
    """Measure the sides in turn, and print the ratios of their medians."""
    chosen = choose_device(device)
    if side is not None:
        click.echo(json.dumps(_time_side(*side, steps, workers, chosen)))
        return
    photos = load_dataset(dataset)
    with tempfile.TemporaryDirectory() as temporary:
        planes, patches = (
            prepare(
                photos,
                StoreSettings(2, PATCH_SIZE, 14, materialize=materialize),
                Path(temporary),
            ).files[0]
            for materialize in (False, True)
        )
        files = {CLASSICAL: patches, **dict.fromkeys(FITS, planes)}
        rates: list[float] = []
        times: dict[str, list[float]] = {name: [] for name in files}
        for _ in range(rounds):
            rates.append(matrix_product_rate(chosen))
            for name, file in files.items():
                times[name].append(_run(name, file))
        count = len(open_store(planes).patches)
    _report(count, times, median(rates))


def _run(name: str, file: Path) -> float:
    """Seconds a step of a side, in a process of its own with the options of this one."""
    command = [sys.executable, *sys.argv, "--side", name, str(file)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return float(json.loads(output.splitlines()[-1]))


def _time_side(name: str, file: Path, steps: int, workers: int, device: torch.device) -> float:
    if name == CLASSICAL:
        return _time_classical(file, steps, workers, device)
    return _time_fit(PatchSampler(open_store(file), device), FITS[name], steps)


def _time_classical(patches: Path, steps: int, workers: int, device: torch.device) -> float:
    losses = train_classically(classical_network("9-5-5"), patches, 1e-3, workers, device)
    list(islice(losses, WARM_UP))
    start = time.perf_counter()
    list(islice(losses, steps))
    return (time.perf_counter() - start) / steps


def _time_fit(sampler: PatchSampler, settings: TrainingSettings, steps: int) -> float:
    """Seconds a step: a short epoch warms up, and the next is timed."""
    # A pass may be shorter than what is timed; its last batch is then smaller than the others.
    steps = min(steps, sampler.patch_count // BATCH_SIZE)
    results = fit(sampler, settings, Plan(epochs=2, steps=steps), validate=lambda _: 0.0)
    next(results)
    return BATCH_SIZE / next(results).patches_per_second


def _report(patches: int, seconds: dict[str, list[float]], rate: float) -> None:
    click.echo(f"matrix product: {rate / 1e9:.0f} GFLOP/s on {torch.get_num_threads()} thread(s)")
    operations = BATCH_SIZE * training_operations("9-5-5", PATCH_SIZE)
    classical = median(seconds[CLASSICAL])
    for name, times in seconds.items():
        step = median(times)
        text = (
            f"{name}: {1000 * step:.1f} ms a step of {BATCH_SIZE} patches, "
            f"{patches / BATCH_SIZE * step:.0f} s an epoch of {patches:,}, "
            f"{classical / step:.2f} times as fast"
        )
        if name != RECIPE:
            text += (
                f", {operations / step / 1e9:.0f} GFLOP/s, {100 * operations / step / rate:.0f} % "
                "of the matrix product"
            )
        click.echo(text)


if __name__ == "__main__":
    main()
