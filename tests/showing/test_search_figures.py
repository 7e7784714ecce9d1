"""Figures of a search: which trials are marked how, and where."""

from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from matplotlib.axes import Axes
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from PIL import Image

from srcnn_mlflow.showing import search_figures
from srcnn_mlflow.showing.search_figures import (
    draw_search,
    history_figure,
    importances_figure,
    kind_of,
    slice_figure,
)
from srcnn_mlflow.training.search_space import SEARCH_SPACE, LogRange, recipe

SPACE: dict[str, BaseDistribution] = {
    row.name: FloatDistribution(row.low, row.high, log=True)
    if isinstance(row, LogRange)
    else CategoricalDistribution(row.values)
    for row in SEARCH_SPACE
}


def a_study(*values: float | None) -> optuna.Study:
    """The recipe, then others; None for a trial that was pruned at 30 dB."""
    study = optuna.create_study(study_name="x2 $of$ photos", direction="maximize")
    for number, value in enumerate(values):
        changed: dict[str, Any] = {"lr": 0.0005 * (1 + number), "optimizer": "adam"}
        params = {**recipe(), **(changed if number else {})}
        common: dict[str, Any] = {"params": params, "distributions": SPACE}
        study.add_trial(
            create_trial(value=value, **common)
            if value is not None
            else create_trial(
                state=TrialState.PRUNED, intermediate_values={1: 29.0, 2: 30.0, 3: 28.0}, **common
            )
        )
    return study


def trials(*values: float | None) -> list[FrozenTrial]:
    return a_study(*values).get_trials()


def marked(axis: Axes) -> dict[str, list[list[float]]]:
    """Where marks of each kind stand."""
    found: dict[str, list[list[float]]] = {}
    for line in axis.lines:
        if line.get_linestyle() == "None":
            places = np.ravel(line.get_xydata()).tolist()
            found.setdefault(str(line.get_label()), []).append(places)
    return found


def test_the_recipe_the_best_and_what_was_pruned_are_marked() -> None:
    (axis,) = history_figure("study", trials(32.0, None, 33.0, 31.0)).axes
    assert marked(axis) == {
        "the recipe": [[0, 32.0]],
        "pruned, at its highest": [[1, 30.0]],
        "the best": [[2, 33.0]],
        "complete": [[3, 31.0]],
    }
    (best,) = (line for line in axis.lines if line.get_label() == "best so far")
    assert np.asarray(best.get_xydata()).tolist() == [[0, 32], [2, 33], [3, 33], [3, 33]]


def test_a_recipe_that_is_the_best_is_both() -> None:
    found = trials(33.0, None, 32.0)
    assert kind_of(found[0], found) == "the recipe, which is the best"
    # Of two that are as good, the first.
    found = trials(32.0, 33.0, 33.0)
    assert [kind_of(one, found) for one in found] == ["the recipe", "the best", "complete"]


def test_a_panel_a_setting_names_its_values() -> None:
    axes = slice_figure("study", trials(32.0, None, 33.0)).axes
    assert [axis.get_xlabel() for axis in axes] == [row.name for row in SEARCH_SPACE]
    by_name = dict(zip(SPACE, axes, strict=True))
    assert [text.get_text() for text in by_name["optimizer"].get_xticklabels()] == ["muon", "adam"]
    assert marked(by_name["optimizer"])["the best"] == [[1, 33.0]]
    assert marked(by_name["lr"])["the best"] == [[0.0015, 33.0]]
    assert by_name["lr"].get_xscale() == "log"


def test_importances_are_named_with_their_shares() -> None:
    (axis,) = importances_figure("study", {"lr": 0.7, "optimizer": 0.3}).axes
    assert [text.get_text() for text in axis.get_yticklabels()] == ["optimizer", "lr"]
    assert [text.get_text().strip() for text in axis.texts] == ["30 %", "70 %"]


def test_files_are_those_that_there_is_something_to_show_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_figures, "LEAST_FOR_IMPORTANCES", 3)
    for study, expected in (
        (a_study(32.0), ["history.png", "slice.png"]),
        (a_study(32.0, 33.0, 31.0, None), ["history.png", "importances.png", "slice.png"]),
    ):
        folder = tmp_path / str(len(expected))
        folder.mkdir()
        draw_search(study, folder)
        assert sorted(path.name for path in folder.iterdir()) == expected
        for path in folder.iterdir():
            with Image.open(path) as picture:
                assert picture.info["Title"].startswith("x2 $of$ photos: ")
