"""Full disks, read-only disks and missing permissions, met by the commands themselves."""

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from PIL import Image
from sqlalchemy.exc import OperationalError

from srcnn_mlflow import cli
from srcnn_mlflow.machine.errors import WriteError
from srcnn_mlflow.machine.faults import explain
from srcnn_mlflow.tracking import run_search, runs
from srcnn_mlflow.training.checkpoint import load_checkpoint
from tests.conftest import (
    largest_file,
    run_command,
    runs_of,
    sampled,
    start_command,
    textured_pixels,
)

Invoke = Callable[..., tuple[int, str]]
NOBODY = 65534


def mount(*arguments: str | Path) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"needs the right to mount a small disk: {done.stderr.strip()}")


@contextmanager
def mounted(folder: Path, *arguments: str | Path) -> Iterator[Path]:
    """A file system of this test's own, in a folder of its own."""
    if sys.platform != "linux":
        pytest.skip("needs tmpfs")
    folder.mkdir()
    mount(*arguments, folder)
    try:
        yield folder
    finally:
        os.chdir("/")
        subprocess.run(["umount", "--lazy", folder], check=True)


def write_photos(folder: Path) -> Path:
    for split, count, first in (("train", 2, 0), ("valid", 1, 10), ("test", 1, 20)):
        (folder / split).mkdir(parents=True)
        for number in range(count):
            pixels = textured_pixels(66, 80, first + number)
            Image.fromarray(pixels).save(folder / split / f"{split}{number}.png")
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("data") / "photos")


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Invoke:
    """Run a command in this process and a folder; gives exit code and errors. Nothing escapes."""

    def call(folder: Path, *arguments: str | Path) -> tuple[int, str]:
        monkeypatch.chdir(folder)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        monkeypatch.setattr("srcnn_mlflow.pictures.photos.DIGESTS", Path("digests.json"))
        monkeypatch.setattr(sys, "argv", ["srcnn-mlflow", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        errors = capfd.readouterr().err
        assert "Traceback" not in errors
        return int(ended.value.code or 0), errors

    return call


def error_line(errors: str) -> str:
    (line,) = [line for line in errors.splitlines() if line.startswith("error: ")]
    return line


def train(photos: Path) -> tuple[str | Path, ...]:
    return ("train", "--dataset", photos, "--epochs", "1", "--architecture", "9-1-5")


@contextmanager
def filled(disk: Path, left: int = 0) -> Iterator[None]:
    """Leave so many bytes of a disk free."""
    filler = disk / "filler"
    with filler.open("wb") as file:
        about = os.statvfs(disk)
        os.posix_fallocate(file.fileno(), 0, about.f_bavail * about.f_frsize - left)
    try:
        yield
    finally:
        filler.unlink()


def files_of(folder: Path) -> set[Path]:
    """All but locks, which stay."""
    return {path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small disk."""
    with mounted(
        tmp_path_factory.mktemp("small") / "disk", "-t", "tmpfs", "-o", "size=24m", "t"
    ) as d:
        yield d


def test_a_full_disk_stops_a_training_which_says_so_and_starts_again(
    disk: Path, photos: Path, invoke: Invoke
) -> None:
    first, _ = invoke(disk, *train(photos))
    assert first == 0
    before = {path: path.read_bytes() for path in disk.glob("mlruns/**/*.safetensors")}
    assert len(before) >= 2
    # Enough for what the database needs, and not for the state.
    largest = max(len(content) for content in before.values())
    with filled(disk, left=max(largest, 120_000)):
        code, errors = invoke(disk, *train(photos))
        free = os.statvfs(disk)
    assert code == 1
    assert "cannot write" in error_line(errors)
    assert "the disk is full (" in error_line(errors)
    assert " kB are needed, and " in error_line(errors)
    assert free.f_bavail > 0
    runs = runs_of(MlflowClient())
    assert [run.info.status for run in runs] == ["FAILED", "FINISHED"]
    assert f"error: {runs[0].data.tags['failure']}" == error_line(errors)
    assert not list(disk.glob("**/*.partial"))
    for path, content in before.items():
        assert path.read_bytes() == content
    for path in disk.glob("mlruns/**/*.safetensors"):
        load_checkpoint(path)
    assert invoke(disk, *train(photos))[0] == 0


@pytest.mark.parametrize("command", ["train", "evaluate", "export", "prepare", "upscale"])
def test_every_command_names_the_file_on_a_full_disk(
    disk: Path, photos: Path, invoke: Invoke, command: str
) -> None:
    if not (disk / "mlflow.db").exists():
        assert invoke(disk, *train(photos))[0] == 0
    picture = photos / "test" / "test0.png"
    arguments: dict[str, tuple[str | Path, ...]] = {
        "train": train(photos),
        "evaluate": ("evaluate", "--dataset", photos),
        "export": ("export", "--model", "challenger"),
        "prepare": ("prepare", "--dataset", photos, "--scale", "3", "--stride", "2"),
        "upscale": ("upscale", "--input", picture, "--model", "shipped", "--output", "up"),
    }
    kilobytes = next(disk.glob("mlruns/**/network.onnx")).stat().st_size // 1000
    named = {
        "train": "mlflow.db: its disk is full",
        "evaluate": "mlflow.db: its disk is full",
        "export": f"exported/srcnn-x2.onnx: the disk is full ({kilobytes} kB are needed, and 0",
        "prepare": "data/prepared, and 0 kB are free; make room",
        "upscale": "up/test0-x2.png: the disk is full",
    }
    before = files_of(disk)
    with filled(disk):
        code, errors = invoke(disk, *arguments[command])
    assert code == 1
    assert named[command] in error_line(errors)
    assert not list(disk.glob("**/*.partial"))
    assert files_of(disk) == before
    assert invoke(disk, *arguments[command])[0] == 0


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("train", "mlflow.db.lock: the disk is read-only; make it writable, or work in another"),
        ("prepare", ".lock: the disk is read-only"),
        ("upscale", "up/test0-x2.png: the disk is read-only"),
    ],
)
def test_a_read_only_disk_is_named(
    tmp_path: Path, photos: Path, invoke: Invoke, command: str, named: str
) -> None:
    arguments: dict[str, tuple[str | Path, ...]] = {
        "train": train(photos),
        "prepare": ("prepare", "--dataset", photos),
        "upscale": (
            *("upscale", "--input", photos / "test" / "test0.png"),
            *("--model", "shipped", "--output", "up"),
        ),
    }
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "ro", "t") as folder:
        (code, errors) = invoke(folder, *arguments[command])
    assert code == 1
    assert named in error_line(errors)


@pytest.mark.exhaustive
def test_a_disk_too_small_for_the_database_can_be_made_larger(tmp_path: Path, photos: Path) -> None:
    arguments = ("evaluate", "--dataset", str(photos))
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=300k", "t") as folder:
        full = start_command(*arguments, cwd=folder, stderr=subprocess.PIPE)
        _, errors = full.communicate()
        assert full.returncode == 1
        assert error_line(errors) == (
            "error: cannot use the MLflow database mlflow.db: its disk is full; make room, and "
            "start again"
        )
        assert [path.name for path in folder.iterdir()] == ["mlflow.db.lock"]
        mount("-o", "remount,size=24m", folder)
        again = start_command(*arguments, cwd=folder, stderr=subprocess.PIPE)
        _, errors = again.communicate()
        assert "the registry has no version of srcnn-x2; train one" in error_line(errors)


@contextmanager
def without_privileges() -> Iterator[None]:
    """Be someone whom permissions bind."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("command", ["train", "prepare", "upscale"])
def test_a_folder_without_permission_is_named(invoke: Invoke, command: str) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        photos = write_photos(folder / "photos")
        arguments: dict[str, tuple[str | Path, ...]] = {
            "train": train(photos),
            "prepare": ("prepare", "--dataset", photos),
            "upscale": (
                *("upscale", "--input", photos / "test" / "test0.png", "--model", "shipped"),
                *("--output", folder / "up"),
            ),
        }
        folder.chmod(0o555)
        with without_privileges():
            code, errors = invoke(folder, *arguments[command])
        os.chdir("/")
        folder.chmod(0o755)
        assert code == 1
        assert str(folder) in error_line(errors) or "data/prepared" in error_line(errors)
        assert "no permission; change that (chmod, chown)" in error_line(errors)
        assert [path.name for path in folder.iterdir()] == ["photos"]


def test_a_preparation_whose_writes_fail_ends_in_order(tmp_path: Path, photos: Path) -> None:
    """HDF5 by itself would crash the process when it ends."""
    arguments = ("prepare", "--dataset", str(photos), "--stride", "2")
    with largest_file(30_000):
        failed = run_command(*arguments, cwd=tmp_path)
    assert failed.returncode == 1
    assert ".h5: no file may be so large here; raise the limit" in error_line(failed.stderr)
    assert files_of(tmp_path / "data" / "prepared") == set()
    assert run_command(*arguments, cwd=tmp_path).returncode == 0


def test_a_former_result_outlives_a_failed_one(
    tmp_path: Path, photos: Path, invoke: Invoke
) -> None:
    picture = photos / "test" / "test0.png"
    arguments = ("upscale", "--input", picture, "--model", "shipped", "--output", "up")
    assert invoke(tmp_path, *arguments)[0] == 0
    result = tmp_path / "up" / "test0-x2.png"
    before = result.read_bytes()
    with largest_file(1000):
        code, errors = invoke(tmp_path, *arguments)
    assert code == 1
    assert "up/test0-x2.png: no file may be so large here; raise the limit" in error_line(errors)
    assert result.read_bytes() == before
    assert list(result.parent.iterdir()) == [result]


def test_a_former_artifact_outlives_a_failed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    file = tmp_path / "best.safetensors"
    with runs.track("train", 2, {}, "a run") as run:
        file.write_bytes(b"former")
        runs.log_file(run.info.run_id, file, "checkpoint")
        file.write_bytes(bytes(10_000))
        with (
            largest_file(5000),
            pytest.raises(WriteError, match=r"cannot write .*best\.safetensors"),
        ):
            runs.log_file(run.info.run_id, file, "checkpoint")
        kept = run_search.download(
            run.info.run_id, "checkpoint/best.safetensors", tmp_path / "kept"
        )
        assert kept.read_bytes() == b"former"
        runs.log_file(run.info.run_id, file, "checkpoint")
        kept = run_search.download(
            run.info.run_id, "checkpoint/best.safetensors", tmp_path / "kept"
        )
        assert kept.read_bytes() == bytes(10_000)


def test_a_database_that_is_none_is_named(tmp_path: Path, photos: Path, invoke: Invoke) -> None:
    path = tmp_path / "mlflow.db"
    path.mkdir()
    code, errors = invoke(tmp_path, *train(photos))
    assert code == 1
    assert error_line(errors) == (
        f"error: cannot read or write {path}: a folder has this name; move it away, or give "
        "another name"
    )


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("attempt to write a readonly database", "it or its folder is read-only"),
        ("database or disk is full", "its disk is full; make room"),
        ("unable to open database file", "its folder must exist and be writable"),
        ("file is not a database", "it is damaged; move it away"),
        ("table runs already exists", "its creation was broken off; move it away"),
        ("no such table: runs", "(sqlite3.OperationalError) no such table: runs"),
    ],
)
def test_what_sqlite_says_becomes_one_line(
    said: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    raised = OperationalError("UPDATE runs SET ...", {}, sqlite3.OperationalError(said))
    assert len(str(raised).splitlines()) > 1
    for error in (raised, mlflow.exceptions.MlflowException(str(raised))):
        line = explain(error)
        assert line is not None
        assert "cannot use the MLflow database mlflow.db: " in line
        assert told in line
        assert "\n" not in line


KEPT = "the best epoch before it is kept"


@pytest.mark.parametrize(
    ("optimizer", "residual", "lr", "batch_size", "says", "kept"),
    sampled(
        [
            ("adam", "true", "1000", "4", "of epoch 1, and there is no checkpoint yet", []),
            # The untouched network is better than what this rate makes of it in its first step.
            ("muon", "true", "1e15", "1000", f"of epoch 2, and {KEPT}", [0]),
            ("muon", "false", "1000", "4", "of epoch 1, and there is no checkpoint yet", []),
            # One step an epoch: the first loss is that of the first weights, whatever the rate.
            ("adam", "false", "1e18", "1000", f"of epoch 2, and {KEPT}", [1]),
        ],
    ),
)
def test_a_diverged_training_fails_and_says_why(
    tmp_path: Path,
    photos: Path,
    invoke: Invoke,
    optimizer: str,
    residual: str,
    lr: str,
    batch_size: str,
    says: str,
    kept: list[int],
) -> None:
    code, errors = invoke(
        tmp_path,
        *("train", "--dataset", photos, "--epochs", "3", "--architecture", "9-1-5"),
        *("--optimizer", optimizer, "--residual", residual, "--lr", lr),
        *("--batch-size", batch_size, "--schedule", "constant"),
    )
    assert code == 1
    assert "the training has diverged" in error_line(errors)
    assert says in error_line(errors)
    (run,) = runs_of(MlflowClient())
    assert run.info.status == "FAILED"
    assert f"error: {run.data.tags['failure']}" == error_line(errors)
    assert MlflowClient().search_registered_models() == []
    best = [load_checkpoint(path) for path in tmp_path.glob("mlruns/**/best.safetensors")]
    assert [facts["epoch"] for _, facts in best] == kept


def test_what_is_no_fault_is_not_explained() -> None:
    assert explain(ValueError("a defect")) is None
    assert explain(mlflow.exceptions.MlflowException("No such run")) == "No such run"
