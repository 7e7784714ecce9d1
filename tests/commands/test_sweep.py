"""`sweep` as it is used: begun, killed, started again, and joined by a second process."""

import json
import shlex
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE

import mlflow
import optuna
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from optuna.trial import FrozenTrial, TrialState
from PIL import Image

from srcnn_mlflow import cli
from srcnn_mlflow.commands.sweep import SweepRequest, sweep
from srcnn_mlflow.commands.tidy import tidy
from srcnn_mlflow.machine.errors import SweepError, TrainingError
from srcnn_mlflow.tracking.active_run import DESCRIPTION
from srcnn_mlflow.tracking.search import Search
from srcnn_mlflow.training.search_space import SEARCH_SPACE, recipe, settings
from tests.conftest import put_store, start_command, textured_pixels
from tests.nursery import Forked

pytestmark = pytest.mark.slow

PATIENCE = 240


@pytest.fixture(autouse=True)
def workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photo_folder: Path, empty_store: Path
) -> Path:
    """An empty folder beside a few photographs, with a tracking store of its own."""
    assert photo_folder.is_dir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    return tmp_path


def start(folder: Path, **parameters: object) -> Forked:
    given = {"dataset": "photos", "architecture": "9-1-5", **parameters}
    words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    return start_command("sweep", *words, cwd=folder, stdout=PIPE, stderr=PIPE)


def request(**changed: object) -> SweepRequest:
    usual: dict[str, object] = {
        "scale": 2,
        "dataset": "photos",
        "trials": 1,
        "epochs": 1,
        "architecture": "9-1-5",
        "seed": 0,
        "max_minutes": None,
        "device": "cpu",
        "study": None,
        "storage": None,
        "train_best": False,
        "full_epochs": 1,
    }
    return SweepRequest(**{**usual, **changed})  # type: ignore[arg-type]


def test_a_sweep_on_colours_has_a_study_of_its_own() -> None:
    assert request().place.name == "x2-9-1-5-photos"
    assert request(channels="rgb").place.name == "x2-9-1-5-rgb-photos"
    assert request(channels="rgb").training().settings.channels == "rgb"


