"""Figures of a search: what was reached when, at which values, and what mattered."""

import math
import warnings
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import optuna
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState

from srcnn_mlflow.machine.text import as_text
from srcnn_mlflow.showing.style import GRID, INK, QUIET, quieten
from srcnn_mlflow.training.search_space import SEARCH_SPACE, Choice, LogRange, recipe

VALUE = "validation PSNR (dB)"
_ROWS: Sequence[LogRange | Choice] = SEARCH_SPACE
# With fewer, importances are chance.
LEAST_FOR_IMPORTANCES = 8
# Of Okabe and Ito, 2008, which the colour-blind tell apart too; each has a marker of its own.
_COMPLETE, _PRUNED, _RECIPE, _BEST = "#0072B2", "#999999", "#D55E00", "#009E73"
_MARKS: Mapping[str, Mapping[str, Any]] = {
    "complete": {"marker": "o", "color": _COMPLETE, "markersize": 7},
    "pruned, at its highest": {"marker": "x", "color": _PRUNED, "markersize": 7},
    "the recipe": {"marker": "s", "color": _RECIPE, "markersize": 9},
    "the best": {"marker": "*", "color": _BEST, "markersize": 15},
    "the recipe, which is the best": {"marker": "*", "color": _RECIPE, "markersize": 15},
}


def draw_search(study: optuna.Study, folder: Path) -> None:
    """Draw how a search went.

    Args:
        study: with at least one complete trial.
        folder: gets `history.png`, `slice.png` and, of eight complete trials, `importances.png`.
    """
    trials = study.get_trials(deepcopy=False)
    _save(history_figure(study.study_name, trials), folder / "history.png")
    _save(slice_figure(study.study_name, trials), folder / "slice.png")
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if len(complete) >= LEAST_FOR_IMPORTANCES and len({trial.value for trial in complete}) > 1:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            shares = optuna.importance.get_param_importances(study)
        _save(importances_figure(study.study_name, shares), folder / "importances.png")


def history_figure(name: str, trials: Sequence[FrozenTrial]) -> Figure:
    """What every trial reached, and the best up to each."""
    figure, (axis,) = _begin(f"{name}: what each trial reached", (9, 4.6), 1)
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    numbers = [trial.number for trial in complete]
    best = list(accumulate((trial.values[0] for trial in complete), max))
    ends = [*numbers, max(trial.number for trial in trials)]
    axis.step(ends, [*best, best[-1]], where="post", color="#9db8c9", zorder=1, label="best so far")
    for trial in trials:
        if (value := reached(trial)) is not None:
            _mark(axis, trial.number, value, kind_of(trial, trials))
    axis.set_xlabel("trial", fontsize=10, color=INK)
    axis.set_ylabel(VALUE, fontsize=10, color=INK)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.margins(x=0.03, y=0.12)
    _add_legend(figure, axis)
    return figure


def slice_figure(name: str, trials: Sequence[FrozenTrial]) -> Figure:
    """What was reached at which value, a panel a setting."""
    figure, axes = _begin(f"{name}: what was reached at which value", (15, 4.6), len(_ROWS))
    for axis, row in zip(axes, _ROWS, strict=True):
        for trial in trials:
            value = reached(trial)
            if value is not None and row.name in trial.params:
                _mark(axis, _place(row, trial.params[row.name]), value, kind_of(trial, trials))
        if isinstance(row, LogRange):
            marks = [row.low, math.sqrt(row.low * row.high), row.high]
            axis.set_xscale("log")
            axis.set_xticks(marks, [f"{mark:.2g}" for mark in marks])
            axis.set_xticks([], minor=True)
            axis.set_xlim(row.low / 1.1, row.high * 1.1)
        else:
            axis.set_xticks(range(len(row.values)), [as_text(value) for value in row.values])
            axis.set_xlim(-0.6, len(row.values) - 0.4)
        axis.set_xlabel(row.name, fontsize=10, color=INK)
        axis.margins(y=0.12)
    axes[0].set_ylabel(VALUE, fontsize=10, color=INK)
    _add_legend(figure, *axes)
    return figure


def importances_figure(name: str, shares: Mapping[str, float]) -> Figure:
    """How much of what trials differ by each setting explains."""
    figure, (axis,) = _begin(f"{name}: what mattered", (9, 1.6 + 0.42 * len(shares)), 1)
    rows = sorted(shares, key=lambda setting: shares[setting])
    axis.barh(rows, [shares[setting] for setting in rows], color=_COMPLETE, height=0.6)
    for row, setting in enumerate(rows):
        text = f" {100 * shares[setting]:.0f} %"
        axis.text(shares[setting], row, text, va="center", fontsize=9.5, color=INK)
    axis.set_xlabel("share of what trials differ by (fANOVA)", fontsize=10, color=INK)
    axis.set_xlim(0, 1.1 * max(shares.values()))
    axis.grid(visible=False)
    axis.set_xticks([])
    return figure


def reached(trial: FrozenTrial) -> float | None:
    """The highest validation PSNR of a trial in dB; None where none is known, or it has failed."""
    if trial.state == TrialState.COMPLETE:
        return float(trial.values[0])
    if trial.state == TrialState.PRUNED and trial.intermediate_values:
        return max(trial.intermediate_values.values())
    return None


def kind_of(trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> str:
    """How a trial is marked: the recipe and the best before whether it was pruned."""
    complete = [one for one in trials if one.state == TrialState.COMPLETE]
    best = max(complete, key=lambda one: (one.values[0], -one.number))
    if trial.number == best.number:
        return "the recipe, which is the best" if trial.params == recipe() else "the best"
    if trial.params == recipe():
        return "the recipe"
    return "complete" if trial.state == TrialState.COMPLETE else "pruned, at its highest"


def _begin(title: str, size: tuple[float, float], panels: int) -> tuple[Figure, Sequence[Axes]]:
    figure = Figure(figsize=size, dpi=110, facecolor="white", layout="constrained")
    axes = figure.subplots(1, panels, sharey=True, squeeze=False)[0]
    heading = figure.suptitle(title, fontsize=12.5, fontweight="bold", color=INK)
    heading.set_parse_math(False)
    for axis in axes:
        axis.grid(color=GRID, linewidth=0.8)
        quieten(axis, 9.5)
    return figure, axes


def _place(row: LogRange | Choice, value: Any) -> float:
    return float(value) if isinstance(row, LogRange) else row.values.index(value)


def _mark(axis: Axes, across: float, up: float, kind: str) -> None:
    how = dict(_MARKS[kind])
    edge: dict[str, Any] = {} if how["marker"] == "x" else {"markeredgecolor": "white"}
    axis.plot([across], [up], linestyle="none", label=kind, zorder=3, **how, **edge)


def _add_legend(figure: Figure, *axes: Axes) -> None:
    found = [pair for axis in axes for pair in zip(*axis.get_legend_handles_labels(), strict=True)]
    handles = {label: handle for handle, label in found}
    order = [label for label in (*_MARKS, "best so far") if label in handles]
    figure.legend(
        [handles[label] for label in order],
        order,
        loc="outside lower center",
        ncols=len(order),
        frameon=False,
        fontsize=9.5,
        labelcolor=QUIET,
    )


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, metadata={"Title": figure.get_suptitle()})
