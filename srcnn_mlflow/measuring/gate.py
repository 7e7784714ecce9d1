"""Whether a challenger has earned its place: the statistics behind `promote`.

Two networks that are equally good still differ on any set of pictures, and what differs from
picture to picture is the noise. So pictures are what is drawn, and a lead counts when two tests at
5 % both find it: sign flips, which are exact for differences that are symmetric about zero,
however heavy their tails, at any number of pictures (Fisher, 1935; Pitman, 1937); and the t test
with Hall's transformation (1992), which takes the skewness of differences out, as where a network
gains a little on most pictures and loses much on some. docs/protocol.md has the rates at which
equally good networks pass.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from srcnn_mlflow.measuring.evaluation import ImageScore, summarize
from srcnn_mlflow.measuring.metrics import decibels
from srcnn_mlflow.pictures.decoding import MAX_PIXELS

CONFIDENCE = 0.95
# With fewer pictures, no arrangement of signs is as rare as CONFIDENCE asks: 1/16 for four.
LEAST_PICTURES = 5
# With fewer, skewness cannot be estimated, and sign flips decide alone.
LEAST_FOR_SKEWNESS = 6
# All subsets of twelve pictures, but for the empty one.
SUBSETS = 2**12 - 1
# How far a picture may fall below bicubic, in dB.
RUIN_MARGIN = 0.1

METRICS = ("PSNR", "SSIM")

# Of a perfect picture, which would be infinitely good: one wrong pixel in the largest of all.
_BEST_PSNR = decibels(1 / MAX_PIXELS)
_SEED = 0
_MOST_NAMED = 5

Leads = NDArray[np.float64]


@dataclass(frozen=True)
class Contest:
    """A challenger's lead over an opponent in one metric, on the same pictures.

    Attributes:
        opponent: `bicubic`, or the champion by its version.
        metric: `PSNR` or `SSIM`.
        challenger: the challenger's mean, in dB for PSNR.
        bar: the opponent's mean.
        certain_lead: what the lead is at least, by the rule of the judgement; None where there are
            too few pictures to say.
    """

    opponent: str
    metric: str
    challenger: float
    bar: float
    certain_lead: float | None

    @property
    def lead(self) -> float:
        """The challenger's mean minus the opponent's."""
        return self.challenger - self.bar

    @property
    def won(self) -> bool:
        """Whether the lead is more than noise."""
        return self.certain_lead is not None and self.certain_lead > 0


@dataclass(frozen=True)
class Judgement:
    """Everything the gate has found.

    Attributes:
        contests: one for each opponent and metric.
        ruined: names of pictures more than RUIN_MARGIN below bicubic, and how far, in dB.
        pictures: on how many it rests.
        on_more: the command that judges on more of them.
        colours: the challenger's and bicubic's mean PSNR over red, green and blue, in dB; None
            for a network on luma, whose colours are bicubic's.
    """

    contests: tuple[Contest, ...]
    ruined: tuple[tuple[str, float], ...]
    pictures: int
    on_more: str
    colours: tuple[float, float] | None = None

    @property
    def too_few(self) -> bool:
        """Whether no lead over a champion could be told from noise on these pictures."""
        return any(contest.certain_lead is None for contest in self.contests)

    @property
    def by_weaker_rule(self) -> bool:
        """Whether it rests on fewer pictures than a certain lead needs, against bicubic alone."""
        return self.pictures < LEAST_PICTURES and not self.too_few

    @property
    def shortcomings(self) -> tuple[str, ...]:
        """One sentence for everything the challenger fell short of; empty when it passes."""
        found = [_describe_loss(contest) for contest in self.contests if not contest.won]
        if self.too_few:
            found.append(
                f"{_count(self.pictures)} too few to tell a better network from an equally good "
                f"one, which leads on all of them once in {2**self.pictures} times; at least "
                f"{LEAST_PICTURES} are needed, as in {self.on_more}"
            )
        if self.colours is not None and self.colours[0] < self.colours[1]:
            found.append(
                f"its colours fall below bicubic's: {self.colours[0]:.3f} dB over red, green and "
                f"blue against {self.colours[1]:.3f} dB"
            )
        if self.ruined:
            names = ", ".join(
                f"{name} by {loss:.2f} dB" for name, loss in self.ruined[:_MOST_NAMED]
            )
            found.append(
                f"it falls more than {RUIN_MARGIN} dB below bicubic on {len(self.ruined)} "
                f"picture(s): {names}"
            )
        return tuple(found)

    @property
    def rule(self) -> str:
        """By which rule leads were told from noise, and how often it errs, in a sentence."""
        if self.too_few:
            return (
                f"{_count(self.pictures)} too few for a certain lead over a champion; at least "
                f"{LEAST_PICTURES} are needed, as in `{self.on_more}`."
            )
        if self.by_weaker_rule:
            return (
                f"The weaker rule for a first champion: it has to lead bicubic on every picture. "
                f"{_count(self.pictures)} too few for more, and a network no better than bicubic "
                f"passes once in {2**self.pictures} times."
            )
        tests = (
            "sign flips"
            if self.pictures < LEAST_FOR_SKEWNESS
            else "both sign flips and Hall's t test"
        )
        return (
            f"The certain lead is what the lead over {self.pictures} pictures is at least, with "
            f"{CONFIDENCE:.0%} confidence, by {tests}; it has to be above zero."
        )


def judge(
    challenger: Sequence[ImageScore],
    champion: Sequence[ImageScore] | None,
    champion_name: str,
    on_more: str = "a larger data set",
) -> Judgement:
    """Hold a challenger against bicubic and the champion on the same pictures.

    Args:
        challenger: its scores, at least one.
        champion: the champion's scores on the same pictures in the same order; None for none.
        champion_name: how messages call it.
        on_more: the command that judges on more pictures, for messages.
    """
    opponents = {"bicubic": [(score.bicubic_psnr, score.bicubic_ssim) for score in challenger]}
    if champion is not None:
        opponents[champion_name] = [(score.srcnn_psnr, score.srcnn_ssim) for score in champion]
    mine = _as_scores([(score.srcnn_psnr, score.srcnn_ssim) for score in challenger])
    # A first champion may come of fewer pictures, by a weaker rule.
    bound = least_lead if champion is None and len(mine) < LEAST_PICTURES else certain_lead
    contests = [
        Contest(name, metric, float(np.mean(own)), float(np.mean(theirs)), bound(own - theirs))
        for name, scores in opponents.items()
        for metric, own, theirs in zip(METRICS, mine.T, _as_scores(scores).T, strict=True)
    ]
    losses = [_loss(score) for score in challenger]
    ruined = sorted((loss for loss in losses if loss[1] > RUIN_MARGIN), key=lambda loss: -loss[1])
    summary = summarize(challenger)
    colours = None
    if summary.srcnn_rgb_psnr is not None and summary.bicubic_rgb_psnr is not None:
        colours = summary.srcnn_rgb_psnr, summary.bicubic_rgb_psnr
    return Judgement(tuple(contests), tuple(ruined), len(mine), on_more, colours)


def certain_lead(leads: Leads) -> float | None:
    """What the mean of leads is at least, with CONFIDENCE.

    Args:
        leads: the challenger's score minus the opponent's, for every picture; shape (pictures,).

    Returns:
        The lower of the bounds that sign flips and Hall's t test give; below LEAST_FOR_SKEWNESS
        pictures that of sign flips, and below LEAST_PICTURES None.
    """
    if len(leads) < LEAST_PICTURES:
        return None
    if len(leads) < LEAST_FOR_SKEWNESS:
        return _bound_of_sign_flips(leads)
    return min(_bound_of_sign_flips(leads), _bound_of_t_test(leads))


def least_lead(leads: Leads) -> float:
    """The lead on the picture where it is least; noise is above zero on n once in 2**n times."""
    return float(np.min(leads))


def describe(judgement: Judgement) -> str:
    """A judgement as a Markdown table, with the rule that it was decided by."""
    lines = [
        "| Against | Metric | Challenger | Opponent | Lead | Certain lead | |",
        "|---|---|--:|--:|--:|--:|---|",
    ]
    for contest in judgement.contests:
        digits = 3 if contest.metric == "PSNR" else 5
        certain = contest.certain_lead
        lines.append(
            f"| {contest.opponent} | {contest.metric} | {contest.challenger:.{digits}f} "
            f"| {contest.bar:.{digits}f} | {contest.lead:+.{digits}f} "
            f"| {'unknown' if certain is None else f'{certain:+.{digits}f}'} "
            f"| {'won' if contest.won else 'not won'} |"
        )
    colours = ""
    if judgement.colours is not None:
        own, bar = judgement.colours
        colours = f"Its colours: {own:.3f} dB over red, green and blue, bicubic's {bar:.3f} dB. "
    return "\n".join(lines) + (
        f"\n\n{judgement.rule} {colours}{len(judgement.ruined)} picture(s) fall more than "
        f"{RUIN_MARGIN} dB below bicubic.\n"
    )


def decision(name: str, judgement: Judgement) -> tuple[str, tuple[str, ...]]:
    """A judgement in a sentence, and what belongs on lines below it.

    Args:
        name: of the version that was judged.
        judgement: everything the gate has found.
    """
    if judgement.shortcomings:
        sentence, reasons = refusal(name, judgement.shortcomings)
        return (sentence if reasons else f"{sentence}."), reasons
    leads = [
        f"{contest.lead:.3f} dB above {contest.opponent}"
        for contest in judgement.contests
        if contest.metric == METRICS[0]
    ]
    count = "1 picture" if judgement.pictures == 1 else f"{judgement.pictures} pictures"
    return f"{name} is promoted: on {count} it is {' and '.join(leads)}.", ()


def refusal(name: str, shortcomings: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """That a version is not promoted, in a sentence, and why, where that are several reasons.

    Args:
        name: of the version.
        shortcomings: at least one; one alone stands in the sentence.

    >>> refusal("version 2", ["it is worse"])
    ('version 2 is not promoted: it is worse', ())
    """
    if len(shortcomings) == 1:
        return f"{name} is not promoted: {shortcomings[0]}", ()
    return f"{name} is not promoted, for {len(shortcomings)} reasons:", tuple(shortcomings)


def _as_scores(scores: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
    """PSNR and SSIM of every picture, all finite; shape (pictures, 2)."""
    return np.minimum(np.array(scores, np.float64), _BEST_PSNR)


def _bound_of_sign_flips(leads: Leads) -> float:
    """The largest mean that an exact test of sign flips would reject, from below.

    Flipping the signs of some leads around a mean leaves their sum as large as it is exactly where
    the flipped ones average to no more than that mean. So the bound is an order statistic of the
    means of subsets (Hartigan, 1969), which with a random sample of them stays exact (Dwass, 1957).
    """
    subsets = _subsets(len(leads))
    sizes = subsets.sum(axis=1)
    # No flip at all leaves every sum as it is.
    means = np.where(sizes == 0, -np.inf, subsets @ leads / np.maximum(sizes, 1))
    rank = int((1 - CONFIDENCE) * (len(subsets) + 1) + 1e-9)
    return float(np.partition(means, rank - 1)[rank - 1])


@lru_cache(maxsize=1)
def _subsets(count: int) -> NDArray[np.float64]:
    """Every subset but the empty one, or SUBSETS random ones; ones in (subsets, count)."""
    if 2**count - 1 <= SUBSETS:
        return ((np.arange(1, 2**count)[:, None] >> np.arange(count)) & 1).astype(np.float64)
    return np.random.default_rng(_SEED).integers(0, 2, (SUBSETS, count)).astype(np.float64)


def _bound_of_t_test(leads: Leads) -> float:
    """The largest mean that the t test rejects once skewness is taken out (Hall, 1992).

    Of W, the distance of the mean in standard deviations, and the skewness g of n leads,
    W + g W^2 / 3 + g^2 W^3 / 27 + g / 6n is nearly free of skewness; this solves it for the mean.
    """
    count, mean, spread = len(leads), float(np.mean(leads)), float(np.std(leads))
    if spread == 0:
        return mean
    skewness = float(np.mean(((leads - mean) / spread) ** 3))
    quantile = float(stdtrit(count - 1, CONFIDENCE))
    limit = quantile / math.sqrt(count) - skewness / (6 * count)
    if abs(skewness) > 1e-6:
        limit = 3 / skewness * float(np.cbrt(1 + skewness * limit) - 1)
    return mean - spread * limit


def _loss(score: ImageScore) -> tuple[str, float]:
    """A picture's name, and how far it is below bicubic, in luma or in its colours, in dB."""
    luma, colours = -score.psnr_gain, -(score.rgb_psnr_gain or 0.0)
    return (score.image, luma) if luma >= colours else (f"{score.image} in its colours", colours)


def _count(pictures: int) -> str:
    return "1 picture is" if pictures == 1 else f"{pictures} pictures are"


def _describe_loss(contest: Contest) -> str:
    unit, digits = (" dB", 3) if contest.metric == "PSNR" else ("", 5)
    if contest.lead <= 0:
        reason = "does not beat it"
    elif contest.certain_lead is None:
        reason = f"leads by {contest.lead:.{digits}f}{unit}, which may be noise"
    else:
        reason = f"leads by {contest.lead:.{digits}f}{unit}, which is within the noise"
    return (
        f"its {contest.metric} of {contest.challenger:.{digits}f}{unit} against "
        f"{contest.opponent}'s {contest.bar:.{digits}f}{unit} {reason}"
    )
