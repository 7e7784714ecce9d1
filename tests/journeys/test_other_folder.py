"""`mlflow run DIR` from another folder: paths are those that the person sees, and told absolute."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from PIL import Image

from tests.conftest import BIN, ROOT, put_store, runs_of, textured_pixels

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


def mlflow_run(project: Path, called_from: Path, entry_point: str, **parameters: Any) -> Run:
    given = [word for key, value in parameters.items() for word in ("-P", f"{key}={value}")]
    return subprocess.run(
        [BIN / "mlflow", "run", project, "--env-manager", "local", "-e", entry_point, *given],
        cwd=called_from,
        env={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )


def upscale(project: Path, called_from: Path, **parameters: Any) -> Run:
    return mlflow_run(project, called_from, "upscale", model="shipped", **parameters)


def test_pictures_are_read_and_written_where_the_person_stands(
    project: Path, called_from: Path
) -> None:
    result = upscale(project, called_from, input="a.png")
    assert result.returncode == 0, result.stderr
    assert f"wrote 1 file(s) to {called_from}/upscaled with" in result.stdout
    result = upscale(project, called_from, input="../the user/a.png", output="deep/out")
    assert result.returncode == 0, result.stderr
    assert f"wrote 1 file(s) to {called_from}/deep/out with" in result.stdout
    for folder in ("upscaled", "deep/out"):
        assert Image.open(called_from / folder / "a-x2.png").size == (60, 40)
    assert not (project / "upscaled").exists()
    assert not (project / "deep").exists()


def test_what_is_not_there_is_told_by_its_whole_path(project: Path, called_from: Path) -> None:
    result = upscale(project, called_from, input="none.png")
    assert result.returncode == 1
    assert f"error: input {called_from}/none.png does not exist" in result.stderr
    result = upscale(project, called_from, input="a.png", output="")
    assert result.returncode == 1
    assert "error: Invalid value for '--output': '' is empty." in result.stderr
    runs = runs_of(MlflowClient(f"sqlite:///{called_from}/mlflow.db"))
    assert [run.info.status for run in runs] == ["FAILED"] * 2


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
    assert Path(told.removeprefix("prepared: ")).parent == project / "data" / "prepared"
    result = mlflow_run(project, called_from, "prepare", dataset="inside+none")
    assert f"'none' is not a folder that exists ({called_from}/none)" in result.stderr
