"""Inference: the upscaler beside plain torch, and the memory of a very large picture.

    python benchmarks/upscale.py
    python benchmarks/upscale.py --memory true

Both sides run the same weights over the same plane of 2040x1356 in one process; the rate of a
matrix product in the same minute says what the machine could have done. Small pictures are run
one by one and together, which is where a batch would have to pay. On processors with bfloat16 what
ships runs in it beside float32. With `--memory`, the whole command `srcnn-mlflow upscale` makes 100
megapixels of 25, and its memory is looked at while it runs, beside that of the two pictures; it
needs Linux.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import click
import numpy as np
import onnxruntime
import torch
from arithmetic import inference_operations, matrix_product_rate
from memory import proportional_bytes
from PIL import Image

from srcnn_mlflow.machine.processors import available_cores
from srcnn_mlflow.network.architecture import INFERENCE_PRECISIONS, Architecture
from srcnn_mlflow.network.onnx_export import build_onnx
from srcnn_mlflow.network.shipped import shipped_network
from srcnn_mlflow.network.upscaler import Upscaler
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.training.learner import computes_bfloat16
from srcnn_mlflow.training.model import Srcnn

WIDTH, HEIGHT = 2040, 1356
# Twice as wide and high it has 100 megapixels.
LARGE = (5776, 4336)
SMALL_PICTURES, SMALL_SIDES = 16, (16, 32, 64, 128)
CPU = torch.device("cpu")


@click.command()
@click.option("--rounds", default=3, show_default=True, help="How often each side runs.")
@click.option("--memory", default=False, type=click.BOOL, help="Measure the memory instead.")
def main(rounds: int, memory: bool) -> None:
    """Measure the sides in turn in this process, and print the ratios of their medians."""
    if memory:
        _measure_memory()
        return
    for architecture in ("9-5-5", "9-1-5"):
        _measure_speed(architecture, rounds)
        if computes_bfloat16(CPU):
            _measure_bfloat16(architecture, rounds)
        _measure_batches(architecture, rounds)


def photograph(width: int, height: int) -> Image.Image:
    """A colour picture of any size, tiled from a real photograph."""
    photo = Image.open(load_dataset("samples").photos("test")[0].path).convert("RGB")
    picture = Image.new("RGB", (width, height))
    for top in range(0, height, photo.height):
        for left in range(0, width, photo.width):
            picture.paste(photo, (left, top))
    return picture


def _measure_speed(architecture: str, rounds: int) -> None:
    torch.manual_seed(0)
    network = Srcnn(Architecture(architecture, residual=False, padding="zero"), "plain").eval()
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    upscaler = Upscaler(build_onnx(weights, network.architecture, 2))
    plane = np.asarray(photograph(WIDTH, HEIGHT).convert("L")).astype(np.float32)

    def plain_torch() -> np.ndarray:
        with torch.inference_mode():
            output = network(torch.from_numpy(plane)[None, None] / 255)
        clipped: np.ndarray = (output[0, 0] * 255).clamp(0, 255).numpy()
        return clipped

    sides: dict[str, Callable[[], np.ndarray]] = {
        "plain torch": plain_torch,
        "the upscaler": lambda: upscaler.sharpen(plane),
    }
    results = [run() for run in sides.values()]
    halo = network.architecture.halo
    # Where zero padding reaches in, tiles differ from a whole plane at its edge alone.
    inside = slice(halo, -halo)
    difference = float(np.abs(results[0] - results[1])[inside, inside].max()) / 255
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    rates = []
    for _ in range(rounds):
        rates.append(matrix_product_rate(CPU))
        for name, run in sides.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    rate, operations = median(rates), inference_operations(architecture, WIDTH * HEIGHT)
    click.echo(
        f"{architecture}, {WIDTH}x{HEIGHT}: matrix product {rate / 1e9:.0f} GFLOP/s on "
        f"{torch.get_num_threads()} thread(s); largest difference of the sides {difference:.1e}"
    )
    for name, times in seconds.items():
        one = median(times)
        click.echo(
            f"  {name}: {one:.2f} s, {operations / one / 1e9:.0f} GFLOP/s, "
            f"{100 * operations / one / rate:.0f} % of the matrix product, "
            f"{median(seconds['plain torch']) / one:.2f} times as fast as plain torch, "
            f"{median(seconds['the upscaler']) / one:.2f} times as fast as the upscaler"
        )


def _measure_bfloat16(architecture: str, rounds: int) -> None:
    """What ships, in either precision, on the large plane and on one of 512x512."""
    model = shipped_network(2, f"shipped-{architecture}")
    sides = {precision: Upscaler(model, precision) for precision in INFERENCE_PRECISIONS}
    for width, height in ((WIDTH, HEIGHT), (512, 512)):
        plane = np.asarray(photograph(width, height).convert("L")).astype(np.float32)
        seconds: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(1 + 3 * rounds):
            for name, upscaler in sides.items():
                start = time.perf_counter()
                upscaler.sharpen(plane)
                seconds[name].append(time.perf_counter() - start)
        exact, rounded = (median(seconds[name][1:]) for name in INFERENCE_PRECISIONS)
        click.echo(
            f"  shipped, {width}x{height}: {exact:.3f} s in float32, {rounded:.3f} s in bfloat16, "
            f"{exact / rounded:.2f} times as fast"
        )


def _measure_batches(architecture: str, rounds: int) -> None:
    """Small pictures of one size: in one call of the runtime, beside one call for each."""
    network = Srcnn(Architecture(architecture, residual=False, padding="zero"), "plain")
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_cores()
    session = onnxruntime.InferenceSession(build_onnx(weights, network.architecture, 2), options)
    for side in SMALL_SIDES:
        pictures = np.random.default_rng(0).random((SMALL_PICTURES, 1, side, side), np.float32)
        seconds: dict[int, list[float]] = {1: [], SMALL_PICTURES: []}
        for _ in range(1 + 10 * rounds):
            for together, times in seconds.items():
                start = time.perf_counter()
                for first in range(0, SMALL_PICTURES, together):
                    session.run(None, {"luma": pictures[first : first + together]})
                times.append(time.perf_counter() - start)
        one_by_one, at_once = (median(times[1:]) / SMALL_PICTURES for times in seconds.values())
        click.echo(
            f"  {SMALL_PICTURES} pictures of {side}x{side}: {1000 * one_by_one:.2f} ms each, "
            f"{1000 * at_once:.2f} ms together, {one_by_one / at_once:.2f} times as fast"
        )


def _measure_memory() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        photograph(*LARGE).save(folder / "large.png", compress_level=1)
        command = [sys.executable, "-m", "srcnn_mlflow", "upscale", "--model", "shipped-9-1-5"]
        start, highest = time.perf_counter(), 0
        process = subprocess.Popen([*command, "--input", "large.png"], cwd=folder)
        while process.poll() is None:
            highest = max(highest, proportional_bytes(process.pid))
            time.sleep(0.05)
        seconds = time.perf_counter() - start
        with Image.open(folder / "upscaled" / "large-x2.png") as result:
            size = result.size
    pictures = 3 * LARGE[0] * LARGE[1] * (1 + 4)
    click.echo(
        f"{LARGE[0]}x{LARGE[1]} to {size[0]}x{size[1]} by the shipped 9-1-5: {seconds:.0f} s, "
        f"{highest / 1e6:.0f} MB at the peak, {(highest - pictures) / 1e6:.0f} MB above the two "
        "pictures"
    )


if __name__ == "__main__":
    main()
