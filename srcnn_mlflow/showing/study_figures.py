"""Pictures and tables of a study."""

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import optuna
from matplotlib import pyplot
from matplotlib.axes import Axes
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState
from optuna.visualization import matplotlib as drawn

from srcnn_mlflow.machine.text import as_text
from srcnn_mlflow.tracking.study import RUN_ID
from srcnn_mlflow.training.search_space import SEARCH_SPACE, LogRange

VALUE = "validation PSNR (dB)"
# With fewer, importances are chance.
LEAST_FOR_IMPORTANCES = 8
matplotlib.use("Agg")


def draw_study(study: optuna.Study, folder: Path) -> None:
    """Draw how a study went: what was reached when, at which values, and what mattered.

    Args:
        study: with at least one complete trial.
        folder: gets `history.png`, `slice.png` and, of eight complete trials, `importances.png`.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    names = [row.name for row in SEARCH_SPACE]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        # Until two trials differ in a value, its axis has no width.
        warnings.simplefilter("ignore", UserWarning)
        history = drawn.plot_optimization_history(study, target_name=VALUE)
        history.set_title(f"{study.study_name}: complete trials")
        _save(history.figure, folder / "history.png", (9, 4.5))
        slices = np.asarray(
            drawn.plot_slice(study, params=names, target_name=VALUE), dtype=object
        ).ravel()
        for axis in slices:
            _widen(axis)
        slices[0].figure.suptitle(f"{study.study_name}: complete trials by value")
        _save(slices[0].figure, folder / "slice.png", (16, 4.5))
        if len(complete) >= LEAST_FOR_IMPORTANCES and len({t.value for t in complete}) > 1:
            importances = drawn.plot_param_importances(study, target_name=VALUE)
            importances.set_title(f"{study.study_name}: what mattered", loc="left")
            _save(importances.figure, folder / "importances.png", (9, 4))


def _widen(axis: Axes) -> None:
    """Keep points off the edges, and label a range by its ends and its middle."""
    axis.margins(x=0.25)
    axis.autoscale(axis="x")
    for row in SEARCH_SPACE:
        if isinstance(row, LogRange) and row.name == axis.get_xlabel():
            marks = [row.low, math.sqrt(row.low * row.high), row.high]
            axis.set_xticks(marks, [f"{mark:.2g}" for mark in marks])
            axis.set_xticks([], minor=True)
            axis.set_xlim(row.low / 1.1, row.high * 1.1)


def _save(figure: Any, path: Path, size: tuple[float, float]) -> None:
    figure.set_size_inches(size)
    figure.savefig(path, dpi=110, bbox_inches="tight")
    pyplot.close(figure)


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
