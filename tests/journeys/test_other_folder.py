"""`mlflow run DIR` from another folder: paths are those that the person sees, and told absolute."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from PIL import Image

from srcnn_mlflow.network.shipped import shipped_network
from srcnn_mlflow.tracking import registry
from tests.conftest import (
    BIN,
    ROOT,
    put_store,
    run_here,
    run_mlflow,
    runs_of,
    textured_pixels,
    write_crops,
)

Run = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed") / "the project"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "srcnn_mlflow", folder / "srcnn_mlflow", ignore=ignored)
    for name in ("MLproject", "python_env.yaml"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture
def called_from(tmp_path: Path, empty_store: Path) -> Path:
    folder = tmp_path / "the user"
    folder.mkdir()
    put_store(empty_store, folder)
    Image.fromarray(textured_pixels(20, 30, 1)).save(folder / "a.png")
    return folder


def mlflow_run(project: Path | str, called_from: Path, entry_point: str, **parameters: Any) -> Run:
    given = [word for key, value in parameters.items() for word in ("-P", f"{key}={value}")]
    return run_mlflow(
        *("run", project, "--env-manager", "local", "-e", entry_point, *given),
        cwd=called_from,
        environment={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
    )


def upscale(project: Path, called_from: Path, **parameters: Any) -> Run:
    return mlflow_run(project, called_from, "upscale", model="shipped", **parameters)


def test_pictures_are_read_and_written_where_the_person_stands(
    project: Path, called_from: Path
) -> None:
    result = upscale(project, called_from, input="a.png")
    assert result.returncode == 0, result.stderr
    assert f"wrote 1 picture(s) to {called_from}/upscaled with" in result.stdout
    result = upscale(project, called_from, input="../the user/a.png", output="deep/out")
    assert result.returncode == 0, result.stderr
    assert f"wrote 1 picture(s) to {called_from}/deep/out with" in result.stdout
    for folder in ("upscaled", "deep/out"):
        assert Image.open(called_from / folder / "a-x2.png").size == (60, 40)
    assert not (project / "upscaled").exists()
    assert not (project / "deep").exists()


@pytest.mark.exhaustive
def test_what_is_not_there_is_told_by_its_whole_path(project: Path, called_from: Path) -> None:
    result = upscale(project, called_from, input="none.png")
    assert result.returncode == 1
    assert f"error: input {called_from}/none.png does not exist" in result.stderr
    (run,) = runs_of(MlflowClient(f"sqlite:///{called_from}/mlflow.db"))
    assert run.info.status == "FAILED"


@pytest.mark.exhaustive
def test_a_data_set_is_looked_for_where_the_person_stands_too(
    project: Path, called_from: Path
) -> None:
    for number in range(3):
        pixels = textured_pixels(60, 70, number)
        (called_from / "photos").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(called_from / "photos" / f"{number}.png")
        (project / "inside").mkdir(exist_ok=True)
        Image.fromarray(255 - pixels).save(project / "inside" / f"{number}.png")
    result = mlflow_run(project, called_from, "prepare", dataset="photos+inside")
    assert result.returncode == 0, result.stderr
    assert "data set photos+inside:" in result.stdout
    (told,) = (line for line in result.stdout.splitlines() if line.startswith("prepared: "))
    assert Path(told.removeprefix("prepared: ")).parent == called_from / "data" / "prepared"
    result = mlflow_run(project, called_from, "prepare", dataset="inside+none")
    assert f"'none' is not a folder that exists ({called_from}/none)" in result.stderr


@pytest.fixture
def address(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A git address of the project, which `mlflow run` clones into a folder of `tmp_path`.

    Git is told that the address stands for the folder; by `file://`, MLflow would not clone.
    """
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    git = ("git", "-C", str(project), "-c", "user.name=a", "-c", "user.email=a@example.org")
    # Which an earlier test may have made of it already.
    commit = ("commit", "-q", "--allow-empty", "-m", "all of it")
    for words in (("init", "-q"), ("add", "."), commit):
        subprocess.run([*git, *words], check=True)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.file://{project}.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "https://git.example.org/project")
    return "https://git.example.org/project"


