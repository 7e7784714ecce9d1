"""Paths are meant from the folder in which the command was called, under `mlflow run` too."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from srcnn_mlflow.machine.callers_folder import given_path, given_source
from tests.conftest import ROOT

ASKS = f"{sys.executable} -c 'from srcnn_mlflow.machine.callers_folder import *; print({{}})'"
# As MLflow starts a command: through a shell, in the project's folder, with the id of a run.
STARTER = """
import os, subprocess, sys
command, project, run_id = sys.argv[1:]
added = {"MLFLOW_RUN_ID": run_id} if run_id else {}
subprocess.run(["bash", "-c", command], cwd=project, env={**os.environ, **added}, check=True)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "the project"
    folder.mkdir()
    (folder / "MLproject").touch()
    (folder / "in project").touch()
    return folder


@pytest.fixture
def called_from(tmp_path: Path) -> Path:
    folder = tmp_path / "the user"
    folder.mkdir()
    (folder / "a.png").touch()
    return folder


def asked(
    expression: str, called_from: Path, project: Path, run_id: str = "1", around: str = "{}"
) -> str:
    """What an expression gives in a process that `mlflow run` has started."""
    command = around.format(ASKS.format(expression))
    done = subprocess.run(
        [sys.executable, "-c", STARTER, command, str(project), run_id],
        cwd=called_from,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize("around", ["{}", "true && {}", "{}; true", 'bash -c "{}"'])
def test_the_caller_of_a_project_is_found(called_from: Path, project: Path, around: str) -> None:
    assert asked("callers_folder()", called_from, project, around=around) == str(called_from)


def test_without_a_project_it_is_the_present_folder(
    called_from: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asked("callers_folder()", called_from, project, run_id="") == str(project)
    (project / "MLproject").unlink()
    assert asked("callers_folder()", called_from, project) == str(project)
    monkeypatch.chdir(called_from)
    assert given_path("b.png") == given_source("b.png") == called_from / "b.png"


def test_a_source_is_looked_for_where_it_is_seen_and_then_in_the_project(
    called_from: Path, project: Path
) -> None:
    expected = {
        'given_source("a.png")': called_from / "a.png",
        'given_source("in project")': project / "in project",
        'given_source("nowhere")': called_from / "nowhere",
        'given_source("../the user/a.png")': called_from / "../the user/a.png",
        'given_path("in project")': called_from / "in project",
    }
    found = asked(f"*[{', '.join(expected)}], sep='\\n'".replace("'", '"'), called_from, project)
    assert found.splitlines() == [str(path) for path in expected.values()]


def test_homes_and_absolute_paths_are_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert given_path("~/photos") == tmp_path / "photos"
    assert given_path("/x/y") == given_source("/x/y") == Path("/x/y")
    # Nobody of this name has a home.
    assert given_path("~no-such-user/photos") == tmp_path / "~no-such-user" / "photos"
