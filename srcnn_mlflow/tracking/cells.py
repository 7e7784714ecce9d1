"""The cells of a study's table, a setting and a seed each, as trials that processes share."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial, Trial, TrialState

from srcnn_mlflow.machine.processes import ProcessSign
from srcnn_mlflow.tracking.study import Place, SharedStudy

# The attribute of a study that names the trials whose runs are gone.
_LOST = "lost"
_TAKEN = (TrialState.COMPLETE, TrialState.RUNNING)


@dataclass(frozen=True)
class Cell:
    """A training of a study's table.

    Attributes:
        setting: by name.
        seed: of the training.
        training: everything that decides it, by name, in what JSON can hold.
        pictures: what it learns from and is chosen by: digests, by name.
    """

    setting: str
    seed: int
    training: Mapping[str, Any]
    pictures: Mapping[str, str]

    def __str__(self) -> str:
        """As messages call it."""
        return f"{self.setting}, seed {self.seed}"

    def attributes(self) -> dict[str, Any]:
        """As its trial holds it."""
        return {
            "setting": self.setting,
            "seed": self.seed,
            "training": dict(self.training),
            "pictures": dict(self.pictures),
        }


# Cells by what decides them, whatever they are called.
Cells = Mapping[str, Cell]
# What decides a cell, of the attributes of its trial; None for a trial that is no cell.
KeyOf = Callable[[Mapping[str, Any]], str | None]


class SharedTable(SharedStudy):
    """A study whose trials are given, and each of which has to be trained once.

    A trial counts for a cell if it was trained with the same settings on the same pictures, so
    that a table to which settings or seeds are added takes what there is, and trains the rest.
    """

    def __init__(self, place: Place, key_of: KeyOf) -> None:
        """Begin or join a table.

        Args:
            place: where it is kept.
            key_of: what decides a cell.
        """
        super().__init__(place, {})
        self._key_of = key_of

    def done(self, cells: Collection[str]) -> dict[str, FrozenTrial]:
        """The trials of the cells that have been trained to the end, by what decides them."""
        lost = self._lost()
        return {
            key: trial
            for trial in self.trials(TrialState.COMPLETE)
            if (key := self._key_of(trial.user_attrs)) in cells
            and key is not None
            and trial.number not in lost
        }

    def lose(self, trial: FrozenTrial) -> None:
        """Let a trial count no longer, whose run is gone."""
        with self.alone():
            self.optuna.set_user_attr(_LOST, sorted({*self._lost(), trial.number}))

    def next_cell(self, cells: Cells) -> tuple[Trial, str] | None:
        """A cell for this process to train: one that a dead process left, or else a new one.

        Args:
            cells: in the order in which they are to be trained.

        Returns:
            Its trial and what decides it; None where each of them is trained or being trained.
        """
        trial = self.take(
            lambda: self._begin(cells),
            lambda left: self._key_of(left.user_attrs) in cells,
            lambda begun: self._is_surplus(begun, cells),
        )
        if trial is None:
            return None
        key = self._key_of(trial.user_attrs)
        assert key is not None
        return trial, key

    def _begin(self, cells: Cells) -> Trial | None:
        taken = {self._key_of(trial.user_attrs) for trial in self._taken()}
        cell = next((cell for key, cell in cells.items() if key not in taken), None)
        if cell is None:
            return None
        if not self.trials(TrialState.WAITING):
            # Signed before it runs: whoever is killed in between leaves a trial that says so.
            signed = {**cell.attributes(), **ProcessSign.own().tags()}
            self.optuna.enqueue_trial({}, user_attrs=signed)
        return self.optuna.ask()

    def _is_surplus(self, begun: Trial, cells: Cells) -> bool:
        key = self._key_of(begun.user_attrs)
        earlier = [trial for trial in self._taken() if trial.number < begun.number]
        return key not in cells or any(self._key_of(one.user_attrs) == key for one in earlier)

    def _taken(self) -> list[FrozenTrial]:
        lost = self._lost()
        return [trial for trial in self.trials(*_TAKEN) if trial.number not in lost]

    def _lost(self) -> set[int]:
        return set(self.optuna.user_attrs.get(_LOST, []))
