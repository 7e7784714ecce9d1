"""What a bad day does to the experiments of this checkout, with real processes and real servers.

    python tools/ordeal.py kills      30 kills at random moments of four commands, each recovered
    python tools/ordeal.py writers    8 trainings at once into one SQLite store
    python tools/ordeal.py outage     a tracking server that is away for a minute of a training
    python tools/ordeal.py promotions 20 promotions, two at a time, as if of two machines
    python tools/ordeal.py trainings  200 trainings of moments, with settings drawn at random

Everything happens in a folder of its own. What does not hold ends the program with an error.
"""

import hashlib
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

import click
import mlflow
import numpy as np
import onnx
from mlflow import MlflowClient
from mlflow.entities import Run
from onnx import numpy_helper

from srcnn_mlflow.commands.train import train
from srcnn_mlflow.commands.train_epochs import is_shown
from srcnn_mlflow.commands.train_request import TrainRequest
from srcnn_mlflow.commands.train_result import WARNING
from srcnn_mlflow.machine.errors import TrainingError
from srcnn_mlflow.network.architecture import PADDINGS
from srcnn_mlflow.network.shipped import shipped_network
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.pictures.decoding import open_image
from srcnn_mlflow.tracking import registry
from srcnn_mlflow.training import settings as choices
from srcnn_mlflow.training.settings import TrainingSettings

ROOT = Path(__file__).parents[1]
PHOTOS = ("--dataset", "photos")
EPOCHS = 6
QUICK = ("train", *PHOTOS, "--architecture", "9-1-5", "--epochs", str(EPOCHS))
COMMANDS = {
    "prepare": ("prepare", *PHOTOS),
    "train": (*QUICK, "--resume", "auto"),
    "evaluate": ("evaluate", *PHOTOS),
    "promote": ("promote", *PHOTOS),
}


@click.group()
def ordeal() -> None:
    """Run one of the ordeals."""


@ordeal.command()
@click.option("--number", default=30, show_default=True, help="Commands caught at work.")
@click.option("--seed", default=0, show_default=True)
def kills(number: int, seed: int) -> None:
    """Kill commands at random moments of their work, and start each of them again."""
    moments = random.Random(seed)
    with tempfile.TemporaryDirectory() as temporary:
        reference = _folder(temporary, "reference")
        seconds = {name: _finish(name, reference) for name in COMMANDS}
        click.echo(f"undisturbed: {', '.join(f'{n} {s:.1f} s' for n, s in seconds.items())}")
        caught = dict.fromkeys(COMMANDS, 0)
        rounds = itertools.count(1)
        while sum(caught.values()) < number:
            folder = _folder(temporary, f"round{next(rounds)}")
            for name in COMMANDS:
                moment = moments.uniform(0, seconds[name])
                was_caught = _kill(name, folder, moment)
                caught[name] += was_caught
                what = "killed" if was_caught else "had ended"
                again = _finish(name, folder)
                click.echo(f"{name} {what} after {moment:.1f} s; again {again:.1f} s")
            _check_recovered(folder, reference)
    kinds = ", ".join(f"{name} {count}" for name, count in caught.items())
    click.echo(
        f"{sum(caught.values())} commands killed at work ({kinds}): all recovered, weights and "
        "prepared files equal to the undisturbed ones, no run left RUNNING, no half-written file"
    )


