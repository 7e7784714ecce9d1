"""What it costs in quality to learn from a set part by part: beside the shuffle of all of it.

    python benchmarks/order.py --dataset t91+bsd200 --seeds 3

Both sides train the same network on the same files with the same seeds, in turn, and are validated
on the same pictures; one has an eighth of the planes in memory at a time. Files are small, so that
there are many of them.
"""

import tempfile
from pathlib import Path
from statistics import mean, stdev

import click
import torch

from srcnn_mlflow.pictures import shards
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.pictures.store import open_store
from srcnn_mlflow.pictures.store_file import StoreSettings
from srcnn_mlflow.pictures.store_writer import prepare
from srcnn_mlflow.training.distributed import alone
from srcnn_mlflow.training.planned_fit import plan_fit
from srcnn_mlflow.training.settings import TrainingSettings

SHARE = 8


@click.command()
@click.option("--dataset", default="t91+bsd200", show_default=True)
@click.option("--architecture", default="9-1-5", show_default=True)
@click.option("--scale", default=2, show_default=True)
@click.option("--epochs", default=2, show_default=True)
@click.option("--seeds", default=3, show_default=True)
@click.option("--shard-bytes", default=4_000_000, show_default=True)
def main(
    dataset: str, architecture: str, scale: int, epochs: int, seeds: int, shard_bytes: int
) -> None:
    """Print a table, and the difference of the means."""
    shards.SHARD_BYTES = shard_bytes
    with tempfile.TemporaryDirectory() as temporary:
        made = prepare(load_dataset(dataset), StoreSettings(scale, 33, 14), Path(temporary))
        store = open_store(*made.files)
        window = store.train.bytes // SHARE
        found: dict[int | None, list[float]] = {None: [], window: []}
        size = f"{store.train.bytes / 1e6:.0f} MB in {len(made.files)} files"
        click.echo(
            f"{dataset} x{scale}, {architecture}, {epochs} epochs: {size}, "
            f"{window / 1e6:.0f} MB at a time"
        )
        for seed in range(seeds):
            for memory, values in found.items():
                settings = TrainingSettings(architecture=architecture, epochs=epochs, seed=seed)
                world = alone(torch.device("cpu"))
                results = list(plan_fit(store, settings, world, window=memory).epochs())
                values.append(results[-1].best_val_psnr)
                click.echo(
                    f"seed {seed}, {'all' if memory is None else 'part by part'}: "
                    f"{values[-1]:.3f} dB, {results[-1].patches_per_second:.0f} patches a second"
                )
    for memory, values in found.items():
        spread = stdev(values) if len(values) > 1 else 0.0
        name = "all of it shuffled" if memory is None else "part by part"
        click.echo(f"{name}: {mean(values):.3f} ± {spread:.3f} dB")
    click.echo(f"difference {mean(found[window]) - mean(found[None]):+.3f} dB")


if __name__ == "__main__":
    main()
