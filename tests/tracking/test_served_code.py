"""What a registered version carries: what serving imports, and nothing else."""

import ast
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest

from srcnn_mlflow.network.shipped import shipped_network
from srcnn_mlflow.tracking import registry
from srcnn_mlflow.tracking.served_code import PACKAGE, SERVED_MODEL, copy_served_code, served_files
from tests.conftest import put_store


def test_the_files_are_those_that_are_imported() -> None:
    """Held against what Python itself has loaded, once the served model is imported."""
    code = (
        "import runpy, sys, srcnn_mlflow\n"
        "runpy.run_path(sys.argv[1])\n"
        # Imported where it is asked for.
        "import srcnn_mlflow.network.bfloat16\n"
        "print(*(m.__file__ for n, m in sys.modules.items() if n.startswith('srcnn_mlflow')))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(SERVED_MODEL)],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {Path(name) for name in result.stdout.split()}
    wings = {file for file in imported if file.name == "__init__.py"} - {PACKAGE / "__init__.py"}
    assert imported - wings == served_files()


def test_no_wing_comes_along_that_serving_does_not_need() -> None:
    wings = {file.relative_to(PACKAGE).parts[0] for file in served_files()}
    assert wings == {"__init__.py", "machine", "network", "pictures"}


def test_the_copy_is_the_code_as_it_is(tmp_path: Path) -> None:
    package = copy_served_code(tmp_path)
    assert package == tmp_path / "srcnn_mlflow"
    copied = {file.relative_to(tmp_path) for file in tmp_path.glob("**/*") if file.is_file()}
    assert copied == {file.relative_to(PACKAGE.parent) for file in served_files()}
    for file in copied:
        assert (tmp_path / file).read_bytes() == (PACKAGE.parent / file).read_bytes()
        ast.parse((tmp_path / file).read_text(encoding="utf-8"))


def test_a_version_is_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    with mlflow.start_run():
        network = tmp_path / registry.NETWORK_FILE
        network.write_bytes(shipped_network(2).read_bytes())
        registry.register(2, network, {})
    found = registry.find_model("challenger", 2)
    files = [file for file in found.folder.glob("**/*") if file.is_file() and file != found.network]
    assert len(files) <= 26
    assert sum(file.stat().st_size for file in files) <= 140_000
