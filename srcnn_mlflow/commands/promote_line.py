"""The line of champions as `promote` walks it: who can be run, and what is said of each."""

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from srcnn_mlflow.machine.errors import DamagedModelError
from srcnn_mlflow.tracking import active_run, registry
from srcnn_mlflow.tracking.registry import FoundModel, model_name

ARTIFACTS = "promotion"

logger = logging.getLogger(__name__)
_Given = TypeVar("_Given")


class Broken(NamedTuple):
    """A version that cannot be run, and why."""

    version: int
    reason: str


def newest_that_runs(
    scale: int,
    line: Sequence[int],
    run: Callable[[FoundModel], _Given],
    beside: int | None = None,
) -> tuple[tuple[int, ...], _Given | None, tuple[Broken, ...]]:
    """Walk a line of champions back to one that can be run.

    Args:
        scale: 2, 3 or 4.
        line: the versions, the newest last.
        run: loads and runs a model.
        beside: a version that is not wanted, should it stand in the line.

    Returns:
        The line up to that one, what running it gave, and those that cannot be run.
    """
    broken: list[Broken] = []
    for place in range(len(line), 0, -1):
        version = line[place - 1]
        if version == beside:
            continue
        try:
            given = run(registry.find_model(str(version), scale))
        except DamagedModelError as error:
            broken.append(Broken(version, reason_of(scale, version, error)))
            logger.warning("passed over: %s", describe_broken(scale, broken[-1:]))
            continue
        return tuple(line[:place]), given, tuple(broken)
    return (), None, tuple(broken)


def reason_of(scale: int, version: int, error: DamagedModelError) -> str:
    """Why a version cannot be run, without its name."""
    return str(error).removeprefix(f"{model_name(scale)} version {version} cannot be run: ")


def describe_broken(scale: int, broken: Sequence[Broken]) -> str:
    """Name versions that cannot be run, each with its reason."""
    return ", ".join(
        f"{model_name(scale)} version {one.version} cannot be run ({one.reason})" for one in broken
    )


def record_verdict(scale: int, version: int, verdict: str) -> None:
    """Let the active run and a version say what was decided."""
    active_run.set_tags({"verdict": verdict})
    registry.tag_version(scale, version, {"judged_by": active_run.run_id(), "verdict": verdict})
