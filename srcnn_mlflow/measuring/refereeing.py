"""Results against their originals, picture by picture: what is scored, left out, and doubted."""

import logging
import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from srcnn_mlflow.machine.errors import ImageError
from srcnn_mlflow.machine.processors import available_cores
from srcnn_mlflow.machine.progress import progress
from srcnn_mlflow.measuring.evaluation import make_comparable
from srcnn_mlflow.measuring.ledger import Tally
from srcnn_mlflow.measuring.metrics import psnr
from srcnn_mlflow.measuring.protocols import OURS
from srcnn_mlflow.measuring.scoring import Bench, Mark, Sharpen, Subject, measured_planes
from srcnn_mlflow.pictures.compared import Compared, read_compared
from srcnn_mlflow.pictures.imaging import Plane
from srcnn_mlflow.pictures.results import Matched, ResultPair

# In dB; less may be chance.
LEAST_FIT = 0.1
# In dB: no program that is in use enlarges so badly.
MOST_BELOW = 10.0
# Each needs some hundred bytes a pixel.
MOST_AT_ONCE = 4

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Refereed:
    """The originals that were scored, and a sentence for what was not, or is to be known."""

    originals: list[Path]
    left_out: list[str]
    notes: list[str]


def referee(
    scale: int,
    matched: Matched,
    tallies: Mapping[Subject, Tally],
    sharpen: Sharpen | None,
    on_colours: bool = False,
) -> Refereed:
    """Fill the tallies, a few pictures at a time, in the order of the originals.

    What cannot be compared is named and left out.

    Args:
        scale: 2, 3 or 4.
        matched: results and their originals.
        tallies: to be filled.
        sharpen: the network that a tally of `Subject.NETWORK` scores.
        on_colours: it works on red, green and blue, and not on luma alone.
    """

    def look_at(pair: ResultPair) -> tuple[tuple[str, ...], list[list[Mark | None]]] | str:
        try:
            compared = read_compared(pair, scale)
            doubts = _check(compared, scale)
        except ImageError as error:
            return str(error)
        result = compared.result, compared.result_is_luma
        bench = Bench(compared.original, scale, *result, sharpen, on_colours)
        scores = [tally.score(bench) for tally in tallies.values()]
        return (*compared.notes, *doubts), scores

    done = Refereed([], list(matched.left_out), [])
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


def _check(compared: Compared, scale: int) -> tuple[str, ...]:
    """Leave out what `evaluate` leaves out, and what has no error at all.

    Returns:
        A sentence where a result is so far from its original that it may be none of it.

    Raises:
        ImageError: the picture is too small or too plain, or the result is its original.
    """
    luma = measured_planes(compared.original, OURS).astype(np.uint8)
    original, _, bicubic = make_comparable(compared.name, luma, scale, scale)
    result: Plane = compared.result
    if not compared.result_is_luma:
        result = measured_planes(result, OURS).astype(np.uint8)
    found, usual = (psnr(original, plane, scale) for plane in (result, bicubic))
    if math.isinf(found):
        raise ImageError(
            f"{compared.name}: the result is the original itself, without any error to measure; "
            "give what a program has made of its small picture"
        )
    if found >= usual - MOST_BELOW:
        return ()
    return (
        f"the result of {compared.name} is {usual - found:.1f} dB below bicubic: it seems to be of "
        "another picture, shifted, or with its colours in another order",
    )


def tell_resized(results: Tally) -> str | None:
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
