"""The line of champions of a registered model: who followed whom, and how to walk it back.

It is a tag of the registered model, a list of versions of which the last is champion. The alias
decides: where the two differ, as after a kill or when someone has moved the alias by hand, the line
ends where the alias points. A `previous-champion` that somebody has chosen is returned to first.
"""

import json
from contextlib import suppress
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities.model_registry import RegisteredModel
from mlflow.exceptions import MlflowException

from srcnn_mlflow.tracking.registry import CHAMPION, PREVIOUS_CHAMPION, model_name, version_tags
from srcnn_mlflow.tracking.registry_lock import alone_in_registry

# The registered model's tag that holds the line.
LINE = "champions"
# So many are remembered; MLflow keeps no tag of more than 100,000 characters.
LONGEST_LINE = 1000
# In its place, a champion's tag in stores of before: the version that was champion before it.
_REPLACED = "replaced"


@dataclass(frozen=True)
class Champions:
    """The champion, and those before it that were not rolled back.

    Attributes:
        present: the version that is champion; None where there is none.
        former: the versions before it, the first champion first.
    """

    present: int | None
    former: tuple[int, ...]

    @property
    def line(self) -> tuple[int, ...]:
        """All of them, the present one last."""
        return self.former if self.present is None else (*self.former, self.present)


def champions(scale: int) -> Champions:
    """Who is champion, and who was before."""
    model = _registered(scale)
    return Champions(None, ()) if model is None else _champions(scale, model)


def promote(scale: int, version: int, former: tuple[int, ...]) -> None:
    """Make a version the champion, after those that were before; to be done alone in the registry.

    Moving the alias decides: killed before it, the line still ends with the present champion.
    """
    _note(scale, (*former, version))
    _move(scale, version)
    _point_back(scale, former)


def roll_back(scale: int, version: int, former: tuple[int, ...]) -> None:
    """Make a former champion the champion again; to be done alone in the registry.

    Moving the alias decides: killed after it, the line already ends with this version.
    """
    _move(scale, version)
    _note(scale, (*former, version))
    _point_back(scale, former)


def mend_aliases(scale: int) -> None:
    """Let `previous-champion` be whom a roll back returns to, should a kill have left another."""
    model = _registered(scale)
    if model is None:
        return
    former = _champions(scale, model).former
    if _number(model, PREVIOUS_CHAMPION) != _newest_left(scale, former):
        with alone_in_registry(model.name):
            _point_back(scale, champions(scale).former)


def _point_back(scale: int, former: tuple[int, ...]) -> None:
    """Let `previous-champion` be the newest former champion."""
    client, name, wanted = MlflowClient(), model_name(scale), _newest_left(scale, former)
    if wanted is None:
        client.delete_registered_model_alias(name, PREVIOUS_CHAMPION)
    else:
        client.set_registered_model_alias(name, PREVIOUS_CHAMPION, str(wanted))


def _note(scale: int, line: tuple[int, ...]) -> None:
    text = json.dumps(line[-LONGEST_LINE:])
    MlflowClient().set_registered_model_tag(model_name(scale), LINE, text)


def _move(scale: int, version: int) -> None:
    MlflowClient().set_registered_model_alias(model_name(scale), CHAMPION, str(version))


def _registered(scale: int) -> RegisteredModel | None:
    try:
        return MlflowClient().get_registered_model(model_name(scale))
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def _champions(scale: int, model: RegisteredModel) -> Champions:
    present, line = _number(model, CHAMPION), _noted(scale, model)
    previous = _number(model, PREVIOUS_CHAMPION)
    # A kill leaves it at one of the line; any other was chosen by hand.
    chosen = [] if previous is None or previous in (*line, present) else [previous]
    if present in line:
        # From the back: a version may have been champion twice.
        line = line[: len(line) - 1 - line[::-1].index(present)]
    return Champions(present, (*line, *chosen))


def _number(model: RegisteredModel, alias: str) -> int | None:
    number = model.aliases.get(alias)
    return None if number is None else int(number)


def _newest_left(scale: int, former: tuple[int, ...]) -> int | None:
    """The newest former champion that was not deleted."""
    for version in reversed(former):
        if version_tags(scale, version) is not None:
            return version
    return None


def _noted(scale: int, model: RegisteredModel) -> list[int]:
    """The line as it was written; or else, of a store of before, as its aliases and tags tell it.

    There a champion names the version that it replaced.
    """
    with suppress(KeyError, TypeError, ValueError):
        return [int(version) for version in json.loads(model.tags[LINE])]
    line: list[int] = []
    previous = _number(model, PREVIOUS_CHAMPION)
    following = _number(model, CHAMPION) or previous
    while following is not None and following not in line:
        line.insert(0, following)
        first = previous if len(line) == 1 else None
        replaced = (version_tags(scale, following) or {}).get(_REPLACED, first)
        following = None if replaced is None else int(replaced)
    return line
