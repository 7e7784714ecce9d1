"""What chains cost beside their multiply-adds: steps of a training, and a picture's enlargement.

    python benchmarks/chains.py --dataset t91

All chains take turns in one process, so that the machine's other work meets each of them alike.
"""

import tempfile
import time
from pathlib import Path
from statistics import median

import click
import numpy as np
import torch
from arithmetic import inference_operations, matrix_product_rate, training_operations
from channels import Side

from srcnn_mlflow.network.architecture import Architecture
from srcnn_mlflow.network.onnx_export import build_onnx
from srcnn_mlflow.network.upscaler import Upscaler
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.pictures.store_file import StoreSettings
from srcnn_mlflow.pictures.store_writer import prepare
from srcnn_mlflow.training.model import Srcnn
from srcnn_mlflow.training.settings import TrainingSettings

CHAINS = ("9-1-5", "9-5-5", "9-3-5", "11-1-7", "9-1-1-5", "9-5-5:128-64", "vdsr")
PATCH_SIZE, BATCH_SIZE = 33, 16
SIDE = 528


@click.command()
@click.option("--dataset", default="t91", show_default=True, help="What the patches are of.")
@click.option("--rounds", default=7, show_default=True, help="Turns of every chain.")
def main(dataset: str, rounds: int) -> None:
    """Measure the chains in turn, and print what each makes of the processor."""
    device = torch.device("cpu")
    plane = np.random.default_rng(0).random((SIDE, SIDE), np.float32) * 255
    trainings, upscalers = {}, {}
    with tempfile.TemporaryDirectory() as temporary:
        settings = StoreSettings(2, PATCH_SIZE, 14)
        file = prepare(load_dataset(dataset), settings, Path(temporary)).files[0]
        for chain in CHAINS:
            # Every pixel of a patch is computed by every layer, and nothing but convolutions.
            training = TrainingSettings(
                architecture=chain, padding="zero", precision="float32", precondition=False
            )
            trainings[chain] = Side(file, training, device)
            network = Srcnn(Architecture(chain), "he")
            weights = {name: value.numpy() for name, value in network.state_dict().items()}
            upscalers[chain] = Upscaler(build_onnx(weights, network.architecture, 2))
            upscalers[chain].sharpen(plane)
        rates, seconds = [], {chain: list[float]() for chain in CHAINS}
        for _ in range(rounds):
            rates.append(matrix_product_rate(device))
            for chain in CHAINS:
                trainings[chain].go_on()
                start = time.perf_counter()
                upscalers[chain].sharpen(plane)
                seconds[chain].append(time.perf_counter() - start)
    rate, threads = median(rates) / 1e9, torch.get_num_threads()
    click.echo(
        f"matrix product: {rate:.0f} GFLOP/s on {threads} thread(s); medians of {rounds} turns"
    )
    for chain in CHAINS:
        step, picture = median(trainings[chain].seconds), median(seconds[chain])
        of_step = training_operations(chain, PATCH_SIZE) * BATCH_SIZE / step
        of_picture = inference_operations(chain, SIDE * SIDE) / picture
        click.echo(
            f"{chain}: {inference_operations(chain, 1) / 2:,.0f} multiply-adds a pixel; "
            f"{1000 * step:.1f} ms a step, {of_step / 1e9:.0f} GFLOP/s; "
            f"{1000 * picture:.0f} ms for {SIDE}x{SIDE}, {of_picture / 1e9:.0f} GFLOP/s"
        )


if __name__ == "__main__":
    main()
