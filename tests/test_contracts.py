"""The order of the wings is held: a wrong import is found, whoever puts it in."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import BIN, ROOT


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "lint-imports", "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package and its contracts, to be spoiled."""
    ignored = shutil.ignore_patterns("__pycache__", "weights")
    shutil.copytree(ROOT / "srcnn_mlflow", tmp_path / "srcnn_mlflow", ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        ("pictures/photos.py", "from srcnn_mlflow.tracking import runs", "A wing imports only"),
        ("network/upscaler.py", "from srcnn_mlflow.measuring import metrics", "A wing imports"),
        ("machine/text.py", "from srcnn_mlflow.cli import cli", "A wing imports only"),
        ("commands/results.py", "import torch", "Only training imports torch"),
        ("showing/figures.py", "import mlflow", "Only tracking imports MLflow"),
        ("tracking/served_model.py", "from srcnn_mlflow.training import fit", "Serving needs no"),
        ("commands/main.py", "from srcnn_mlflow.former_names import errors", "Nothing of the"),
    ],
)
def test_a_wrong_import_is_found(copy: Path, file: str, line: str, broken: str) -> None:
    with (copy / "srcnn_mlflow" / file).open("a", encoding="utf-8") as spoiled:
        spoiled.write(f"\n{line}\n")
    result = lint(copy)
    assert result.returncode != 0
    found = [text for text in result.stdout.splitlines() if text.endswith("BROKEN")]
    assert any(text.startswith(broken) for text in found), result.stdout


def test_a_room_outside_the_wings_is_found(copy: Path) -> None:
    (copy / "srcnn_mlflow" / "helpers.py").touch()
    result = lint(copy)
    assert result.returncode != 0
    assert "helpers" in result.stdout


def test_the_package_as_it_is_keeps_to_its_order(copy: Path) -> None:
    result = lint(copy)
    assert result.returncode == 0, result.stdout
