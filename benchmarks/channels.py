"""What colours cost: the prepared file and the training steps of three planes beside those of luma.

    python benchmarks/channels.py --dataset t91

Steps of all channels take turns, a few at a time, in one process, so that the machine's other work
meets each of them alike.
"""

import tempfile
import time
from itertools import islice
from pathlib import Path
from statistics import median

import click
import torch

from srcnn_mlflow.network.architecture import CHANNELS, planes_of
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.pictures.store import open_store
from srcnn_mlflow.pictures.store_file import StoreSettings
from srcnn_mlflow.pictures.store_writer import prepare
from srcnn_mlflow.training.distributed import alone, choose_device
from srcnn_mlflow.training.learner import Learner
from srcnn_mlflow.training.sampler import PatchSampler
from srcnn_mlflow.training.settings import TrainingSettings

WARM_UP, IN_A_ROW = 5, 5


class Side:
    """A training on some channels, a few steps at a time."""

    def __init__(self, file: Path, settings: TrainingSettings, device: torch.device) -> None:
        self._sampler = PatchSampler(open_store(file), device, channels=settings.channels)
        self._learner = Learner(settings, self._sampler, alone(device))
        self._batches = self._sampler.batches(settings.batch_size, settings.seed, 0, 1_000_000)
        self.seconds: list[float] = []
        self._take(WARM_UP)

    def go_on(self) -> None:
        """Take a few steps, and time them."""
        start = time.perf_counter()
        self._take(IN_A_ROW)
        self.seconds.append((time.perf_counter() - start) / IN_A_ROW)

    def _take(self, steps: int) -> None:
        losses = [
            self._learner.step(*self._sampler.gather(batch), lr=1e-3)
            for batch in islice(self._batches, steps)
        ]
        losses[-1].item()


@click.command()
@click.option("--dataset", default="samples", show_default=True, help="Whose patches are used.")
@click.option("--architecture", default="9-5-5", show_default=True, help="Which network.")
@click.option("--steps", default=150, show_default=True, help="Steps of each side.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
def main(dataset: str, architecture: str, steps: int, device: str) -> None:
    """Measure the sides in turn, and print what each is of luma's."""
    photos, chosen = load_dataset(dataset), choose_device(device)
    with tempfile.TemporaryDirectory() as temporary:
        files, sides = {}, {}
        for channels in CHANNELS:
            settings = StoreSettings(2, 33, 14, planes=planes_of(channels))
            files[channels] = prepare(photos, settings, Path(temporary)).files[0]
            training = TrainingSettings(architecture=architecture, channels=channels)
            sides[channels] = Side(files[channels], training, chosen)
        for _ in range(steps // IN_A_ROW):
            for side in sides.values():
                side.go_on()
        sizes = {channels: file.stat().st_size for channels, file in files.items()}
    threads = torch.get_num_threads()
    click.echo(f"{architecture} on {threads} thread(s), the median of {steps} steps each")
    # What luma has taken in the same moments.
    usual = sides["y"].seconds
    for channels, side in sides.items():
        ratio = median(one / other for one, other in zip(side.seconds, usual, strict=True))
        click.echo(
            f"{channels}: {sizes[channels] / 1e6:.1f} MB prepared, "
            f"{sizes[channels] / sizes['y']:.2f} times luma's; "
            f"{1000 * median(side.seconds):.1f} ms a step, {ratio:.2f} times luma's"
        )


if __name__ == "__main__":
    main()
