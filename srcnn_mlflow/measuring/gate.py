"""Whether a challenger has earned its place: the statistics behind `promote`.

Two networks that are equally good still differ on any set of pictures. A paired bootstrap (Efron
and Tibshirani, 1993) says how much: it draws the pictures anew, with replacement, many times,
and looks at how often the difference keeps its sign. Where there are few pictures it draws the
tiles of each of them instead.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from srcnn_mlflow.measuring.evaluation import ImageScore
from srcnn_mlflow.measuring.metrics import PEAK, TileScores

CONFIDENCE = 0.95
RESAMPLES = 4000
# With fewer pictures than this, the tiles of each are drawn, not the pictures.
FEW_PICTURES = 30
# How far a picture may fall below bicubic, in dB.
RUIN_MARGIN = 0.1

METRICS = ("PSNR", "SSIM")

_SEED = 0
_MOST_NAMED = 5

# A contender's tiles in every picture.
_Tiles = Sequence[TileScores]
_Resample = Callable[[_Tiles, str], NDArray[np.float64]]


@dataclass(frozen=True)
class _Standing:
    """Where a contender stands in one metric: its mean, and the means of all resamples."""

    mean: float
    resampled: NDArray[np.float64]


@dataclass(frozen=True)
class Contest:
    """A challenger's lead over an opponent in one metric, on the same pictures.

    Attributes:
        opponent: `bicubic`, or the champion by its version.
        metric: `PSNR` or `SSIM`.
        challenger: the challenger's mean, in dB for PSNR.
        bar: the opponent's mean.
        certain_lead: the lead that CONFIDENCE of all resamples reach or exceed.
    """

    opponent: str
    metric: str
    challenger: float
    bar: float
    certain_lead: float

    @property
    def won(self) -> bool:
        """Whether the lead is more than noise."""
        return self.certain_lead > 0


@dataclass(frozen=True)
class Judgement:
    """Everything the gate has found.

    Attributes:
        contests: one for each opponent and metric.
        ruined: names of pictures more than RUIN_MARGIN below bicubic, and how far, in dB.
        drawn: what was resampled: `pictures` or `tiles`.
    """

    contests: tuple[Contest, ...]
    ruined: tuple[tuple[str, float], ...]
    drawn: str

    @property
    def shortcomings(self) -> tuple[str, ...]:
        """One sentence for everything the challenger fell short of; empty when it passes."""
        found = [_describe_loss(contest) for contest in self.contests if not contest.won]
        if self.ruined:
            names = ", ".join(
                f"{name} by {loss:.2f} dB" for name, loss in self.ruined[:_MOST_NAMED]
            )
            found.append(
                f"it falls more than {RUIN_MARGIN} dB below bicubic on {len(self.ruined)} "
                f"picture(s): {names}"
            )
        return tuple(found)


def judge(
    challenger: Sequence[ImageScore], champion: Sequence[ImageScore] | None, champion_name: str
) -> Judgement:
    """Hold a challenger against bicubic and the champion on the same pictures.

    Args:
        challenger: its scores, at least one.
        champion: the champion's scores on the same pictures in the same order; None for none.
        champion_name: how messages call it.
    """
    mine = [score.srcnn_tiles for score in challenger]
    opponents = {"bicubic": [score.bicubic_tiles for score in challenger]}
    if champion is not None:
        opponents[champion_name] = [score.srcnn_tiles for score in champion]
    drawn = "tiles" if len(challenger) < FEW_PICTURES else "pictures"
    resample = _resample_tiles if drawn == "tiles" else _resample_pictures
    standing = {metric: _stand(mine, metric, resample) for metric in METRICS}
    contests = [
        _contest(name, metric, standing[metric], _stand(tiles, metric, resample))
        for name, tiles in opponents.items()
        for metric in METRICS
    ]
    losses = [(score.image, -score.psnr_gain) for score in challenger]
    ruined = sorted((loss for loss in losses if loss[1] > RUIN_MARGIN), key=lambda loss: -loss[1])
    return Judgement(tuple(contests), tuple(ruined), drawn)


def describe(judgement: Judgement) -> str:
    """A judgement as a Markdown table, with what it was drawn from."""
    lines = [
        "| Against | Metric | Challenger | Opponent | Lead | Certain lead | |",
        "|---|---|--:|--:|--:|--:|---|",
    ]
    for contest in judgement.contests:
        digits = 3 if contest.metric == "PSNR" else 5
        lead = contest.challenger - contest.bar
        lines.append(
            f"| {contest.opponent} | {contest.metric} | {contest.challenger:.{digits}f} "
            f"| {contest.bar:.{digits}f} | {lead:+.{digits}f} | {contest.certain_lead:+.{digits}f} "
            f"| {'won' if contest.won else 'not won'} |"
        )
    return "\n".join(lines) + (
        f"\n\nThe certain lead is what {CONFIDENCE:.0%} of {RESAMPLES} paired resamples of "
        f"{judgement.drawn} reach; it has to be above zero. "
        f"{len(judgement.ruined)} picture(s) fall more than {RUIN_MARGIN} dB below bicubic.\n"
    )


def _contest(opponent: str, metric: str, mine: _Standing, theirs: _Standing) -> Contest:
    leads = mine.resampled - theirs.resampled
    return Contest(
        opponent,
        metric,
        challenger=mine.mean,
        bar=theirs.mean,
        certain_lead=float(np.quantile(leads, 1 - CONFIDENCE)),
    )


def _stand(pictures: _Tiles, metric: str, resample: _Resample) -> _Standing:
    return _Standing(float(np.mean(_whole_scores(pictures, metric))), resample(pictures, metric))


def _whole_scores(pictures: _Tiles, metric: str) -> NDArray[np.float64]:
    """Every picture's score, each tile once; shape (pictures,)."""
    return np.array(
        [_scores(tiles, metric, np.ones((1, len(tiles.pixels))))[0] for tiles in pictures]
    )


