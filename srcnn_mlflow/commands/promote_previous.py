"""`promote` with `version=previous`: walk the line of champions back by one."""

import logging
from collections.abc import Sequence

from srcnn_mlflow.commands.promote_line import (
    ARTIFACTS,
    Broken,
    describe_broken,
    newest_that_runs,
    record_verdict,
)
from srcnn_mlflow.machine.errors import ModelError
from srcnn_mlflow.tracking import active_run, champions, registry
from srcnn_mlflow.tracking.champions import Champions
from srcnn_mlflow.tracking.judge import check_model
from srcnn_mlflow.tracking.registry import FoundModel, model_name
from srcnn_mlflow.tracking.registry_lock import alone_in_registry

# How the verdict of a version begins that was champion, and is no longer wanted.
ROLLED_BACK = "rolled back"

logger = logging.getLogger(__name__)


def roll_back(scale: int) -> tuple[int, int | None]:
    """Make the newest former champion that can be run the champion again.

    Returns:
        The version that is champion now, and the one that was; None where there was none.

    Raises:
        ModelError: there is no former champion, none that can be run, or another process has
            changed the champion meanwhile.
    """

    def check(found: FoundModel) -> None:
        check_model(found, scale)

    known = champions.champions(scale)
    line, _, broken = newest_that_runs(scale, known.former, check)
    if not line:
        raise ModelError(_why_none(scale, known, broken))
    with alone_in_registry(model_name(scale)):
        present = champions.champions(scale)
        if present != known:
            # Of two who want to be rid of one champion, the second would go back too far.
            raise ModelError(
                f"version {present.present} has become champion of {model_name(scale)} meanwhile, "
                f"in place of {known.present}; look at it, and start again if it is to go too"
            )
        _record_roll_back(scale, line[-1], known.present, broken)
        champions.roll_back(scale, line[-1], line[:-1])
    logger.info("rolled back: version %d is champion of %s again", line[-1], model_name(scale))
    return line[-1], known.present


def check_former(scale: int) -> None:
    """Make sure that there is a former champion to return to.

    Raises:
        ModelError: there is none.
    """
    known = champions.champions(scale)
    if not known.former:
        raise ModelError(_why_none(scale, known, ()))


def _why_none(scale: int, known: Champions, broken: Sequence[Broken]) -> str:
    """Why there is no roll back, and what to do."""
    name = model_name(scale)
    if not known.line:
        return (
            f"{name} has had no earlier champion, so there is none to return to; promote a version "
            "first"
        )
    if broken:
        found = f"no former champion is left to return to: {describe_broken(scale, broken)}"
    else:
        found = f"{name} has had no earlier champion than version {known.present}"
    return f"{found}; give the number of another version, which is then judged"


def _record_roll_back(
    scale: int, version: int, present: int | None, broken: Sequence[Broken]
) -> None:
    """Give every version that it concerns its reason, before the alias moves."""
    name = model_name(scale)
    left_out = f"; passed over: {describe_broken(scale, broken)}" if broken else ""
    place = "where there was none" if present is None else f"in place of version {present}"
    told = f"{ROLLED_BACK}: {name} version {version} is champion again {place}{left_out}"
    verdicts = {one.version: f"passed over: cannot be run ({one.reason})" for one in broken}
    if present is not None:
        verdicts[present] = f"{ROLLED_BACK}: version {version} is champion again{left_out}"
    why = "there was no champion" if present is None else f"version {present} was rolled back"
    verdicts[version] = f"champion again: {why}{left_out}"
    former = {one: (registry.version_tags(scale, one) or {}).get("verdict") for one in verdicts}
    lines = [f"- version {one}, {text}; before: {former[one]}" for one, text in verdicts.items()]
    active_run.log_text("\n".join([told, "", *lines, ""]), f"{ARTIFACTS}/verdict.md")
    facts = {"verdict": told, "versions": verdicts, "before": former}
    active_run.log_json(facts, f"{ARTIFACTS}/verdict.json")
    for one, text in verdicts.items():
        if registry.version_tags(scale, one) is not None:
            record_verdict(scale, one, text)
    active_run.set_tags({"verdict": told, "model_uri": f"models:/{name}/{version}"})
