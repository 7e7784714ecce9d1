"""Who runs which trial, and what is tried next."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.samplers import TPESampler
from optuna.trial import TrialState

from srcnn_mlflow.machine.errors import SweepError
from srcnn_mlflow.machine.processes import ProcessSign
from srcnn_mlflow.tracking.search import STARTUP_TRIALS, Search, make_pruner, propose
from srcnn_mlflow.tracking.study import Place
from srcnn_mlflow.training.search_space import recipe, suggest
from tests.conftest import BIN

TERMS = {"epochs": 2}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place("a", f"sqlite:///{tmp_path}/a.db")


def joined(place: Place) -> Search:
    return Search(place, TERMS)


def dead_process() -> ProcessSign:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    sign = replace(ProcessSign.own(), number=process.pid)
    process.kill()
    process.wait()
    return sign


def test_the_first_trial_is_the_recipe_and_no_two_are_alike(place: Place) -> None:
    study = joined(place)
    taken = []
    while (trial := study.suggested(4, seed=0)) is not None:
        taken.append(trial)
        study.finish(trial, float(trial.number))
    assert [trial.number for trial in taken] == [0, 1, 2, 3]
    assert taken[0].params == recipe()
    assert len({str(trial.params) for trial in taken}) == 4
    best = study.best()
    assert best is not None
    assert best.number == 3
    assert joined(place).suggested(4, seed=0) is None
    another = joined(place).suggested(5, seed=0)
    assert another is not None
    assert another.number == 4


def test_the_same_seed_suggests_the_same_after_a_restart(tmp_path: Path) -> None:
    found = []
    for name, restarts in (("a", False), ("b", True)):
        place = Place(name, f"sqlite:///{tmp_path}/{name}.db")
        study = joined(place)
        for number in range(3):
            study = joined(place) if restarts else study
            trial = study.suggested(3, seed=5)
            assert trial is not None
            study.finish(trial, float(number))
        found.append([trial.params for trial in study.trials()])
    assert found[0] == found[1]


def test_trials_that_run_count_and_failed_ones_do_not(place: Place) -> None:
    study, other = joined(place), joined(place)
    first, second = study.suggested(2, seed=0), other.suggested(2, seed=0)
    assert first is not None
    assert second is not None
    assert study.suggested(2, seed=0) is None
    study.fail(first, "diverged")
    third = study.suggested(2, seed=0)
    assert third is not None
    assert third.params not in (first.params, second.params)
    assert other.suggested(2, seed=0) is None
    assert study.trials()[0].user_attrs["failure"] == "diverged"


def test_a_trial_of_a_dead_process_is_claimed_once(place: Place) -> None:
    study, other = joined(place), joined(place)
    left = study.suggested(2, seed=0)
    assert left is not None
    for key, value in dead_process().tags().items():
        left.set_user_attr(key, value)
    claimed, new = study.suggested(2, seed=0), other.suggested(2, seed=0)
    assert claimed is not None
    assert (claimed.number, claimed.params) == (left.number, left.params)
    assert new is not None
    assert new.number == 1
    assert other.suggested(2, seed=0) is None


def test_the_command_for_a_lost_trial_is_quoted_for_the_shell(tmp_path: Path) -> None:
    folder = tmp_path / "it's $(my) study; & more"
    folder.mkdir()
    study = joined(Place("a", f"sqlite:///{folder}/a.db"))
    lost = study.suggested(1, seed=0)
    assert lost is not None
    for key, value in replace(dead_process(), host="another machine").tags().items():
        lost.set_user_attr(key, value)
    (line,) = study.describe_running()
    command = line[line.index("optuna tell") : line.index(" lets the next")]
    subprocess.run(f"{BIN}/{command}", shell=True, check=True, capture_output=True)
    assert study.trials()[0].state == TrialState.FAIL


def test_a_trial_of_another_machine_is_left_alone(place: Place) -> None:
    study = joined(place)
    elsewhere = study.suggested(1, seed=0)
    assert elsewhere is not None
    for key, value in replace(dead_process(), host="another machine").tags().items():
        elsewhere.set_user_attr(key, value)
    assert study.suggested(1, seed=0) is None
    (line,) = study.describe_running()
    assert "on another machine; if that is lost, optuna tell --storage sqlite:///" in line
    command = line[line.index("optuna tell") : line.index(" lets the next")].split()
    subprocess.run([BIN / command[0], *command[1:]], check=True, capture_output=True)
    replacement = study.suggested(1, seed=0)
    assert replacement is not None
    assert replacement.number == 1


def test_a_process_killed_between_announcing_and_asking_leaves_a_trial_to_take(
    place: Place,
) -> None:
    study = joined(place)
    study.optuna.enqueue_trial(recipe(), user_attrs=dead_process().tags())
    trial = study.suggested(1, seed=0)
    assert trial is not None
    assert (trial.number, trial.params) == (0, recipe())
    assert study.suggested(1, seed=0) is None


def test_of_two_machines_that_begin_the_last_trial_the_second_withdraws(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, other = joined(place), joined(place)
    begin = study._begin

    def begin_late(wanted: int, seed: int) -> optuna.Trial | None:
        # What another machine, which this one's lock does not hold, does in the meantime.
        if not other.trials():
            other.optuna.enqueue_trial(recipe(), user_attrs=ProcessSign.own().tags())
            other.optuna.ask()
            study.optuna.enqueue_trial(recipe())
            return study.optuna.ask()
        return begin(wanted, seed)

    monkeypatch.setattr(study, "_begin", begin_late)
    assert study.suggested(1, seed=0) is None
    assert [trial.state for trial in study.trials()] == [TrialState.RUNNING, TrialState.FAIL]


def test_what_has_been_tried_is_not_suggested_again() -> None:
    study = optuna.create_study(direction="maximize")
    # What the first suggestions for a study of one trial would be, were it not for that trial.
    start = int(np.random.default_rng((0, 1)).integers(2**31))
    sampler = TPESampler(n_startup_trials=STARTUP_TRIALS, seed=start)
    draft = optuna.create_study(direction="maximize", sampler=sampler)
    first, second = suggest(draft.ask()), suggest(draft.ask())
    assert propose([optuna.trial.create_trial(value=1.0)], seed=0) == first
    study.enqueue_trial(first)
    suggest(study.ask())
    assert propose(study.trials, seed=0) == second


def test_the_pruner_ends_what_is_below_the_median_after_the_warm_up() -> None:
    study = optuna.create_study(direction="maximize", pruner=make_pruner())
    for value in (30.0, 31.0, 32.0, 33.0, 34.0):
        trial = study.ask()
        for tenth in (2, 5, 10):
            trial.report(value, tenth)
        study.tell(trial, value)
    poor, good = study.ask(), study.ask()
    poor.report(20.0, 2)
    assert not poor.should_prune()
    poor.report(31.9, 5)
    assert poor.should_prune()
    good.report(32.1, 5)
    assert not good.should_prune()


def test_a_study_is_not_continued_on_other_terms(place: Place) -> None:
    joined(place)
    with pytest.raises(SweepError, match="begun with epochs 2, and not 3; give the same, or an"):
        Search(place, {"epochs": 3})


def test_what_may_change_is_told_and_what_is_new_is_kept(place: Place) -> None:
    assert joined(place).changes({"code": "a"}) == ""
    assert joined(place).changes({"code": "b", "device": "cpu"}) == "code b, not a"
    assert joined(place).changes({"code": "a", "device": "cuda"}) == "device cuda, not cpu"


def test_a_study_of_before_takes_up_terms_that_it_did_not_know(place: Place) -> None:
    joined(place)
    Search(place, {**TERMS, "padding": "none"})
    with pytest.raises(SweepError, match="begun with padding none, and not zero"):
        Search(place, {**TERMS, "padding": "zero"})


def test_a_study_of_before_had_what_there_was_no_choice_of(place: Place) -> None:
    joined(place)
    before = {"channels": "y"}
    with pytest.raises(SweepError, match="begun with channels y, and not rgb"):
        Search(place, {**TERMS, "channels": "rgb"}, before)
    Search(place, {**TERMS, "channels": "y"}, before)


def test_a_study_that_is_refused_stays_as_it_is(place: Place) -> None:
    joined(place)
    with pytest.raises(SweepError, match="begun with epochs 2, and not 3"):
        Search(place, {"channels": "rgb", "epochs": 3})
    Search(place, {**TERMS, "channels": "y"})


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:secret@host/db",
        "postgresql://host/db?password=secret",
        "mysql+pymysql://me:secret@127.0.0.1:1/db",
    ],
)
def test_a_password_is_never_shown(url: str) -> None:
    place = Place("a", url)
    assert place.has_password
    assert "secret" not in str(place)
    assert "host" in str(place) or "127.0.0.1" in str(place)
    with pytest.raises(SweepError) as told, place.errors_told():
        joined(place)
    assert "secret" not in str(told.value)
    assert str(told.value).startswith(f"study a in {place}: ")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("no url:secret", "storage is not a database's URL; give one such as"),
        ("sqlite://", "keeps nothing; name a file"),
        ("sqlite:///:memory:", "keeps nothing; name a file"),
    ],
)
def test_what_cannot_keep_a_study_is_refused(url: str, reason: str) -> None:
    with pytest.raises(SweepError, match=reason) as told:
        Place("a", url)
    assert "secret" not in str(told.value)
