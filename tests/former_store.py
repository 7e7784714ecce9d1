"""A registry as the code of before the wings made it: `python -m tests.former_store FOLDER`.

The package of that commit is taken from the history, and registers a network that it shipped.
"""

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

from tests.conftest import ROOT

# The last commit with all modules in one folder.
COMMIT = "5ee8cfe85f44"

# Of x2, in the folder of a former store.
FORMER_NETWORK = "code of then/srcnn_mlflow/weights/srcnn-x2.onnx"

_REGISTER = """
from pathlib import Path
import mlflow, srcnn_mlflow
from srcnn_mlflow import registry
network = Path(srcnn_mlflow.__file__).parent / "weights" / "srcnn-x2.onnx"
copy = Path(registry.NETWORK_FILE)
copy.write_bytes(network.read_bytes())
with mlflow.start_run():
    registry.register(2, copy, {"architecture": "9-1-5"})
"""


def is_in_history() -> bool:
    """Whether the commit can be had; a shallow clone lacks it."""
    command = ["git", "-C", str(ROOT), "cat-file", "-e", f"{COMMIT}^{{commit}}"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def make_former_store(folder: Path) -> None:
    """Make `mlflow.db` in a folder, with version 1 of srcnn-x2 as challenger."""
    archive = subprocess.run(
        ["git", "-C", str(ROOT), "archive", COMMIT, "srcnn_mlflow"], capture_output=True, check=True
    )
    code = folder / "code of then"
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as file:
        file.extractall(code, filter="data")
    subprocess.run(
        [sys.executable, "-c", _REGISTER],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(code),
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        },
        capture_output=True,
        check=True,
    )


if __name__ == "__main__":
    make_former_store(Path(sys.argv[1]).absolute())
