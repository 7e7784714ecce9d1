"""A step and an enlargement by 9-5-5, by this checkout's code beside that of a former commit.

    python benchmarks/former.py --revision 4065075~1

Both take turns, each in a process of its own with the same libraries, the same photographs and the
same weights. A step is timed by either commit's own `benchmarks/train.py`.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import click
import torch
from arithmetic import matrix_product_rate

from srcnn_mlflow.network.shipped import FOLDER

CHECKOUT = Path(__file__).parents[1]
WEIGHTS = FOLDER / "srcnn-9-5-5-x2.onnx"
RECIPE = "fit, as train uses it"
PREPARE = """
import sys
from pathlib import Path
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.pictures.store_file import StoreSettings
from srcnn_mlflow.pictures.store_writer import prepare
made = prepare(load_dataset(sys.argv[1]), StoreSettings(2, 33, 14), Path(sys.argv[2]))
print(made.files[0] if hasattr(made, "files") else made.path)
"""
ENLARGE = """
import json, sys, time
from pathlib import Path
import numpy as np
from srcnn_mlflow.network.upscaler import Upscaler
upscaler = Upscaler(Path(sys.argv[1]))
plane = np.random.default_rng(0).random((512, 512), dtype=np.float32)
for _ in range(3):
    upscaler.sharpen(plane)
start = time.perf_counter()
for _ in range(20):
    upscaler.sharpen(plane)
print(json.dumps((time.perf_counter() - start) / 20))
"""


@click.command()
@click.option("--revision", required=True, help="A commit, as git names it.")
@click.option("--dataset", default="t91", show_default=True)
@click.option("--steps", default=150, show_default=True)
@click.option("--rounds", default=9, show_default=True)
def main(revision: str, dataset: str, steps: int, rounds: int) -> None:
    """Print the medians and how fast this checkout is beside the former commit."""
    with tempfile.TemporaryDirectory() as temporary:
        former = Path(temporary, "code")
        _git("worktree", "add", "--detach", str(former), revision)
        try:
            sides = {"former": former, "present": CHECKOUT}
            stores = {
                name: _python(code, "-c", PREPARE, dataset, str(Path(temporary, f"{name}-store")))
                for name, code in sides.items()
            }
            _compare(sides, stores, steps, rounds)
        finally:
            _git("worktree", "remove", "--force", str(former))


def _compare(sides: dict[str, Path], stores: dict[str, str], steps: int, rounds: int) -> None:
    rates = []
    times: dict[str, dict[str, list[float]]] = {"a step": {}, "enlarging": {}}
    for _ in range(rounds):
        rates.append(matrix_product_rate(torch.device("cpu")))
        for name, code in sides.items():
            timed = ("benchmarks/train.py", "--steps", str(steps), "--side", RECIPE, stores[name])
            step, enlarging = _python(code, *timed), _python(code, "-c", ENLARGE, str(WEIGHTS))
            times["a step"].setdefault(name, []).append(json.loads(step))
            times["enlarging"].setdefault(name, []).append(json.loads(enlarging))
    click.echo(f"matrix product: {median(rates) / 1e9:.0f} GFLOP/s")
    for what, of in times.items():
        before, now = (1000 * median(of[name]) for name in sides)
        click.echo(f"{what}: {before:.2f} ms before, {now:.2f} ms now, {before / now:.3f} as fast")


def _python(code: Path, *words: str) -> str:
    """What a program prints last, run with the code of a checkout."""
    output = subprocess.run(
        [sys.executable, *words],
        cwd=code,
        env={**os.environ, "PYTHONPATH": str(code)},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    return output.splitlines()[-1]


def _git(*words: str) -> None:
    subprocess.run(["git", "-C", str(CHECKOUT), *words], check=True, capture_output=True)


if __name__ == "__main__":
    main()
