"""Reading shuffled batches of patches: the sampler in memory beside a file opened for each item.

    python benchmarks/gather.py

Both sides read the same patches of T91-sized pictures in the same shuffled order, and end with
float32 tensors in 0..1. The classical side is the `Dataset` that SRCNN programs commonly have:
one HDF5 file of float32 patches, opened anew for every item.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import click
import h5py
import numpy as np
import torch

from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.pictures.store import open_store
from srcnn_mlflow.pictures.store_file import StoreSettings
from srcnn_mlflow.pictures.store_writer import prepare
from srcnn_mlflow.training.sampler import PatchSampler

BATCH_SIZE = 16


@click.command()
@click.option("--dataset", default="samples", show_default=True, help="Whose patches are read.")
@click.option("--batches", default=1000, show_default=True, help="How many batches of 16 a round.")
@click.option("--rounds", default=5, show_default=True, help="How often each side runs.")
def main(dataset: str, batches: int, rounds: int) -> None:
    """Measure both sides in turn in this process, and print the ratio of their medians."""
    photos = load_dataset(dataset)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        planes = prepare(photos, StoreSettings(2, 33, 14), folder).files[0]
        patches = prepare(photos, StoreSettings(2, 33, 14, materialize=True), folder).files[0]
        sampler = PatchSampler(open_store(planes), torch.device("cpu"))
        order = list(sampler.batches(BATCH_SIZE, 0, 0, batches))
        _check_equal(sampler, patches, order[0])
        ours, theirs = [], []
        for _ in range(rounds):
            ours.append(_seconds_a_patch(lambda batch: sampler.gather(batch), order))
            few = order[: max(1, batches // 20)]
            theirs.append(_seconds_a_patch(lambda batch: _read_items(patches, batch), few))
    for name, seconds in (("gathered in memory", ours), ("a file opened for each item", theirs)):
        click.echo(f"{name}: {1e6 * median(seconds):.2f} microseconds a patch")
    click.echo(f"ratio: {median(theirs) / median(ours):.0f} times as fast")


def _check_equal(sampler: PatchSampler, patches: Path, batch: torch.Tensor) -> None:
    for one, other in zip(sampler.gather(batch), _read_items(patches, batch), strict=True):
        if not torch.allclose(one, other):
            raise click.ClickException("the two sides read different patches")


def _read_items(path: Path, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    lr, hr = [], []
    for index in batch.tolist():
        with h5py.File(path, "r") as file:
            lr.append(file["lr"][index][None] / 255.0)
            hr.append(file["hr"][index][None] / 255.0)
    return torch.from_numpy(np.stack(lr)), torch.from_numpy(np.stack(hr))


def _seconds_a_patch(read: Callable[[torch.Tensor], object], order: list[torch.Tensor]) -> float:
    start = time.perf_counter()
    for batch in order:
        read(batch)
    return (time.perf_counter() - start) / sum(len(batch) for batch in order)


if __name__ == "__main__":
    main()
