"""A sweep and a study in PostgreSQL: two processes share it, one is killed, and it goes on."""

import time
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from tests.commands import test_study as study_test
from tests.commands import test_sweep as sweep_test
from tests.conftest import run_here
from tests.nursery import Forked
from tests.postgres import PASSWORD, Postgres

pytestmark = pytest.mark.slow

# The entry point of the nested runs, how many there are to be, and how the command is given.
COMMANDS = {
    "sweep": ("trial", 3, ("--architecture", "9-1-5", "--trials", "3", "--epochs", "12")),
    "study": (
        "study-training",
        4,
        (
            "--name",
            "tiny.toml",
            "--test",
            "photos",
            "--seeds",
            "2",
            "--epochs",
            "8",
            "--scale",
            "2",
        ),
    ),
}


def runs(entry_point: str) -> list[Run]:
    return mlflow.search_runs(
        search_all_experiments=True,
        filter_string=f"tags.entry_point = '{entry_point}'",
        output_format="list",
    )


def steps(run: Run) -> int:
    return len(MlflowClient().get_metric_history(run.info.run_id, "val_psnr"))


@pytest.mark.exhaustive
@pytest.mark.parametrize("command", ["sweep", "study"])
def test_what_a_killed_process_leaves_is_done_once(
    command: str,
    postgres: Postgres,
    photo_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert photo_folder.is_dir()
    nested, wanted, options = COMMANDS[command]
    (tmp_path / "tiny.toml").write_text(study_test.FILE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SRCNN_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", postgres.new_database(with_tables=True))
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    storage = postgres.new_database().replace(f":{PASSWORD}@", "@")
    given = ("--dataset", "photos", *options, "--storage", storage)
    start = {"sweep": sweep_test.start, "study": study_test.start}[command]
    named = dict(zip((word[2:] for word in given[::2]), given[1::2], strict=True))
    killed, other = start(tmp_path, **named), start(tmp_path, **named)
    try:
        wait_for_both(nested, killed)
        killed.kill()
        killed.communicate()
        output, errors = other.communicate(timeout=240)
        assert other.returncode == 0, errors
    finally:
        for process in (killed, other):
            process.kill()
    again = run_here(command, *given, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert PASSWORD not in output + errors + again.stdout + again.stderr
    done = runs(nested)
    assert len(done) == wanted
    assert {run.info.status for run in done} == {"FINISHED"}
    assert max(map(steps, done)) <= int(named["epochs"]) + 1, "a training began anew"
    assert "continued in run" in output + again.stdout


def wait_for_both(nested: str, process: Forked) -> None:
    """Until two trainings have an epoch behind them."""
    deadline = time.monotonic() + 240
    while len([run for run in runs(nested) if steps(run) > 1]) < 2:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.1)
