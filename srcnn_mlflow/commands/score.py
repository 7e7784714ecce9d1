"""`score`: any program's results against their originals, under named protocols."""

import json
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from srcnn_mlflow.commands.project import under_project
from srcnn_mlflow.machine.atomic_write import atomic_write
from srcnn_mlflow.machine.errors import ImageError, ModelError, SrcnnError
from srcnn_mlflow.machine.git import git_commit
from srcnn_mlflow.measuring.ledger import Tally
from srcnn_mlflow.measuring.protocols import NAMED, OWN
from srcnn_mlflow.measuring.refereeing import referee, tell_resized
from srcnn_mlflow.measuring.scoring import Subject
from srcnn_mlflow.pictures.results import match_results
from srcnn_mlflow.showing.score_pages import (
    Scorecard,
    contents,
    ledger_page,
    protocol_table,
    table_page,
)

if TYPE_CHECKING:
    from srcnn_mlflow.commands.upscale import ChosenModel

ARTIFACTS = "score"
ALL = "all"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScoreRequest:
    """What is to be scored.

    Attributes:
        results: a folder.
        originals: a folder.
        scale: 2, 3 or 4.
        protocol: one of `NAMED`, or `all`.
        model: whose results they are, as `upscale` takes it, to be run anew; None for unknown.
    """

    results: Path
    originals: Path
    scale: int
    protocol: str
    model: str | None

    @property
    def names(self) -> tuple[str, ...]:
        """The protocols asked for, this project's first."""
        return tuple(NAMED if self.protocol == ALL else dict.fromkeys((OWN, self.protocol)))


def score_for_project(request: ScoreRequest) -> None:
    """`score` as a command; under `mlflow run` the run learns what was scored.

    Raises:
        SrcnnError: with a message for the person who asked.
    """
    if not under_project():
        card = score(request)
        with _beside(request.results) as folder:
            _write(card, folder)
        _tell(card, str(request.results / ARTIFACTS))
        return
    # Imported here, because MLflow takes seconds and scoring needs none of it.
    from srcnn_mlflow.pictures.datasets import Split
    from srcnn_mlflow.pictures.photos import digest, scan
    from srcnn_mlflow.tracking import active_run, registry, runs

    title = f"score x{request.scale} {request.results.name}"
    with runs.track("score", request.scale, {}, title):
        network = _network(request)
        card = _score(request, network)
        with active_run.artifact_folder(ARTIFACTS) as folder:
            _write(card, folder)
        active_run.describe(protocol_table(card))
        photos = tuple(scan(str(request.originals), card.originals)[0])
        split = Split(str(request.originals), "score", photos, digest(photos))
        model_id = registry.logged_id(network.found) if network and network.found else None
        active_run.log_split(split, models=[model_id])
        results = {**_metrics(card, Subject.RESULT), "images": len(card.originals)}
        active_run.log_measured(
            active_run.Measured(results, split, None),
            active_run.Measured(_metrics(card, Subject.NETWORK, "model_"), split, model_id),
        )
        _tell(card, active_run.place_of_artifacts(ARTIFACTS))


def score(request: ScoreRequest) -> Scorecard:
    """Score results picture by picture; what cannot be compared is named and left out.

    Raises:
        ImageError: nothing can be compared.
        ModelError: there is no such model.
    """
    return _score(request, _network(request))


def _score(request: ScoreRequest, network: "ChosenModel | None") -> Scorecard:
    if request.protocol not in (ALL, *NAMED):
        raise SrcnnError(
            f"protocol {request.protocol!r} is unknown; give {ALL}, or one of {', '.join(NAMED)}"
        )
    sharpen = network.upscaler.sharpen if network else None
    on_colours = network is not None and network.upscaler.channels != "y"
    matched = match_results(request.results, request.originals)
    protocols = [NAMED[name] for name in request.names]
    subjects = [Subject.RESULT, Subject.BICUBIC, *([Subject.NETWORK] if sharpen else [])]
    tallies = {subject: Tally(subject, protocols) for subject in subjects}
    done = referee(request.scale, matched, tallies, sharpen, on_colours)
    if not done.originals:
        raise ImageError(_nothing(request, done.left_out))
    heading = (
        f"{len(done.originals)} results in {request.results} against originals in "
        f"{request.originals}, scale {request.scale}. Commit {git_commit()}."
    )
    if fit := tell_resized(tallies[Subject.RESULT]):
        done.notes.append(fit)
        logger.warning("note: %s", fit)
    remarks = (
        *(f"Left out: {line}." for line in done.left_out),
        *(f"Note: {note}." for note in done.notes),
    )
    label = network.label if network else None
    return Scorecard(heading, request.names, tuple(done.originals), tallies, label, remarks)


def _network(request: ScoreRequest) -> "ChosenModel | None":
    if request.model is None:
        return None
    from srcnn_mlflow.commands.upscale import choose_model

    chosen = choose_model(request.model, request.scale)
    if chosen.upscaler.scale != request.scale:
        raise ModelError(
            f"{chosen.label} upscales by {chosen.upscaler.scale}, not by {request.scale}; give "
            f"scale={chosen.upscaler.scale}, or another model"
        )
    return chosen


def _nothing(request: ScoreRequest, left_out: list[str]) -> str:
    others = f" ({len(left_out) - 1} more, named above)" if len(left_out) > 1 else ""
    return (
        f"nothing in {request.results} can be scored against {request.originals}: "
        f"{left_out[0]}{others}"
    )


@contextmanager
def _beside(results: Path) -> Iterator[Path]:
    """The folder beside the results, each file of which is whole or not there."""
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(temporary)
        for path in sorted(Path(temporary).iterdir()):
            with atomic_write(results / ARTIFACTS / path.name) as partial:
                shutil.copyfile(path, partial)


def _write(card: Scorecard, folder: Path) -> None:
    pages = {
        "table.md": table_page(card),
        "ledger.md": ledger_page(card),
        "table.json": json.dumps(contents(card), indent=2, allow_nan=False),
    }
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")


def _metrics(card: Scorecard, subject: Subject, start: str = "") -> dict[str, float]:
    """`<protocol>_psnr` and `<protocol>_ssim`, where they can be measured, behind some start."""
    if subject not in card.tallies:
        return {}
    tally = card.tallies[subject]
    found = {name: tally.average(NAMED[name]) for name in card.names}
    return {
        f"{start}{name}_{what}": value
        for name, one in found.items()
        if one is not None
        for what, value in (("psnr", one.psnr), ("ssim", one.ssim))
        if value is not None
    }


def _tell(card: Scorecard, place: str) -> None:
    logger.info(card.heading)
    logger.info(protocol_table(card))
    left_out = sum(remark.startswith("Left out") for remark in card.remarks)
    if left_out:
        logger.info("left out %d, each named above", left_out)
    logger.info(
        "what each choice is worth: ledger.md, beside table.md and table.json, in %s", place
    )
