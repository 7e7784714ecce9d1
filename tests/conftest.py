"""What several test files need: pictures made on the spot, and the shared image sets."""

import io
import logging
import os
import pkgutil
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import (
    AbstractContextManager,
    closing,
    contextmanager,
    redirect_stderr,
    redirect_stdout,
)
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import PIPE
from typing import TYPE_CHECKING, Any, NoReturn

import click
import hypothesis
import numpy as np
import pytest
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Run
from PIL import Image

from srcnn_mlflow import cli, commands
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.tracking import judge
from tests.nursery import Forked, Nursery

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Fixtures that stand elsewhere.
pytest_plugins = ["tests.postgres"]

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
SHARED = ROOT.parent / "shared" / "data"

# No test may speak to a tracking server of the person who runs it.
for _name in (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_REGISTRY_URI",
    "MLFLOW_RUN_ID",
    "MLFLOW_EXPERIMENT_NAME",
    "MLFLOW_EXPERIMENT_ID",
    "SRCNN_HOME",
):
    os.environ.pop(_name, None)
os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
# Seven processes of a server, each of which takes seconds to start, for jobs that nothing here has.
os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"

# How long an example takes says more of the machine's other work than of the code.
hypothesis.settings.register_profile(
    "tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("tests")

# Commands that run beside a test, or are to be killed, are copies of this process.
COMMANDS = Nursery(
    *("srcnn_mlflow.cli", "mlflow.pyfunc.model", "mlflow.cli", "mlflow.server.handlers"),
    *(found.name for found in pkgutil.iter_modules(commands.__path__, "srcnn_mlflow.commands.")),
    path=ROOT,
)

# What takes minutes goes first, so that no process is left with it at the end.
LONGEST = (
    *("tests/journeys/test_project.py", "tests/training/test_distributed.py", "tests/journeys/"),
    *("tests/commands/", "tests/serving/", "tests/tracking/", "tests/training/"),
    "tests/test_parameters.py",
)


def context_of(name: str, arguments: Sequence[str]) -> click.Context:
    """What a command makes of its arguments, below the program, whose settings it keeps."""
    program = click.Context(cli.cli, **cli.cli.context_settings)
    return cli.cli.commands[name].make_context(name, list(arguments), parent=program)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the files with the longest tests begin; journeys, and what needs a browser, are slow."""

    def place(item: pytest.Item) -> int:
        return next(
            (number for number, start in enumerate(LONGEST) if item.nodeid.startswith(start)),
            len(LONGEST),
        )

    items.sort(key=place)
    for item in items:
        in_browser = "browser" in getattr(item, "fixturenames", ())
        if in_browser or item.nodeid.startswith("tests/journeys/"):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def no_digests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every test start without pictures that are known already."""
    monkeypatch.setattr("srcnn_mlflow.pictures.photos.DIGESTS", tmp_path / "digests.json")


@pytest.fixture(scope="session", autouse=True)
def judged_at_once() -> Iterator[None]:
    """Let no judging process of this one import MLflow anew; those of other commands do."""
    nursery = Nursery("mlflow.pyfunc", "mlflow.pyfunc.model", "pandas", "onnxruntime", "PIL.Image")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judge, "Popen", nursery.start)
        yield
    nursery.close()
    COMMANDS.close()


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables and nothing in them, made once for all processes."""
    # Beside the folders that these have to themselves.
    shared_by_all = tmp_path_factory.getbasetemp().parent
    path = shared_by_all / "empty store" / "mlflow.db"
    with FileLock(f"{shared_by_all}/empty-store.lock"):
        if not path.exists():
            path.parent.mkdir()
            client = MlflowClient(f"sqlite:///{path.with_name('new.db')}")
            client.search_experiments(max_results=1)
            path.with_name("new.db").rename(path)
    return path


def put_store(empty_store: Path, folder: Path) -> str:
    """Copy the empty store into a folder, which keeps its artifacts; gives its address."""
    shutil.copyfile(empty_store, folder / "mlflow.db")
    with closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
        database.execute(
            "UPDATE experiments SET artifact_location = ? || experiment_id", (f"{folder}/mlruns/",)
        )
    return f"sqlite:///{folder}/mlflow.db"


def runs_of(client: MlflowClient, wanted: str = "") -> list[Run]:
    """The runs of a store that a filter finds, in any experiment; the last begun first."""
    experiments = [one.experiment_id for one in client.search_experiments()]
    return list(client.search_runs(experiments, wanted, order_by=["attributes.start_time DESC"]))


@contextmanager
def listener(hear: Callable[[str], object]) -> Iterator[None]:
    """Call a function with every message that the package has for a person."""

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            hear(record.getMessage())

    handler, logger = Ear(), logging.getLogger("srcnn_mlflow")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What the package has told a person so far, a message an item."""
    lines: list[str] = []
    with listener(lines.append):
        yield lines


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """The folder of a shared image set; skips the test where it is absent."""

    def find(name: str) -> Path:
        folder = SHARED / name
        if not folder.is_dir():
            pytest.skip(f"needs the image set {name} in {folder}")
        return folder

    return find


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """A headless Chromium; skips the test where it or playwright is absent.

    With SRCNN_REQUIRE_BROWSER set, the test fails instead.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        without("needs the package playwright", "BROWSER")
    found = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
    program = next(filter(None, found), None)
    if program is None:
        without("needs chromium, chromium-browser or google-chrome on the PATH", "BROWSER")
    with sync_playwright() as playwright:
        # Containers often forbid Chromium the namespaces that its own sandbox is made of.
        launched = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield launched
        launched.close()


def without(reason: str, what: str) -> NoReturn:
    """Skip a test that needs what is not installed, or let it fail where that is required.

    Args:
        reason: what is needed.
        what: BROWSER or SERVERS, the end of the name of the variable that requires it.
    """
    if os.environ.get(f"SRCNN_REQUIRE_{what}"):
        pytest.fail(reason)
    pytest.skip(reason)


def sampled(cases: Iterable[Any], usual: int = 1) -> list[Any]:
    """Cases of a test, of which all but the first are left to `make exhaustive`.

    Args:
        cases: what `pytest.mark.parametrize` takes, each a value or a tuple of values.
        usual: how many are in every run.
    """
    return [
        pytest.param(
            *(case if isinstance(case, tuple) else (case,)),
            marks=() if number < usual else pytest.mark.exhaustive,
        )
        for number, case in enumerate(cases)
    ]


def textured_pixels(height: int, width: int, seed: int) -> np.ndarray:
    """A colour picture with edges and smooth parts, uint8 of shape (height, width, 3)."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (max(2, height // 12), max(2, width // 12), 3), np.uint8)
    enlarged = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    pixels = np.asarray(enlarged).astype(np.int16)
    rows, columns = np.mgrid[0:height, 0:width]
    stripes = 40 * (((rows + 2 * columns) // 7) % 2)
    textured: np.ndarray = np.clip(pixels + stripes[..., None], 0, 255).astype(np.uint8)
    return textured


def write_crops(folder: Path, side: int, **counts: int) -> None:
    """Squares out of the middle of photographs, by split; all different.

    Args:
        folder: gets a folder for each split.
        side: of the squares, in pixels.
        counts: how many squares of each of `train`, `valid` and `test`.
    """
    samples = load_dataset("samples")
    for split, count in counts.items():
        (folder / split).mkdir(parents=True)
        photos = samples.photos(split)
        for number in range(count):
            photo, place = photos[number % len(photos)], number // len(photos)
            with Image.open(photo.path) as image:
                left, top = image.width // 2 - side * place, image.height // 2 - side // 2
                square = image.crop((left, top, left + side, top + side))
            square.save(folder / split / f"{photo.path.stem}{place}.png")


@pytest.fixture
def photo_folder(tmp_path: Path) -> Path:
    """A folder split into four training, two validation and three test pictures."""
    return textured_photos(tmp_path)


def textured_photos(parent: Path) -> Path:
    """Make such a folder below another one."""
    folder = parent / "photos"
    for split, count, first in (("train", 4, 0), ("valid", 2, 10), ("test", 3, 20)):
        (folder / split).mkdir(parents=True)
        for number in range(count):
            pixels = textured_pixels(66 + 5 * number, 80 + number, first + number)
            Image.fromarray(pixels).save(folder / split / f"{split}{number}.png")
    return folder


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no write of this process make a file larger than this many bytes, as a full disk would.

    Python ignores the signal that comes with it, so that a write raises an OSError.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def run_command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run `python -m srcnn_mlflow` with the checkout's code, in a folder of its own."""
    return subprocess.run(
        [sys.executable, "-m", "srcnn_mlflow", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        check=False,
    )


def start_command(
    *arguments: str, cwd: Path, environment: Mapping[str, str] | None = None, **pipes: Any
) -> Forked:
    """Start the same without waiting for its end, in a process that has imported everything.

    Args:
        arguments: of `python -m srcnn_mlflow`.
        cwd: where it runs.
        environment: with which it runs; None for that of the test.
        pipes: as for `subprocess.Popen`.
    """
    command = (sys.executable, "-m", "srcnn_mlflow", *arguments)
    return COMMANDS.start(command, cwd=cwd, env=environment, **pipes)


def run_here(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The same in this process, which has imported everything already.

    Where no other store is set, it takes the one in the folder.
    """
    out, errors, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        if "MLFLOW_TRACKING_URI" not in os.environ:
            patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{cwd}/mlflow.db")
        patch.setattr(sys, "argv", ["srcnn-mlflow", *arguments])
        with redirect_stdout(out), redirect_stderr(errors):
            try:
                cli.main()
            except SystemExit as ended:
                code = int(ended.code or 0)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), errors.getvalue())


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def answered_by(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Run a server in this process until the block ends; gives its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


# MLflow's command, but that `ui` and `server` become uvicorn, which would import all once more.
_MLFLOW = """
import os, runpy, sys
import mlflow.server
from mlflow.cli import cli

def become_uvicorn(command, extra_env, **_):
    os.environ.update(extra_env)
    for name in [name for name in sys.modules if name.startswith("mlflow.server")]:
        del sys.modules[name]
    sys.argv = command[2:]
    runpy.run_module("uvicorn", run_name="__main__", alter_sys=True)

os.setsid()
mlflow.server._exec_cmd = become_uvicorn
cli(prog_name="mlflow")
"""


def run_mlflow(
    *words: str | Path, cwd: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run `mlflow`, itself a copy of a process; what it starts are programs of their own."""
    command = (sys.executable, "-c", _MLFLOW, *map(str, words))
    process = COMMANDS.start(command, cwd=cwd, env=environment, stdout=PIPE, stderr=PIPE)
    output, errors = process.communicate()
    return subprocess.CompletedProcess(command, process.wait(), output, errors)


@contextmanager
def http_server(
    *words: str | Path, cwd: Path, environment: Mapping[str, str], port: int | None = None
) -> Iterator[str]:
    """Run a server of MLflow until the block ends; gives its address.

    Args:
        words: of `mlflow`, of which `PORT` is replaced by the number of the port.
        cwd: where it runs.
        environment: with which it runs.
        port: a free one is taken where none is given.
    """
    number = str(port or free_port())
    command = [number if word == "PORT" else str(word) for word in words]
    process = COMMANDS.start((sys.executable, "-c", _MLFLOW, *command), cwd=cwd, env=environment)
    address = f"http://127.0.0.1:{number}"
    try:
        for _ in range(1200):
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        else:
            pytest.fail(f"mlflow {words[0]} did not start within two minutes")
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            # A server waits for the end of what a client, perhaps a halted one, has begun to send.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def mlflow_server(folder: Path, port: int | None = None) -> AbstractContextManager[str]:
    """A tracking server with artifacts that pass through it, in a folder that clients know not."""
    folder.mkdir(exist_ok=True)
    return http_server(
        *("server", "--port", "PORT", "--workers", "1"),
        *("--backend-store-uri", "sqlite:///runs.db", "--artifacts-destination", "artifacts"),
        cwd=folder,
        environment=dict(os.environ),
        port=port,
    )
