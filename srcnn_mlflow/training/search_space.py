"""What a sweep searches: one table, and how its rows become training settings."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from optuna.trial import BaseTrial

from srcnn_mlflow.machine.text import as_text
from srcnn_mlflow.training.settings import TrainingSettings


@dataclass(frozen=True)
class LogRange:
    """A number between two, every ratio as likely, of two digits so that tables show all of it."""

    name: str
    low: float
    high: float
    why: str

    def suggest(self, trial: BaseTrial) -> float:
        """The trial's value."""
        return float(f"{trial.suggest_float(self.name, self.low, self.high, log=True):.2g}")


@dataclass(frozen=True)
class Choice:
    """One of a few values."""

    name: str
    values: tuple[bool | int | float | str | None, ...]
    why: str

    def suggest(self, trial: BaseTrial) -> Any:
        """The trial's value."""
        return trial.suggest_categorical(self.name, self.values)


# Names are fields of TrainingSettings, and any combination of values is valid. What costs time
# beside quality, such as padding, is left out: trials of equal epochs would hide what it costs.
SEARCH_SPACE = (
    LogRange("lr", 3e-4, 3e-3, "best around 0.001, and it moves with batch, optimizer and length"),
    Choice("batch_size", (8, 16, 32), "smaller takes more steps an epoch, larger smoother ones"),
    Choice("optimizer", ("muon", "adam"), "mattered most of all that was tried"),
    Choice("last_layer_lr_factor", (0.1, 0.3, 1.0), "Adam needs a tenth, Muon does best with 1"),
    Choice("ema_decay", (None, 0.999), "may steady a training that is short for its rate"),
)


def suggest(trial: BaseTrial) -> dict[str, Any]:
    """A value for every row of the table, by name."""
    return {row.name: row.suggest(trial) for row in SEARCH_SPACE}


def ranges() -> dict[str, list[Any]]:
    """What every row may be: the lowest and the highest number, or all values."""
    return {
        row.name: [row.low, row.high] if isinstance(row, LogRange) else list(row.values)
        for row in SEARCH_SPACE
    }


def recipe() -> dict[str, Any]:
    """The values that `train` has without a sweep, by name."""
    return {row.name: getattr(TrainingSettings(), row.name) for row in SEARCH_SPACE}


def settings(base: TrainingSettings, values: Mapping[str, Any]) -> TrainingSettings:
    """The settings of a trial: those of the sweep, with the values that the trial has.

    Args:
        base: what all trials share.
        values: what `suggest` gave.
    """
    return replace(base, **values)


def describe(values: Mapping[str, Any]) -> str:
    """What differs from the recipe, in a few words."""
    differing = [
        f"{name}={as_text(values[name])}"
        for name, usual in recipe().items()
        if values[name] != usual
    ]
    return ", ".join(differing) or "the recipe"
