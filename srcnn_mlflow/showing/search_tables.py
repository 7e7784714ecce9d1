"""Tables of a search."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial

from srcnn_mlflow.machine.text import as_text
from srcnn_mlflow.showing.search_figures import VALUE
from srcnn_mlflow.tracking.study import RUN_ID
from srcnn_mlflow.training.search_space import SEARCH_SPACE


def table(trials: Sequence[FrozenTrial]) -> str:
    """A line a trial, in Markdown: number, state, value, parameters, run."""
    names = [row.name for row in SEARCH_SPACE]
    lines = [["trial", "state", VALUE, *names, "run"]]
    lines += [
        [str(trial.number), trial.state.name.lower(), _value(trial)]
        + [as_text(trial.params[name]) if name in trial.params else "" for name in names]
        + [trial.user_attrs.get(RUN_ID, "")]
        for trial in trials
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    rows = [" | ".join(map(str.ljust, line, widths)) for line in lines]
    rule = "|".join("-" * (width + 2) for width in widths)
    return "\n".join([f"| {rows[0]} |", f"|{rule}|", *(f"| {row} |" for row in rows[1:])])


def as_json(trials: Sequence[FrozenTrial]) -> str:
    """The same as JSON, with every value that was reported."""
    return json.dumps([_facts(trial) for trial in trials], indent=2)


def _value(trial: FrozenTrial) -> str:
    return "" if trial.value is None else f"{trial.value:.3f}"


def _facts(trial: FrozenTrial) -> Mapping[str, Any]:
    return {
        "trial": trial.number,
        "state": trial.state.name.lower(),
        "val_psnr": trial.value,
        "params": trial.params,
        "val_psnr_by_tenth": trial.intermediate_values,
        "run_id": trial.user_attrs.get(RUN_ID),
    }