def _scores(tiles: TileScores, metric: str, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Score a picture in which tiles occur as often as the weights say.

    Args:
        tiles: of the picture.
        metric: `PSNR` or `SSIM`.
        weights: shape (resamples, tiles).

    Returns:
        float64 of shape (resamples,).
    """
    if metric == "SSIM":
        # Drawn without any window, a picture says nothing; it then counts as it is.
        windows = weights @ tiles.windows
        empty = windows == 0
        sums = np.where(empty, tiles.ssim.sum(), weights @ tiles.ssim)
        ssim: NDArray[np.float64] = sums / np.where(empty, tiles.windows.sum(), windows)
        return ssim
    errors = (weights @ tiles.squared_error) / (weights @ tiles.pixels)
    # A perfect picture would be infinitely good; no 8-bit plane can tell it from this one.
    least = 1 / tiles.pixels.sum()
    psnr: NDArray[np.float64] = 10 * np.log10(PEAK**2 / np.maximum(errors, least))
    return psnr


def _resample_tiles(pictures: _Tiles, metric: str) -> NDArray[np.float64]:
    """The mean over the pictures, each put together of tiles drawn from itself."""
    generator = np.random.default_rng(_SEED)
    total = np.zeros(RESAMPLES)
    for tiles in pictures:
        count = len(tiles.pixels)
        weights = generator.multinomial(count, np.full(count, 1 / count), RESAMPLES)
        total += _scores(tiles, metric, weights.astype(np.float64))
    return total / len(pictures)


def _resample_pictures(pictures: _Tiles, metric: str) -> NDArray[np.float64]:
    """The mean over pictures drawn from all of them."""
    scores = _whole_scores(pictures, metric)
    count = len(scores)
    generator = np.random.default_rng(_SEED)
    weights = generator.multinomial(count, np.full(count, 1 / count), RESAMPLES)
    means: NDArray[np.float64] = weights @ scores / count
    return means


def _describe_loss(contest: Contest) -> str:
    unit, digits = (" dB", 3) if contest.metric == "PSNR" else ("", 5)
    lead = contest.challenger - contest.bar
    reason = (
        f"leads by {lead:.{digits}f}{unit}, which is within the noise"
        if lead > 0
        else "does not beat it"
    )
    return (
        f"its {contest.metric} of {contest.challenger:.{digits}f}{unit} against "
        f"{contest.opponent}'s {contest.bar:.{digits}f}{unit} {reason}"
    )