def test_the_command_that_trains_a_trial_takes_its_values(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = {**recipe(), "lr": 0.0021, "optimizer": "adam", "ema_decay": 0.999}
    asked = request(dataset="my photos+t91", full_epochs=12, seed=3)
    told = asked.command_for(values)
    assert told == (
        "srcnn-mlflow train --scale 2 --dataset 'my photos+t91' --epochs 12 --architecture 9-1-5 "
        "--seed 3 --device cpu --lr 0.0021 --optimizer adam --ema-decay 0.999"
    )
    taken: list[object] = []
    monkeypatch.setattr("srcnn_mlflow.commands.train.run_train", lambda one, *_: taken.append(one))
    _, _, *options = shlex.split(told)
    cli.cli(["train", *options], standalone_mode=False)
    shared = asked.training()
    full = replace(shared.settings, epochs=12, max_minutes=None)
    assert taken == [replace(shared, settings=settings(full, values))]


def stored_trials(folder: Path) -> list[FrozenTrial]:
    storage = f"sqlite:///{folder}/data/sweeps/x2-9-1-5-photos.db"
    return optuna.load_study(study_name="x2-9-1-5-photos", storage=storage).trials


def runs(entry_point: str) -> dict[str, Run]:
    found = mlflow.search_runs(
        search_all_experiments=True,
        filter_string=f"tags.entry_point = '{entry_point}'",
        output_format="list",
    )
    return {run.info.run_id: run for run in found}


def wait_for(happened: Callable[[], bool], process: Forked) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "it has not happened"
        time.sleep(0.05)


def check_complete(folder: Path, wanted: int) -> None:
    """So many trials, each once and in a run of its own, and one of them the best."""
    trials = stored_trials(folder)
    assert [trial.number for trial in trials] == list(range(wanted))
    assert {trial.state for trial in trials} <= {TrialState.COMPLETE, TrialState.PRUNED}
    assert trials[0].params == recipe()
    assert len({str(trial.params) for trial in trials}) == wanted
    finished = {key: run for key, run in runs("trial").items() if run.info.status == "FINISHED"}
    assert sorted(finished) == sorted(trial.user_attrs["run_id"] for trial in trials)
    parents = runs("sweep")
    for trial in trials:
        run = finished[trial.user_attrs["run_id"]]
        assert run.data.tags["mlflow.parentRunId"] in parents
        assert run.data.tags["trial"] == str(trial.number)
        assert run.data.tags["pruned"] == str(trial.state == TrialState.PRUNED).lower()
        if trial.state == TrialState.COMPLETE:
            assert run.data.metrics["best_val_psnr"] == trial.value
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    best = max(complete, key=lambda trial: trial.values[0])
    tagged = [key for key, run in finished.items() if "best_trial" in run.data.tags]
    assert tagged == [best.user_attrs["run_id"]]
    assert MlflowClient().search_model_versions() == []


def test_a_killed_sweep_goes_on_where_it_stood(workspace: Path) -> None:
    # Of so many epochs that the kill falls into a training.
    wanted, length = 2, {"trials": 2, "epochs": 15}
    killed = start(workspace, **length)

    def second_trial_has_a_state() -> bool:
        states = workspace.glob("mlruns/*/*/artifacts/checkpoint/state-*.safetensors")
        return len({path.parent for path in states}) == 2

    wait_for(second_trial_has_a_state, killed)
    killed.kill()
    killed.communicate()
    tidy()
    before = stored_trials(workspace)
    assert [trial.state for trial in before] == [TrialState.COMPLETE, TrialState.RUNNING]

    again = start(workspace, **length)
    output, errors = again.communicate(timeout=PATIENCE)
    assert again.returncode == 0, errors
    assert f"1 of {wanted} trials" in output
    run_id = before[1].user_attrs["run_id"]
    assert f"trial 1: continued in run {run_id}, which had broken off" in output
    check_complete(workspace, wanted)
    steps = [point.step for point in MlflowClient().get_metric_history(run_id, "val_psnr")]
    assert len(steps) <= 16, "the training began anew instead of going on"
    assert {run.info.status for run in runs("trial").values()} == {"FINISHED"}
    assert "tidied" not in runs("trial")[run_id].data.tags
    assert sorted(run.info.status for run in runs("sweep").values()) == ["FAILED", "FINISHED"]


@pytest.mark.exhaustive
def test_two_processes_share_a_study(workspace: Path) -> None:
    both = [start(workspace, trials=4, epochs=2) for _ in range(2)]
    for process in both:
        _, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, errors
        assert "locked" not in errors
    check_complete(workspace, 4)
    assert {run.info.status for run in runs("sweep").values()} == {"FINISHED"}
    assert len(runs("sweep")) == 2


@pytest.mark.exhaustive
def test_an_interrupted_trial_is_left_for_the_next_start(workspace: Path) -> None:
    process = start(workspace, trials=1, epochs=2000)
    wait_for(lambda: any(workspace.glob("mlruns/*/*/artifacts/checkpoint/state*")), process)
    # Ctrl-C does the same, but a shell may have its background processes ignore that.
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "error: interrupted; what was finished is kept"
    (trial,) = stored_trials(workspace)
    assert trial.state == TrialState.RUNNING
    assert {run.info.status for run in runs("trial").values()} == {"FAILED"}


class _PruneSecond(optuna.pruners.BasePruner):
    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:  # noqa: ARG002
        return trial.number == 1


def test_a_sweep_logs_its_study_prunes_and_can_train_the_best(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    monkeypatch.setattr("srcnn_mlflow.showing.search_figures.LEAST_FOR_IMPORTANCES", 2)
    monkeypatch.setattr("srcnn_mlflow.tracking.search.make_pruner", _PruneSecond)
    sweep(request(trials=3, epochs=8, train_best=True))
    (parent,) = runs("sweep").values()
    assert parent.data.params["trials"] == "3"
    assert parent.data.params["study"] == parent.data.tags["study"] == "x2-9-1-5-photos"
    assert parent.data.params["storage"] == f"sqlite:///{workspace}/data/sweeps/x2-9-1-5-photos.db"
    trials = stored_trials(workspace)
    assert [trial.state.name for trial in trials] == ["COMPLETE", "PRUNED", "COMPLETE"]
    best = max((trials[0], trials[2]), key=lambda trial: trial.values[0])
    assert parent.data.metrics["best_val_psnr"] == best.value
    assert parent.data.tags["best_run"] == best.user_attrs["run_id"]
    folder = Path(parent.info.artifact_uri.removeprefix("file://")) / "sweep"
    assert sorted(path.name for path in folder.iterdir()) == [
        *("history.png", "importances.png", "slice.png", "trials.json", "trials.md")
    ]
    told = "The validation set, photos valid, chose the settings of 1 sweep."
    page = (folder / "trials.md").read_text()
    assert told in page
    assert f"    {request(trials=3, epochs=8).command_for(best.params)}\n" in page
    assert parent.data.tags["decisions"] == told
    assert told in said
    assert any(line.startswith("all trials in each chart: http") for line in said)
    assert request(trials=3, epochs=8).command_for(best.params) in parent.data.tags[DESCRIPTION]
    listed = json.loads((folder / "trials.json").read_text())
    assert [one["trial"] for one in listed] == [0, 1, 2]
    assert listed[0]["params"] == recipe()
    assert any(line.startswith("trial 0: reached ") for line in said)
    (trained,) = runs("train").values()
    assert float(trained.data.params["lr"]) == best.params["lr"]
    (version,) = MlflowClient().search_model_versions()
    assert version.run_id == trained.info.run_id
    pruned = runs("trial")[trials[1].user_attrs["run_id"]]
    assert pruned.info.status == "FINISHED"
    assert pruned.data.tags["pruned"] == "true"
    history = MlflowClient().get_metric_history(pruned.info.run_id, "val_psnr")
    assert [point.step for point in history] == [1]
    assert any(line.startswith("trial 1: pruned at ") for line in said)


def test_a_trial_that_was_trained_but_not_told_is_not_trained_again(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Search, "finish", interrupt)
        with pytest.raises(KeyboardInterrupt):
            sweep(request())
    # By now that process would have ended, and another would find its trial.
    monkeypatch.setattr("srcnn_mlflow.machine.processes.ProcessSign.is_dead_here", lambda _: True)
    monkeypatch.setattr("srcnn_mlflow.commands.trials.try_out", interrupt)
    sweep(request())
    check_complete(workspace, 1)


def test_a_study_is_not_continued_in_another_world(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    sweep(request())
    for name in ("train", "valid"):
        picture = workspace / "photos" / name / "more.png"
        Image.fromarray(textured_pixels(70, 70, 50)).save(picture)
        with pytest.raises(SweepError, match=f"begun with {name}_digest .*give the same, or"):
            sweep(request())
        picture.unlink()
    with pytest.raises(SweepError, match="begun with seed 0, and not 1"):
        sweep(request(seed=1))
    with monkeypatch.context() as patch:
        patch.setattr("srcnn_mlflow.training.search_space.SEARCH_SPACE", SEARCH_SPACE[:-1])
        with pytest.raises(SweepError, match=r"begun with ema_decay|begun with search_space"):
            sweep(request())
    with monkeypatch.context() as patch:
        narrow = replace(SEARCH_SPACE[0], low=5e-4)
        space = (narrow, *SEARCH_SPACE[1:])
        patch.setattr("srcnn_mlflow.training.search_space.SEARCH_SPACE", space)
        with pytest.raises(SweepError, match="begun with ranges"):
            sweep(request())
    (workspace / "photos" / "test" / "test0.png").unlink()
    monkeypatch.setattr("srcnn_mlflow.commands.train_origin.code_digest", lambda: "other")
    sweep(request())
    (line,) = [line for line in said if "goes on with what it did not begin with" in line]
    assert "code other, not " in line
    assert "test_digest " in line


def test_a_sweep_whose_trials_all_fail_ends_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def diverge(*_: object) -> None:
        raise TrainingError("the loss is nan in epoch 1")

    monkeypatch.setattr("srcnn_mlflow.commands.trials.try_out", diverge)
    with pytest.raises(TrainingError, match="the loss is nan"):
        sweep(request(trials=5))
    assert [trial.state for trial in stored_trials(Path.cwd())] == 3 * [TrialState.FAIL]
    assert [run.info.status for run in runs("trial").values()] == 3 * ["FAILED"]


def test_a_password_under_mlflow_run_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    with pytest.raises(SweepError, match="change that password") as told:
        sweep(request(storage="postgresql://me:secret@host/db"))
    assert "secret" not in str(told.value)


def test_a_study_needs_a_plain_name() -> None:
    with pytest.raises(SweepError, match="study 'a/b' is not a name"):
        sweep(request(study="a/b"))
