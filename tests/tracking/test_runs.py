"""Runs in a store that several processes use at once."""

import os
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.slow

TRACK = (
    "import sys, time\n"
    "from srcnn_mlflow.tracking.runs import track\n"
    "time.sleep(max(0.0, float(sys.argv[2]) - time.time()))\n"
    "with track('train', 2, {'seed': sys.argv[1]}, 'together'):\n"
    "    pass\n"
)


def test_processes_that_start_together_create_one_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All of them have imported MLflow by then, and meet at the empty folder.
    moment = str(time.time() + 10)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", TRACK, str(number), moment],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    errors = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, errors
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    runs = mlflow.search_runs(output_format="list")
    assert {run.data.params["seed"] for run in runs} == {"0", "1", "2", "3"}
    assert {run.info.status for run in runs} == {"FINISHED"}
