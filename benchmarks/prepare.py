"""Preparing photographs: `srcnn-mlflow prepare` beside the plain classical loop.

    python benchmarks/prepare.py
    python benchmarks/prepare.py --images 250 --classical false

Both sides are whole programs on the same pictures of 2040x1356: mosaics of real photographs, so
that decoding costs what it costs in life. The classical loop is one process which appends every
patch to a list and writes float32 arrays at the end, as SRCNN programs commonly do. Memory is the
highest proportional set size of all processes of a side together; it needs Linux.
"""

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import click
import h5py
import numpy as np
from memory import proportional_bytes
from PIL import Image

from srcnn_mlflow.pictures.datasets import load_dataset

WIDTH, HEIGHT, TILE = 2040, 1356, 256
SCALE, PATCH_SIZE, STRIDE = 2, 33, 14
SECONDS_BETWEEN_LOOKS = 0.05


@dataclass(frozen=True)
class Cost:
    """What a side took: seconds, bytes of memory at the peak, bytes on disk."""

    seconds: float
    memory: int
    disk: int


def make_photographs(folder: Path, count: int, source: str) -> None:
    """Fill `train/` and `valid/` with mosaics of a data set's photographs, a tenth to validate."""
    pictures = []
    for photo in load_dataset(source).photos("all"):
        pixels = np.asarray(Image.open(photo.path).convert("RGB"))
        if min(pixels.shape[:2]) >= TILE:
            pictures.append(pixels)
    for number in range(count):
        generator = np.random.default_rng(number)
        canvas = np.empty((HEIGHT, WIDTH, 3), np.uint8)
        for top in range(0, HEIGHT, TILE):
            for left in range(0, WIDTH, TILE):
                pixels = pictures[generator.integers(len(pictures))]
                y = generator.integers(pixels.shape[0] - TILE + 1)
                x = generator.integers(pixels.shape[1] - TILE + 1)
                room = canvas[top : top + TILE, left : left + TILE]
                room[:] = pixels[y : y + room.shape[0], x : x + room.shape[1]]
        split = folder / ("valid" if number % 10 == 9 else "train")
        split.mkdir(parents=True, exist_ok=True)
        Image.fromarray(canvas).save(split / f"{number:04}.png")


def prepare_classically(photos: Path, output: Path) -> None:
    """Cut every picture into patches, gather them in lists, and write arrays of float32."""
    low, high = [], []
    for path in sorted(photos.glob("*/*.png")):
        picture = Image.open(path).convert("RGB")
        size = picture.width - picture.width % SCALE, picture.height - picture.height % SCALE
        original = picture.crop((0, 0, *size))
        small = original.resize((size[0] // SCALE, size[1] // SCALE), Image.Resampling.BICUBIC)
        enlarged = small.resize(size, Image.Resampling.BICUBIC)
        planes = [_float_luma(np.array(one).astype(np.float32)) for one in (enlarged, original)]
        for top in range(0, size[1] - PATCH_SIZE + 1, STRIDE):
            for left in range(0, size[0] - PATCH_SIZE + 1, STRIDE):
                window = slice(top, top + PATCH_SIZE), slice(left, left + PATCH_SIZE)
                low.append(planes[0][window])
                high.append(planes[1][window])
    arrays = {"lr": np.array(low), "hr": np.array(high)}
    with h5py.File(output, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array)


def _float_luma(rgb: np.ndarray) -> np.ndarray:
    luma: np.ndarray = (
        16.0 + (65.481 * rgb[..., 0] + 128.553 * rgb[..., 1] + 24.966 * rgb[..., 2]) / 255.0
    )
    return luma


def measure(command: Sequence[str], folder: Path, written: str) -> Cost:
    """Run a command in a folder of its own, and look at its memory while it runs."""
    highest = 0
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    done = threading.Event()

    def look() -> None:
        nonlocal highest
        while not done.wait(SECONDS_BETWEEN_LOOKS):
            highest = max(highest, proportional_bytes(process.pid))

    looking = threading.Thread(target=look)
    looking.start()
    output, _ = process.communicate()
    seconds = time.perf_counter() - start
    done.set()
    looking.join()
    if process.returncode:
        raise click.ClickException(f"{' '.join(command)} failed:\n{output}")
    return Cost(seconds, highest, sum(path.stat().st_size for path in folder.glob(written)))


@click.command()
@click.option("--images", default=25, show_default=True, help="How many photographs.")
@click.option("--rounds", default=3, show_default=True, help="How often each side runs.")
@click.option("--source", default="samples", show_default=True, help="Data set to cut tiles from.")
@click.option("--classical", default=True, type=click.BOOL, help="Whether to run the other side.")
@click.option("--cut", type=(click.Path(path_type=Path), click.Path(path_type=Path)), hidden=True)
def main(
    images: int, rounds: int, source: str, classical: bool, cut: tuple[Path, Path] | None
) -> None:
    """Measure both sides in turn, and print the ratio of their medians."""
    if cut is not None:
        prepare_classically(*cut)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        photos = folder / "photos"
        make_photographs(photos, images, str(Path(source).absolute() if "/" in source else source))
        ours, theirs = [], []
        for number in range(rounds):
            workplace = folder / f"round{number}"
            workplace.mkdir()
            command = [sys.executable, "-m", "srcnn_mlflow", "prepare"]
            ours.append(
                measure([*command, "--dataset", str(photos)], workplace, "data/prepared/*.h5")
            )
            if classical:
                script = [sys.executable, str(Path(__file__).absolute()), "--cut", str(photos)]
                theirs.append(measure([*script, "classical.h5"], workplace, "classical.h5"))
                (workplace / "classical.h5").unlink()
        pixels = 2 * images * WIDTH * HEIGHT
        _report(f"srcnn-mlflow prepare, {images} pictures", ours, pixels)
        if classical:
            _report("the classical loop", theirs, pixels)
            ratio = median(c.seconds for c in theirs) / median(c.seconds for c in ours)
            click.echo(f"ratio: {ratio:.1f} times as fast")


def _report(name: str, costs: Sequence[Cost], pixels: int) -> None:
    seconds = sorted(cost.seconds for cost in costs)
    click.echo(
        f"{name}: {median(seconds):.2f} s ({', '.join(f'{one:.2f}' for one in seconds)}), "
        f"{max(cost.memory for cost in costs) / 1e6:.0f} MB of memory, "
        f"{costs[0].disk / 1e6:.0f} MB on disk, {costs[0].disk / pixels:.2f} bytes a stored pixel"
    )


if __name__ == "__main__":
    main()
