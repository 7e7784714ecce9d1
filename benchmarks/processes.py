"""Two processes that train together beside one that has the same cores to itself.

    python benchmarks/processes.py --dataset t91

Every side is a program of its own, which times an epoch of `fit` as `train` uses it; with few
patches a step, two processes wait for each other more than they save.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import click

from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.pictures.store import open_store
from srcnn_mlflow.pictures.store_file import StoreSettings
from srcnn_mlflow.pictures.store_writer import prepare
from srcnn_mlflow.training.distributed import join_world
from srcnn_mlflow.training.fit import fit
from srcnn_mlflow.training.plan import Plan
from srcnn_mlflow.training.sampler import PatchSampler
from srcnn_mlflow.training.settings import TrainingSettings

BATCH_SIZES = (16, 64, 256)
PATCHES = 6400


@click.command()
@click.option("--dataset", default="samples", show_default=True, help="Whose patches are used.")
@click.option("--rounds", default=5, show_default=True, help="How often each side runs.")
@click.option("--timed", type=(click.Path(path_type=Path), int), hidden=True)
def main(dataset: str, rounds: int, timed: tuple[Path, int] | None) -> None:
    """Measure the sides in turn, and print what the second process costs or saves."""
    if timed is not None:
        _time_epoch(*timed)
        return
    with tempfile.TemporaryDirectory() as temporary:
        photos = load_dataset(dataset)
        planes = prepare(photos, StoreSettings(2, 33, 14), Path(temporary)).files[0]
        for batch_size in BATCH_SIZES:
            speeds: dict[int, list[float]] = {1: [], 2: []}
            for _ in range(rounds):
                for processes, found in speeds.items():
                    found.append(_run(processes, planes, batch_size))
            one, two = (median(found) for found in speeds.values())
            click.echo(
                f"batches of {batch_size}: {one:,.0f} patches/s in one process, {two:,.0f} in two; "
                f"an epoch takes {100 * (one / two - 1):+.0f} %"
            )


def _run(processes: int, planes: Path, batch_size: int) -> float:
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    script = [str(Path(__file__).absolute()), "--timed", str(planes), str(batch_size)]
    command = [sys.executable, *(torchrun if processes > 1 else []), *script]
    # torchrun would say at length that it sets this; `join_world` sets the threads again.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"} if processes > 1 else None
    output = subprocess.run(
        command, env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    return float(json.loads(output.splitlines()[-1])["patches_per_second"])


def _time_epoch(planes: Path, batch_size: int) -> None:
    """A short epoch warms up, and the next is timed."""
    with join_world("cpu") as world:
        sampler = PatchSampler(open_store(planes), world.device)
        plan = Plan(epochs=2, steps=PATCHES // batch_size)
        settings = TrainingSettings(batch_size=batch_size)
        results = list(fit(sampler, settings, plan, lambda _: 0.0, world=world))
        if world.leads:
            click.echo(json.dumps({"patches_per_second": results[-1].patches_per_second}))


if __name__ == "__main__":
    main()
