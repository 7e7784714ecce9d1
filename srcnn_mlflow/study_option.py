"""The option that names a study, whose settings may be whatever `train` takes.

Nothing heavy is imported here.
"""

from difflib import get_close_matches
from functools import cache
from typing import Any

import click

from srcnn_mlflow import parameters as given
from srcnn_mlflow.machine.errors import StudyTableError
from srcnn_mlflow.training.settings import RECIPE
from srcnn_mlflow.training.study_tables import find_study


class Study(given.Text):
    """A study that comes with the package, or a person's own, with all that its settings say."""

    name = "study"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse what is none, and what no training can be given, with the place that is wrong."""
        try:
            return find_study(super().convert(value, param, ctx), training_value)
        except StudyTableError as error:
            return self.fail(str(error), param, ctx)


def training_value(name: str, text: str) -> Any:
    """A setting of a training, as `train` takes it.

    Args:
        name: of the setting, such as `lr`.
        text: its value, as on the command line.

    Raises:
        StudyTableError: a training has no such setting, it is not for a study to set, or it may not
            be this.
    """
    known = _training_options()
    if name in _OF_THE_STUDY:
        raise StudyTableError(f"{name} is given to the study itself, for all its settings")
    if name not in known:
        near = "".join(f", but {one}" for one in get_close_matches(name, known, n=1))
        raise StudyTableError(
            f"train has no setting {name!r}{near}; it has {', '.join(sorted(known))}"
        )
    try:
        return known[name].type_cast_value(click.Context(click.Command("train")), text)
    except click.BadParameter as error:
        raise StudyTableError(f"{name}: {error.message}") from None


# What all settings of a study share.
_OF_THE_STUDY = ("scale", "seed", "device", "resume")


@cache
def _training_options() -> dict[str, click.Parameter]:
    """What a setting of a study may set, by name."""

    @click.command()
    @given.options(
        given.dataset, given.architecture, given.epochs(RECIPE), given.hyper_parameters(RECIPE)
    )
    def train(**_: Any) -> None:
        """Stands for the command of that name."""

    named = {str(one.name): one for one in train.params}
    return {name: one for name, one in named.items() if name not in _OF_THE_STUDY}