@ordeal.command()
@click.option("--number", default=8, show_default=True)
def writers(number: int) -> None:
    """Train several networks at once into one store."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = _folder(temporary, "together")
        start = time.monotonic()
        processes = [_start((*QUICK, "--seed", str(n)), folder) for n in range(number)]
        for process in processes:
            output, _ = process.communicate()
            _demand(process.returncode == 0, output)
            _demand("database is locked" not in output, output)
        client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
        runs = _runs(client)
        _demand(len(runs) == number, f"{len(runs)} runs")
        for run in runs:
            _check_complete(client, run, EPOCHS)
        versions = {int(one.version) for one in client.search_model_versions("name='srcnn-x2'")}
        _demand(versions == set(range(1, number + 1)), f"versions {versions}")
        click.echo(
            f"{number} trainings at once into one SQLite store: {number} finished runs with all "
            f"their epochs, versions 1 to {number}, in {time.monotonic() - start:.0f} s"
        )


@ordeal.command()
@click.option("--seconds", default=60, show_default=True)
def outage(seconds: int) -> None:
    """Take the tracking server away in the middle of a training."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = _folder(temporary, "client")
        port = _free_port()
        os.environ["MLFLOW_TRACKING_URI"] = f"http://127.0.0.1:{port}"
        os.environ["SRCNN_HOME"] = str(folder / "data")
        minutes = ("--max-minutes", str((seconds + 60) / 60))
        with _server(Path(temporary) / "server", port):
            process = _start(("train", *PHOTOS, "--architecture", "9-1-5", *minutes), folder)
            assert process.stdout is not None
            while not (line := process.stdout.readline()).startswith("epoch 3 of "):
                _demand(bool(line), "the training ended early")
        epochs = int(line.split()[3].rstrip(":"))
        click.echo(f"the server is killed after epoch 3 of {epochs}")
        gone = time.monotonic()
        while time.monotonic() - gone < seconds:
            line = process.stdout.readline()
        click.echo(
            f"it starts again after {time.monotonic() - gone:.0f} s; meanwhile {line.strip()}"
        )
        with _server(Path(temporary) / "server", port):
            output, _ = process.communicate()
            _demand(process.returncode == 0, output)
            client = MlflowClient()
            (run,) = _runs(client)
            _check_complete(client, run, epochs)
        click.echo(f"{epochs} epochs, all of them with their metrics and checkpoints; none twice")


@ordeal.command()
@click.option("--number", default=20, show_default=True, help="An even number of promotions.")
@click.option("--seed", default=20, show_default=True)
def promotions(number: int, seed: int) -> None:
    """Promote versions two at a time through one server; the best is champion in the end."""
    with tempfile.TemporaryDirectory() as temporary:
        folder, port = Path(temporary) / "client", _free_port()
        os.environ["MLFLOW_TRACKING_URI"] = f"http://127.0.0.1:{port}"
        os.environ["SRCNN_HOME"] = str(folder / "data")
        (folder / "photos" / "test").mkdir(parents=True)
        for picture in load_dataset("samples").photos("all")[:10]:
            cropped = open_image(picture.path).crop((0, 0, 200, 160))
            cropped.save(folder / "photos" / "test" / f"{Path(picture.name).stem}.png")
        with _server(Path(temporary) / "server", port):
            strengths = _register_versions(folder)
            order = [1 + index % len(strengths) for index in range(number)]
            random.Random(seed).shuffle(order)
            start, codes = time.monotonic(), []
            for pair in zip(order[::2], order[1::2], strict=True):
                processes = [_promote(version, place, folder) for place, version in enumerate(pair)]
                codes += [process.wait() for process in processes]
            _demand(set(codes) == {0, 1}, f"exit codes {codes}")
            model = MlflowClient().get_registered_model("srcnn-x2")
            line = json.loads(model.tags["champions"])
            _demand(model.aliases["champion"] == str(line[-1]), f"{model.aliases}, {line}")
            better = [strengths[version - 1] for version in line]
            _demand(better == sorted(set(better)), f"the line {line} went down: {better}")
            _demand(better[-1] == max(strengths), f"the champion is version {line[-1]}")
            _demand(list(model.tags) == ["champions"], f"left behind: {model.tags}")
        click.echo(
            f"{number} promotions of {len(strengths)} versions, two at a time, in "
            f"{time.monotonic() - start:.0f} s: {codes.count(0)} passed, each better than the one "
            f"it replaced (versions {line}), and the best is champion"
        )


