"""Whatever is suggested can be trained."""

import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st
from optuna.trial import FixedTrial

from srcnn_mlflow import cli
from srcnn_mlflow.training.model import Srcnn
from srcnn_mlflow.training.optimizers import Optimizer
from srcnn_mlflow.training.search_space import (
    SEARCH_SPACE,
    Choice,
    LogRange,
    describe,
    recipe,
    settings,
    suggest,
)
from srcnn_mlflow.training.settings import TrainingSettings


def values_of(row: LogRange | Choice) -> st.SearchStrategy[object]:
    if isinstance(row, Choice):
        return st.sampled_from(row.values)
    return st.floats(row.low, row.high)


any_values = st.fixed_dictionaries({row.name: values_of(row) for row in SEARCH_SPACE})


@how(deadline=None)
@given(any_values)
def test_any_suggestion_gives_settings_that_train_takes(raw: dict[str, object]) -> None:
    base = TrainingSettings(architecture="9-1-5", epochs=3, seed=7)
    found = settings(base, suggest(FixedTrial(raw)))
    assert (found.architecture, found.epochs, found.seed) == ("9-1-5", 3, 7)
    parameters = {option.name: option for option in cli.train.params}
    for row in SEARCH_SPACE:
        value = getattr(found, row.name)
        text = "none" if value is None else str(value)
        option = parameters[row.name]
        assert option.type.convert(text, option, None) == value
    Optimizer(Srcnn(found.network), found.optimizer, found.last_layer_lr_factor)


@given(any_values)
def test_a_suggestion_may_be_written_down_and_suggested_again(raw: dict[str, object]) -> None:
    once = suggest(FixedTrial(raw))
    assert suggest(FixedTrial(once)) == once
    assert float(f"{once['lr']:.2g}") == once["lr"]
    assert once["lr"] == pytest.approx(raw["lr"], rel=0.05)


def test_the_recipe_lies_in_the_space() -> None:
    assert suggest(FixedTrial(recipe())) == recipe()
    assert settings(TrainingSettings(), recipe()) == TrainingSettings()


def test_values_are_described_by_what_differs_from_the_recipe() -> None:
    assert describe(recipe()) == "the recipe"
    assert describe({**recipe(), "lr": 0.002, "ema_decay": 0.999}) == "lr=0.002, ema_decay=0.999"


def test_every_row_says_why() -> None:
    assert len({row.name for row in SEARCH_SPACE}) == len(SEARCH_SPACE)
    assert all(row.why for row in SEARCH_SPACE)
