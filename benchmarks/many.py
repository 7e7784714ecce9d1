"""Many pictures: what preparing them takes, and training on more than fit the memory.

    python benchmarks/many.py --images 1000 --images 10000 --images 100000

Pictures are crops of real photographs, of 72 to 120 pixels a side, written once and kept in
`--folder`. `srcnn-mlflow prepare` makes each number of them ready, and once more where all is there
already; memory is the most that its process had resident. Then 9-5-5 is trained on the largest set,
in turn by a process that has a twentieth of it in memory at a time and by one that has all of it,
and once in a control group of Linux that ends what takes more than that twentieth and 300 MB, where
the system lets one be made; files that something else has read before do not count there. At last
`srcnn-mlflow train` itself is started with that twentieth, and stopped at its first step.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import click
import numpy as np
from PIL import Image

from srcnn_mlflow.pictures.datasets import load_dataset

LEAST, MOST = 72, 120
SCALE, PATCH_SIZE, STRIDE = 2, 33, 14
# Bytes that a training may take beside its planes.
BESIDE = 300_000_000
ENTER = """
import os, sys
open(sys.argv[1], "w").write(str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""
# In a process of its own: what this one has resident, Linux counts for all that it starts.
RATE = """
import sys
sys.path.append(sys.argv[1])
import torch
from arithmetic import matrix_product_rate
print(matrix_product_rate(torch.device("cpu")))
"""
TRAIN = """
import json, re, resource, sys, time
from pathlib import Path
begin = time.perf_counter()
import torch
from srcnn_mlflow.pictures.store import open_store
from srcnn_mlflow.training.distributed import alone
from srcnn_mlflow.training.learner import Learner
from srcnn_mlflow.training.sampler import PatchSampler
from srcnn_mlflow.training.settings import TrainingSettings
from srcnn_mlflow.training.windowed_sampler import Drawing, WindowedSampler
memory, steps, files = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
device = torch.device("cpu")
settings = TrainingSettings(sampling="uniform", loss="mse")
store = open_store(*map(Path, files))
if memory:
    sampler = WindowedSampler(store, device, memory, Drawing("uniform", "mse", 6, "y"))
else:
    sampler = PatchSampler(store, device)
world = alone(device)
learner = Learner(settings, sampler, world)
first = start = None
for number, share in enumerate(sampler.shares(settings.batch_size, 0, 0, steps, world)):
    learner.step(*sampler.gather(share.patches), 1e-4)
    if first is None:
        first = time.perf_counter() - begin
        start = time.perf_counter()
# What is not the code of libraries, which processes share (proc(5)).
own = re.search("RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())
print(json.dumps({
    "own": int(own[1]) * 1024 if own else 0,
    "first_step": first,
    "patches_a_second": (steps - 1) * settings.batch_size / (time.perf_counter() - start),
    "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    "planes": store.train.bytes,
}))
"""


def make_pictures(folder: Path, count: int, source: str) -> Path:
    """Fill `train/` and `valid/` with crops, one of 500 to validate; gives their folder."""
    here = folder / str(count)
    pictures = [
        np.asarray(Image.open(photo.path).convert("RGB"))
        for photo in load_dataset(source).photos("train")
    ]
    for split in ("train", "valid"):
        (here / split).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        path = here / ("valid" if number % 500 == 499 else "train") / f"{number:06}.png"
        if path.exists():
            continue
        generator = np.random.default_rng(number)
        pixels = pictures[generator.integers(len(pictures))]
        height, width = generator.integers(LEAST, MOST + 1, 2)
        top = generator.integers(pixels.shape[0] - height + 1)
        left = generator.integers(pixels.shape[1] - width + 1)
        crop = pixels[top : top + height, left : left + width]
        # Whole or not at all, for who goes on with the same folder.
        Image.fromarray(crop).save(path.with_suffix(".partial"), "PNG", compress_level=1)
        path.with_suffix(".partial").rename(path)
    return here


def run(command: list[str], home: Path) -> tuple[float, int, str]:
    """Run a program; gives its seconds, the most bytes it had resident, and what it printed."""
    start = time.perf_counter()
    environment = {**os.environ, "SRCNN_HOME": str(home), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, *command], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, code, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(code)
    if process.returncode:
        raise click.ClickException(f"{command} has ended with {process.returncode}")
    return time.perf_counter() - start, usage.ru_maxrss * 1024, said


def control_group(most: int) -> Path | None:
    """Where processes go that may take so many bytes together; None where the system has none."""
    # Version 1 (cgroups(7)), and 2.
    places = {"/sys/fs/cgroup/memory": "memory.limit_in_bytes", "/sys/fs/cgroup": "memory.max"}
    for place, name in places.items():
        group = Path(place, "srcnn-mlflow-many")
        try:
            group.mkdir(exist_ok=True)
            if (group / name).exists():
                (group / name).write_text(str(most))
                return group
            group.rmdir()
        except OSError:
            continue
    return None


def start_by_command(photos: Path, home: Path, memory: int) -> tuple[float, int]:
    """What `train` takes to its first step: seconds, and the most bytes it had resident."""
    begin = time.perf_counter()
    size = f"{max(1, round(memory / 1e6))}MB"
    command = ["train", "--dataset", str(photos.absolute()), "--memory", size]
    with subprocess.Popen(
        [sys.executable, "-m", "srcnn_mlflow", *command],
        env={**os.environ, "SRCNN_HOME": str(home.absolute()), "OMP_NUM_THREADS": "1"},
        cwd=home,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        # The last that it says before its first step.
        said = next((line for line in process.stdout if line.startswith("training srcnn")), "")
        seconds = time.perf_counter() - begin
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
    if not said:
        raise click.ClickException("train has ended before its first step")
    return seconds, usage.ru_maxrss * 1024


@click.command()
@click.option("--images", type=int, multiple=True, default=(1000, 10_000), show_default=True)
@click.option("--source", default="bsd200", show_default=True, help="Photographs to cut up.")
@click.option("--folder", type=Path, default=Path("many"), show_default=True)
@click.option("--steps", default=400, show_default=True, help="Steps of each training.")
@click.option("--rounds", default=3, show_default=True, help="Trainings of each kind, in turn.")
def main(images: tuple[int, ...], source: str, folder: Path, steps: int, rounds: int) -> None:
    """Print tables of preparing and of training."""
    rate = run(["-c", RATE, str(Path(__file__).parent)], folder.absolute())[2]
    click.echo(f"matrix product: {float(rate) / 1e9:.0f} GFLOP/s on one thread\n")
    click.echo(
        "| pictures | preparing | a picture | memory | again | disk |\n|---|---|---|---|---|---|"
    )
    homes = {}
    for count in sorted(images):
        photos, home = make_pictures(folder, count, source), folder / f"home-{count}"
        homes[count] = home
        prepare = ["-m", "srcnn_mlflow", "prepare", "--dataset", str(photos.absolute())]
        seconds, memory, _ = run(prepare, home.absolute())
        again, _, _ = run(prepare, home.absolute())
        disk = sum(path.stat().st_size for path in (home / "prepared").glob("*.h5"))
        click.echo(
            f"| {count:,} | {seconds:.1f} s | {1000 * seconds / count:.2f} ms "
            f"| {memory / 1e6:.0f} MB | {again:.1f} s | {disk / 1e6:.0f} MB |"
        )
    files = [str(path) for path in sorted((homes[max(images)] / "prepared").glob("*.h5"))]
    found: dict[int, list[dict[str, float]]] = {0: [], 1: []}
    planes = 0.0
    for _ in range(rounds):
        for windowed in (1, 0):
            memory = int(planes / 20) * windowed or 10_000_000 * windowed
            said = run(["-c", TRAIN, str(memory), str(steps), *files], folder.absolute())[2]
            found[windowed].append(json.loads(said))
            planes = found[windowed][-1]["planes"]
    click.echo(f"\ntraining on {planes / 1e6:.0f} MB of planes, {steps} steps of 16 patches:")
    speeds = []
    for windowed, name in ((1, "a twentieth at a time"), (0, "all in memory")):
        ones = found[windowed][1:] or found[windowed]
        speeds.append(median(one["patches_a_second"] for one in ones))
        click.echo(
            f"  {name}: {speeds[-1]:.0f} patches a second, first step after "
            f"{median(one['first_step'] for one in ones):.1f} s, "
            f"{max(one['memory'] for one in ones) / 1e6:.0f} MB resident, "
            f"{max(one['own'] for one in ones) / 1e6:.0f} MB without libraries' code"
        )
    click.echo(f"  ratio {speeds[0] / speeds[1]:.3f}")
    window = int(planes / 20)
    most = window + BESIDE
    group = control_group(most)
    if group is None:
        click.echo("  this system lets no control group be made")
    else:
        enter = ["-c", ENTER, str(group / "cgroup.procs"), sys.executable]
        training = ["-c", TRAIN, str(window), str(steps), *files]
        try:
            said = run([*enter, *training], folder.absolute())[2]
        finally:
            group.rmdir()
        click.echo(
            f"  a twentieth at a time, ended if it takes more than {most / 1e6:.0f} MB: "
            f"{json.loads(said)['patches_a_second']:.0f} patches a second"
        )
    largest = max(images)
    seconds, memory = start_by_command(folder / str(largest), homes[largest], window)
    click.echo(
        f"  by the command: first step after {seconds:.1f} s, {memory / 1e6:.0f} MB resident"
    )


if __name__ == "__main__":
    main()