@ordeal.command()
@click.option("--number", default=200, show_default=True)
@click.option("--seed", default=0, show_default=True)
def trainings(number: int, seed: int) -> None:
    """Train for moments with random settings; nothing is below bicubic without a warning."""
    draw, start = random.Random(seed), time.monotonic()
    ends: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as temporary:
        folder = _folder(temporary, "trainings")
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        with chdir(folder):
            for place in range(number):
                request = _random_request(draw)
                ends[_train_and_check(request)] += 1
                if (place + 1) % 10 == 0:
                    click.echo(f"{place + 1} of {number}: {dict(ends)}")
    told = ", ".join(f"{count} {end}" for end, count in sorted(ends.items()))
    click.echo(f"{number} trainings in {time.monotonic() - start:.0f} s: {told}")


def _random_request(draw: random.Random) -> TrainRequest:
    minutes = draw.choice([None, 0.005, 0.02, 0.05])
    settings = TrainingSettings(
        architecture=draw.choice(("9-5-5", "9-1-5", "9-1-1-5:32-16-16")),
        epochs=draw.randint(1, 3),
        batch_size=draw.choice([1, 4, 16, 64]),
        lr=10 ** draw.uniform(-5, -1.5),
        last_layer_lr_factor=draw.choice([0.1, 1.0]),
        optimizer=draw.choice(choices.OPTIMIZERS),
        schedule=draw.choice(choices.SCHEDULES),
        gradient_clip=draw.choice([None, 0.1]),
        residual=draw.random() < 2 / 3,
        padding=draw.choice(PADDINGS),
        initialization=draw.choice(choices.INITIALIZATIONS),
        precondition=draw.choice([True, False]),
        sampling=draw.choice(choices.SAMPLINGS),
        loss=draw.choice(choices.LOSSES),
        augment=draw.choice([True, False]),
        ema_decay=draw.choice([None, 0.5, 0.999]),
        max_minutes=minutes,
        seed=draw.randrange(1000),
    )
    # So large a stride that an epoch takes moments.
    return TrainRequest(draw.choice([2, 3, 4]), "photos", 33, 20, draw.randint(1, 4), settings)


def _train_and_check(request: TrainRequest) -> str:
    """Train, and hold what was registered against bicubic; gives how it ended."""
    name, client = registry.model_name(request.scale), MlflowClient()
    try:
        trained = train(request, "cpu")
    except TrainingError as error:
        _demand("the training has diverged" in str(error), f"{request}: {error}")
        return "diverged, told, and registered nothing"
    gain, what = trained.validation.psnr_gain, f"{request}: {trained}"
    metrics = mlflow.get_run(trained.run_id).data.metrics
    warned = WARNING in client.get_model_version(name, str(trained.version)).tags
    # Sums of the same numbers in another order.
    _demand(gain > -1e-9 or not request.settings.residual, f"below bicubic, {what}")
    _demand(gain > 0 or warned, f"no warning, {what}")
    _demand(not (warned and gain > 1e-9), f"a warning without reason, {what}")
    if metrics["best_epoch"] == 0:
        return "the untouched network, with a warning"
    return "above bicubic" if gain > 0 else "below bicubic, without residual, with a warning"


def _register_versions(folder: Path) -> list[float]:
    """Register shipped networks by how much of their correction they make."""
    # Far enough apart for the gate to tell neighbours.
    strengths = [0.2, 0.65, 0.15, 0.35, 0.3, 0.5, 0.25, 0.1, 0.4, 0.05]
    with mlflow.start_run():
        for strength in strengths:
            network = onnx.load(shipped_network(2))
            for constant in network.graph.initializer:
                if constant.name.startswith("conv3."):
                    scaled = numpy_helper.to_array(constant) * np.float32(strength)
                    constant.CopyFrom(numpy_helper.from_array(scaled, constant.name))
            onnx.save(network, folder / registry.NETWORK_FILE)
            registry.register(2, folder / registry.NETWORK_FILE, {}, alias=None)
    return strengths


def _promote(version: int, place: int, folder: Path) -> subprocess.Popen[bytes]:
    """Promote on a machine of its own, for all that the process can see."""
    own = folder / f"machine {place}"
    own.mkdir(exist_ok=True)
    code = (
        f"import socket; socket.gethostname = lambda: 'machine {place}'\n"
        "from srcnn_mlflow.cli import main; main()"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, "promote", *PHOTOS, "--version", str(version)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(own)},
        stdout=subprocess.DEVNULL,
    )


