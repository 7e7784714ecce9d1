"""Which process trains which cell of a study's table."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import Trial, TrialState

from srcnn_mlflow.machine.processes import ProcessSign
from srcnn_mlflow.tracking.cells import Cell, SharedTable
from srcnn_mlflow.tracking.study import Place
from tests.tracking.test_study import dead_process


def key_of(attributes: Mapping[str, Any]) -> str | None:
    if "training" not in attributes:
        return None
    return json.dumps([attributes["training"], attributes["pictures"]], sort_keys=True)


def some_cells(*settings: str, seeds: int = 1, pictures: str = "p") -> dict[str, Cell]:
    cells = [
        Cell(name, seed, {"architecture": name, "seed": seed}, {"train": pictures})
        for seed in range(seeds)
        for name in settings
    ]
    return {str(key_of(cell.attributes())): cell for cell in cells}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place("a", f"sqlite:///{tmp_path}/a.db")


def joined(place: Place) -> SharedTable:
    return SharedTable(place, key_of)


def take(table: SharedTable, cells: Mapping[str, Cell]) -> tuple[Trial, str]:
    taken = table.next_cell(cells)
    assert taken is not None
    trial, key = taken
    return trial, str(cells[key])


def leave(trial: Trial, sign: ProcessSign) -> None:
    for name, value in sign.tags().items():
        trial.set_user_attr(name, value)


def test_each_cell_is_taken_once_in_its_order(place: Place) -> None:
    table, other, cells = joined(place), joined(place), some_cells("a", "b", seeds=2)
    taken = [take(one, cells)[1] for one in (table, other, table, other)]
    assert taken == ["a, seed 0", "b, seed 0", "a, seed 1", "b, seed 1"]
    assert table.next_cell(cells) is None
    assert other.next_cell(cells) is None


def test_what_is_done_stays_done_and_what_is_added_is_taken(place: Place) -> None:
    few = some_cells("a")
    trial, _ = take(joined(place), few)
    joined(place).finish(trial, 30.0)
    more = some_cells("new", "a", seeds=2)
    table = joined(place)
    assert [*table.done(more)] == [*few]
    assert [take(table, more)[1] for _ in range(3)] == ["new, seed 0", "new, seed 1", "a, seed 1"]
    assert table.next_cell(more) is None


@pytest.mark.parametrize("changed", [some_cells("b"), some_cells("a", pictures="others")])
def test_other_settings_or_pictures_are_another_training(
    place: Place, changed: dict[str, Cell]
) -> None:
    trial, _ = take(joined(place), some_cells("a"))
    joined(place).finish(trial, 30.0)
    assert joined(place).done(changed) == {}
    assert joined(place).next_cell(changed) is not None


def test_a_setting_by_another_name_is_the_same_training(place: Place) -> None:
    trial, _ = take(joined(place), some_cells("a"))
    joined(place).finish(trial, 30.0)
    renamed = {
        key: Cell("other", cell.seed, cell.training, cell.pictures)
        for key, cell in some_cells("a").items()
    }
    assert joined(place).next_cell(renamed) is None
    assert [*joined(place).done(renamed)] == [*renamed]


def test_a_failed_cell_is_taken_again(place: Place) -> None:
    table, cells = joined(place), some_cells("a")
    trial, _ = take(table, cells)
    table.fail(trial, "diverged")
    assert table.done(cells) == {}
    assert take(table, cells)[1] == "a, seed 0"


def test_a_cell_of_a_dead_process_goes_on_as_the_same_trial(place: Place) -> None:
    cells = some_cells("a", "b")
    left, _ = take(joined(place), cells)
    leave(left, dead_process())
    again, name = take(joined(place), cells)
    assert (again.number, name) == (left.number, "a, seed 0")
    assert take(joined(place), cells)[1] == "b, seed 0"


def test_a_cell_of_another_machine_is_left_alone(place: Place) -> None:
    cells = some_cells("a")
    left, _ = take(joined(place), cells)
    leave(left, ProcessSign("another machine", 1, 0.0))
    assert joined(place).next_cell(cells) is None
    (line,) = joined(place).describe_running()
    assert "process 1 on another machine; if that is lost, optuna tell" in line


def test_what_a_dead_process_left_of_other_settings_is_left_alone(place: Place) -> None:
    left, _ = take(joined(place), some_cells("former"))
    leave(left, dead_process())
    assert take(joined(place), some_cells("a"))[1] == "a, seed 0"
    assert joined(place).trials(TrialState.RUNNING)[0].number == left.number


def test_what_a_killed_process_has_announced_is_taken_and_of_other_settings_withdrawn(
    place: Place,
) -> None:
    table, cells = joined(place), some_cells("a", "b")
    (former,) = some_cells("former").values()
    for cell in (former, *cells.values()):
        signed = {**cell.attributes(), **dead_process().tags()}
        table.optuna.enqueue_trial({}, user_attrs=signed)
    # By another machine, that has announced nothing: what it finds is not what it wanted.
    table.optuna.enqueue_trial({})
    assert [take(table, cells)[1] for _ in range(2)] == ["a, seed 0", "b, seed 0"]
    assert table.next_cell(cells) is None
    states = [trial.state for trial in table.trials()]
    assert states == [
        *(TrialState.FAIL, TrialState.RUNNING, TrialState.RUNNING, TrialState.WAITING)
    ], "nothing is announced twice"


def test_of_two_machines_that_begin_one_cell_the_second_withdraws(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, other, cells = joined(place), joined(place), some_cells("a")
    begin = table._begin

    def begin_late(wanted: Mapping[str, Cell]) -> optuna.Trial | None:
        # What another machine, which this one's lock does not hold, does in the meantime.
        if not other.trials():
            (cell,) = wanted.values()
            for asked in (other, table):
                signed = {**cell.attributes(), **ProcessSign.own().tags()}
                asked.optuna.enqueue_trial({}, user_attrs=signed)
            other.optuna.ask()
            return table.optuna.ask()
        return begin(wanted)

    monkeypatch.setattr(table, "_begin", begin_late)
    assert table.next_cell(cells) is None
    assert [trial.state for trial in table.trials()] == [TrialState.RUNNING, TrialState.FAIL]


def test_what_is_lost_is_trained_again_and_only_that(place: Place) -> None:
    table, cells = joined(place), some_cells("a", "b")
    for psnr in (30.0, 31.0):
        table.finish(take(table, cells)[0], psnr)
    (lost, kept) = table.done(cells).values()
    table.lose(lost)
    assert [trial.number for trial in joined(place).done(cells).values()] == [kept.number]
    again, name = take(joined(place), cells)
    assert name == "a, seed 0"
    assert joined(place).next_cell(cells) is None
    joined(place).finish(again, 30.5)
    assert {trial.number for trial in joined(place).done(cells).values()} == {
        *(kept.number, again.number)
    }
