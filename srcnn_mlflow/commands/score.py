"""`score`: any program's results against their originals, under named protocols."""

import json
import logging
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from srcnn_mlflow.commands.project import under_project
from srcnn_mlflow.machine.atomic_write import atomic_write
from srcnn_mlflow.machine.errors import ImageError, ModelError, SrcnnError
from srcnn_mlflow.machine.git import git_commit
from srcnn_mlflow.machine.processors import available_cores
from srcnn_mlflow.machine.progress import progress
from srcnn_mlflow.measuring.evaluation import make_comparable
from srcnn_mlflow.measuring.ledger import Tally
from srcnn_mlflow.measuring.metrics import mse
from srcnn_mlflow.measuring.protocols import NAMED, OURS
from srcnn_mlflow.measuring.scoring import Bench, Mark, Sharpen, Subject, measured_planes
from srcnn_mlflow.pictures.compared import Compared, read_compared
from srcnn_mlflow.pictures.imaging import Plane
from srcnn_mlflow.pictures.results import Matched, ResultPair, match_results
from srcnn_mlflow.showing.score_pages import (
    Scorecard,
    contents,
    ledger_page,
    protocol_table,
    table_page,
)

ARTIFACTS = "score"
# In dB; less may be chance.
LEAST_FIT = 0.1
# Each needs some hundred bytes a pixel.
MOST_AT_ONCE = 4
ALL, OWN = "all", "srcnn-mlflow"

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
        return (
            tuple(NAMED) if self.protocol == ALL else tuple({"srcnn-mlflow": 0, self.protocol: 0})
        )


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
    from srcnn_mlflow.tracking import active_run, runs

    title = f"score x{request.scale} {request.results.name}"
    with runs.track("score", request.scale, {}, title):
        card = score(request)
        with active_run.artifact_folder(ARTIFACTS) as folder:
            _write(card, folder)
        active_run.log_metrics(_metrics(card))
        active_run.describe(protocol_table(card))
        photos = tuple(scan(str(request.originals), card.originals)[0])
        active_run.log_split(Split(str(request.originals), "score", photos, digest(photos)))
        _tell(card, active_run.artifacts_address(ARTIFACTS))


def score(request: ScoreRequest) -> Scorecard:
    """Score results picture by picture; what cannot be compared is named and left out.

    Raises:
        ImageError: nothing can be compared.
        ModelError: there is no such model.
    """
    if request.protocol not in (ALL, *NAMED):
        raise SrcnnError(
            f"protocol {request.protocol!r} is unknown; give {ALL}, or one of {', '.join(NAMED)}"
        )
    sharpen, network = _network(request)
    matched = match_results(request.results, request.originals)
    protocols = [NAMED[name] for name in request.names]
    subjects = [Subject.RESULT, Subject.BICUBIC, *([Subject.NETWORK] if sharpen else [])]
    tallies = {subject: Tally(subject, protocols) for subject in subjects}
    done = _score_all(request.scale, matched, tallies, sharpen)
    if not done.originals:
        raise ImageError(_nothing(request, done.left_out))
    heading = (
        f"{len(done.originals)} results in {request.results} against originals in "
        f"{request.originals}, scale {request.scale}. Commit {git_commit()}."
    )
    if fit := _fit_resized(tallies[Subject.RESULT]):
        done.notes.append(fit)
        logger.warning("note: %s", fit)
    remarks = (
        *(f"Left out: {line}." for line in done.left_out),
        *(f"Note: {note}." for note in done.notes),
    )
    return Scorecard(heading, request.names, tuple(done.originals), tallies, network, remarks)


@dataclass(frozen=True)
class _Scored:
    """The originals that were scored, and a sentence for what was not, or is to be known."""

    originals: list[Path]
    left_out: list[str]
    notes: list[str]