def left_in(folder: Path) -> set[str]:
    """What a command has left in a folder that had the project and nothing else."""
    names = ("data", "mlruns", "mlflow.db", "upscaled")
    return {path.name for name in names for path in folder.glob(f"**/{name}")}


@pytest.mark.exhaustive
def test_work_lies_in_one_place_whatever_a_command_is_started_by(
    project: Path, address: str, called_from: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_crops(called_from / "photos", 66, train=2, valid=1, test=1)
    quick = {"dataset": "photos", "architecture": "9-1-5", "epochs": 1}
    # Which trains, evaluates and promotes.
    done = mlflow_run(address, called_from, "main", **quick)
    assert done.returncode == 0, done.stderr
    assert f"preparing {called_from}/data/prepared/" in done.stdout
    assert f"report.html: {called_from}/mlruns/" in done.stdout
    # As a person may give it; `mlflow run` passes it on to where it starts the command.
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
        searched = mlflow_run(f"file://{project}", called_from, "sweep", trials=1, **quick)
    assert searched.returncode == 0, searched.stderr
    assert f"already prepared: {called_from}/data/prepared/" in searched.stdout
    assert f"sqlite:///{called_from}/data/sweeps/" in searched.stdout
    told = run_here("results", cwd=called_from)
    assert f"{called_from}/mlruns/" in told.stdout
    assert {path.name for path in (called_from / "data").iterdir()} == {
        *("digests.json", "outbox", "prepared", "sweeps")
    }
    assert {path.name for path in called_from.iterdir()} == {
        *("a.png", "photos", "data", "mlruns", "mlflow.db")
    }
    clones = list((called_from.parent / "temporary").glob("tmp*/MLproject"))
    assert len(clones) == 1
    for folder in (project, clones[0].parent):
        assert left_in(folder) == set()


# The other entry points, and how they are given; `benchmark` takes sets that would be fetched.
OTHERS: dict[str, dict[str, Any]] = {
    "evaluate": {"dataset": "photos", "model": "shipped-9-1-5", "results": "results"},
    "compare": {"dataset": "photos", "models": "shipped-9-1-5"},
    "promote": {"dataset": "photos", "version": 1},
    "reproduce": {"dataset": "photos", "architecture": "9-1-5", "epochs": 1},
    "study": {
        **{"name": "tiny.toml", "dataset": "photos", "test": "photos"},
        **{"scale": 2, "seeds": 1, "epochs": 1},
    },
    "score": {"results": "results", "originals": "photos/test", "model": "shipped-9-1-5"},
    "prepare": {"dataset": "photos", "materialize": "true"},
}


@pytest.mark.exhaustive
def test_so_does_that_of_every_other_entry_point(
    project: Path, address: str, called_from: Path
) -> None:
    write_crops(called_from / "photos", 66, train=2, valid=1, test=5)
    (called_from / "tiny.toml").write_text(
        '[[setting]]\nname = "a"\narchitecture = "3-1-3:4-4"\n'
        '[[setting]]\nname = "b"\narchitecture = "3-1-3:8-4"\n'
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{called_from}/mlflow.db")
        patch.chdir(called_from)
        with mlflow.start_run():
            registry.register(2, shipped_network(2, "shipped-9-1-5"), {})
    for entry_point, given in OTHERS.items():
        for of in (str(project), address):
            done = mlflow_run(of, called_from, entry_point, **given)
            # The second promotion is of the champion.
            assert done.returncode in (0, int(entry_point == "promote")), done.stderr
    assert {path.name for path in called_from.iterdir()} == {
        *("a.png", "photos", "tiny.toml", "results", "data", "mlruns", "mlflow.db")
    }
    for folder in (project, *(called_from.parent / "temporary").glob("tmp*")):
        assert left_in(folder) == set()