def _folder(parent: str, name: str) -> Path:
    """A folder with photographs small enough to train on in seconds."""
    folder = Path(parent) / name
    samples = load_dataset("samples")
    for split, count in (("train", 4), ("valid", 2), ("test", 3)):
        photos = folder / "photos" / split
        photos.mkdir(parents=True)
        for photo in samples.photos(split)[:count]:
            picture = open_image(photo.path)
            picture.crop((0, 0, 200, 160)).save(photos / f"{Path(photo.name).stem}.png")
    return folder


def _start(arguments: tuple[str, ...], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "srcnn_mlflow", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _finish(name: str, folder: Path) -> float:
    """Run a command to its end; gives the seconds that took."""
    start = time.monotonic()
    process = _start(COMMANDS[name], folder)
    output, _ = process.communicate()
    _demand(process.returncode in (0, 1) if name == "promote" else process.returncode == 0, output)
    return time.monotonic() - start


def _kill(name: str, folder: Path, moment: float) -> bool:
    """Kill a command after so many seconds; gives whether it was still at work."""
    process = _start(COMMANDS[name], folder)
    try:
        process.communicate(timeout=moment)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return True
    return False


def _check_recovered(folder: Path, reference: Path) -> None:
    tidied = _start(("tidy",), folder)
    tidied.communicate()
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    running = _runs(client, "attributes.status = 'RUNNING'")
    _demand(not running, f"{len(running)} runs are left RUNNING")
    _demand(not list(folder.glob("data/**/*.partial")), "a half-written file is left")
    champion = client.get_model_version_by_alias("srcnn-x2", "champion")
    _demand(champion.tags["verdict"].startswith("promoted"), f"champion {champion.version}")
    for pattern in ("data/prepared/*.h5", "mlruns/**/artifacts/network.onnx"):
        expected, found = _digests(reference, pattern), _digests(folder, pattern)
        _demand(bool(found) and found == expected, f"{pattern} differs from the undisturbed one")


def _digests(folder: Path, pattern: str) -> set[str]:
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob(pattern)}


def _check_complete(client: MlflowClient, run: Run, epochs: int) -> None:
    run_id = run.info.run_id
    _demand(run.info.status == "FINISHED", f"run {run_id} is {run.info.status}")
    for metric in ("train_loss", "val_psnr", "lr", "epoch_seconds", "patches_per_second"):
        steps = [point.step for point in client.get_metric_history(run_id, metric)]
        _demand(steps == list(range(1, epochs + 1)), f"{metric} has the epochs {steps}")
    files = {Path(file.path).name for file in client.list_artifacts(run_id, "checkpoint")}
    wanted = {"best.safetensors", "state-odd.safetensors", "state-even.safetensors"}
    _demand(files == wanted, f"run {run_id} has the checkpoints {files}")
    shown = {
        int(Path(file.path).name.split("+")[2]) for file in client.list_artifacts(run_id, "images")
    }
    wanted_pictures = {epoch for epoch in range(1, epochs + 1) if is_shown(epoch, epochs)}
    _demand(shown == wanted_pictures, f"run {run_id} has pictures of the epochs {shown}")


@contextmanager
def _server(folder: Path, port: int) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [
            *(Path(sys.executable).with_name("mlflow"), "server", "--port", str(port)),
            *("--workers", "1", "--backend-store-uri", "sqlite:///runs.db"),
            *("--artifacts-destination", "artifacts"),
        ],
        cwd=folder,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except OSError:
                _demand(process.poll() is None, "the tracking server does not start")
                time.sleep(0.5)
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _runs(client: MlflowClient, wanted: str = "") -> list[Run]:
    """Those that a filter finds in any experiment."""
    experiments = [one.experiment_id for one in client.search_experiments()]
    return list(client.search_runs(experiments, wanted))


def _demand(holds: bool, otherwise: str) -> None:
    if not holds:
        raise click.ClickException(otherwise)


if __name__ == "__main__":
    ordeal()