def _score_all(
    scale: int, matched: Matched, tallies: Mapping[Subject, Tally], sharpen: Sharpen | None
) -> _Scored:
    """Fill the tallies, a few pictures at a time, in the order of the originals."""

    def look_at(pair: ResultPair) -> tuple[tuple[str, ...], list[list[Mark | None]]] | str:
        try:
            compared = read_compared(pair, scale)
            _check(compared, scale)
        except ImageError as error:
            return str(error)
        bench = Bench(compared.original, scale, compared.result, compared.result_is_luma, sharpen)
        return compared.notes, [tally.score(bench) for tally in tallies.values()]

    done = _Scored([], list(matched.left_out), [])
    for line in matched.left_out:
        logger.warning("left out: %s", line)
    with ThreadPoolExecutor(min(available_cores(), MOST_AT_ONCE)) as pool:
        found = zip(matched.pairs, pool.map(look_at, matched.pairs), strict=True)
        for pair, outcome in progress(found, total=len(matched.pairs), label="scoring"):
            if isinstance(outcome, str):
                logger.warning("left out: %s", outcome)
                done.left_out.append(outcome)
                continue
            notes, scores = outcome
            for note in notes:
                logger.info("note: %s", note)
            done.notes.extend(notes)
            for tally, marks in zip(tallies.values(), scores, strict=True):
                tally.take(marks)
            done.originals.append(pair.original)
    return done


def _network(request: ScoreRequest) -> tuple[Sharpen | None, str | None]:
    if request.model is None:
        return None, None
    from srcnn_mlflow.commands.upscale import choose_model

    chosen = choose_model(request.model, request.scale)
    if chosen.upscaler.scale != request.scale:
        raise ModelError(
            f"{chosen.label} upscales by {chosen.upscaler.scale}, not by {request.scale}; give "
            f"scale={chosen.upscaler.scale}, or another model"
        )
    return chosen.upscaler.sharpen, chosen.label


def _check(compared: Compared, scale: int) -> None:
    """Leave out what `evaluate` leaves out, and what has no error at all.

    Raises:
        ImageError: the picture is too small or too plain, or the result is its original.
    """
    luma = measured_planes(compared.original, OURS).astype(np.uint8)
    original, _, _ = make_comparable(compared.name, luma, scale, scale)
    result: Plane = compared.result
    if not compared.result_is_luma:
        result = measured_planes(result, OURS).astype(np.uint8)
    if mse(original, result, scale) == 0:
        raise ImageError(
            f"{compared.name}: the result is the original itself, without any error to measure; "
            "give what a program has made of its small picture"
        )


def _fit_resized(results: Tally) -> str | None:
    """Tell whether results seem to be made of resized originals, or suffer where these are used."""
    cropped, resized = (results.average(one) for one in (OURS, replace(OURS, originals="resized")))
    if cropped is None or resized is None or abs(resized.psnr - cropped.psnr) < LEAST_FIT:
        return None
    by = f"{abs(resized.psnr - cropped.psnr):.2f} dB"
    if resized.psnr > cropped.psnr:
        return (
            "the results fit originals that are resized to multiples of the scale better, by "
            f"{by}: they seem to be made of these, as yjn870's are; srcnn-mlflow and papers "
            "measure results of cropped originals"
        )
    return (
        "the results were made of cropped originals, and yjn870 resizes them, where they do not "
        f"lie on each other: {by} less. What it would give itself stands under bicubic, and under "
        "the model where one is given"
    )


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


def _metrics(card: Scorecard) -> dict[str, float]:
    """`<protocol>_psnr` and `<protocol>_ssim` of the results, where they can be measured."""
    tally = card.tallies[Subject.RESULT]
    found = {name: tally.average(NAMED[name]) for name in card.names}
    return {
        f"{name}_{what}": value
        for name, one in found.items()
        if one is not None
        for what, value in (("psnr", one.psnr), ("ssim", one.ssim))
        if value is not None
    } | {"images": len(card.originals)}


def _tell(card: Scorecard, place: str) -> None:
    logger.info(card.heading)
    logger.info(protocol_table(card))
    left_out = sum(remark.startswith("Left out") for remark in card.remarks)
    if left_out:
        logger.info("left out %d, each named above", left_out)
    logger.info(
        "what each choice is worth: ledger.md, beside table.md and table.json, in %s", place
    )
