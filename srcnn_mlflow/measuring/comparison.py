"""Several models beside each other: a table, and which pictures stand alike at every scale."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from statistics import median
from typing import Any

from srcnn_mlflow.machine.text import as_markdown
from srcnn_mlflow.measuring.evaluation import Summary
from srcnn_mlflow.measuring.ranking import extreme_count, rank_correlation, shared_extremes
from srcnn_mlflow.measuring.spectrum import HighFrequencies
from srcnn_mlflow.measuring.tables import aligned_table

SPECTRUM = (
    "High frequencies are those above half the Nyquist frequency in either direction, which a copy "
    "half as wide and high cannot carry: their share of the luma's spectral energy, and their "
    "level, the root mean square in grey levels (two-dimensional DFT, mean removed, Hann window)."
)
# Of fewer, any order is likely by chance.
LEAST_CORRELATED = 5


@dataclass(frozen=True)
class ComparedModel:
    """A registered version and what was measured of it.

    Attributes:
        label: as `srcnn-x4/3`.
        aliases: by which it was asked for.
        scale: 2, 3 or 4.
        architecture: kernel sizes, as in `9-5-5`, and the channels where they are not luma.
        weights: how many it has, biases included.
        summary: its scores, averaged over the pictures.
        seconds: for one photograph.
    """

    label: str
    aliases: tuple[str, ...]
    scale: int
    architecture: str
    weights: int
    summary: Summary
    seconds: float

    @property
    def name(self) -> str:
        """The version with the aliases it was asked for by."""
        return f"{self.label} ({', '.join(self.aliases)})" if self.aliases else self.label

    def cells(self) -> dict[str, str]:
        """Its line of the table, by column title."""
        cells = {
            "Model": self.name,
            "Scale": f"x{self.scale}",
            "Network": self.architecture,
            "Weights": f"{self.weights:,}",
            "Bicubic (dB)": f"{self.summary.bicubic_psnr:.2f}",
            "SRCNN (dB)": f"{self.summary.srcnn_psnr:.2f}",
            "Gain (dB)": f"{self.summary.psnr_gain:+.2f}",
            "Bicubic SSIM": f"{self.summary.bicubic_ssim:.4f}",
            "SRCNN SSIM": f"{self.summary.srcnn_ssim:.4f}",
            "Grey shift": f"{self.summary.srcnn_bias:+.2f}",
            "Seconds": f"{self.seconds:.3f}",
        }
        if self.summary.rgb_psnr_gain is None:
            return cells
        return {
            **cells,
            "Bicubic RGB (dB)": f"{self.summary.bicubic_rgb_psnr:.2f}",
            "SRCNN RGB (dB)": f"{self.summary.srcnn_rgb_psnr:.2f}",
        }

    def values(self) -> dict[str, Any]:
        """The same in full precision, with the names that an evaluation's metrics have."""
        values = {key: value for key, value in asdict(self).items() if key != "summary"}
        return {**values, **self.summary.metrics(), "aliases": ", ".join(self.aliases)}


@dataclass(frozen=True)
class Picture:
    """One picture at several scales.

    Attributes:
        name: as tables show it.
        high_frequencies: of its luma.
        psnr: in dB, by the best model of each scale.
    """

    name: str
    high_frequencies: HighFrequencies
    psnr: Mapping[int, float]


@dataclass(frozen=True)
class SharedExtremes:
    """Which pictures are among the best, and among the worst, at both of two scales."""

    scales: tuple[int, int]
    best: tuple[Picture, ...]
    worst: tuple[Picture, ...]


@dataclass(frozen=True)
class Correlations:
    """Spearman's rank correlations of high frequencies with PSNR at a scale.

    Attributes:
        scale: 2, 3 or 4.
        share: of the share of high frequencies; None where it or PSNR does not vary.
        level: of their level; None likewise.
    """

    scale: int
    share: float | None
    level: float | None


@dataclass(frozen=True)
class Findings:
    """What the pictures of a comparison have in common.

    Attributes:
        models: the best model of each scale, whose PSNR ranks the pictures.
        pictures: all of them.
        extremes: how many count as best, and as worst.
        shared: one entry for each pair of scales.
        correlations: one entry for each scale; none with fewer than LEAST_CORRELATED pictures.
    """

    models: Mapping[int, str]
    pictures: tuple[Picture, ...]
    extremes: int
    shared: tuple[SharedExtremes, ...]
    correlations: tuple[Correlations, ...]


def models_table(models: Sequence[ComparedModel]) -> str:
    """A line a model, as a Markdown table."""
    return aligned_table([model.cells() for model in models], text_columns=3)


def rank_key(model: ComparedModel) -> tuple[int, float]:
    """By what models are sorted: the smallest scale first, and of a scale the highest PSNR."""
    return model.scale, -model.summary.srcnn_psnr


def best_by_scale(models: Sequence[ComparedModel]) -> dict[int, ComparedModel]:
    """The model with the highest PSNR of each scale, from the smallest scale."""
    best: dict[int, ComparedModel] = {}
    for model in sorted(models, key=rank_key):
        best.setdefault(model.scale, model)
    return best


def find_extremes(models: Mapping[int, str], pictures: Sequence[Picture]) -> Findings:
    """Compare the rankings of the same pictures at every scale.

    Args:
        models: what ranked the pictures, by scale.
        pictures: at least one, each with a PSNR at every one of these scales.
    """
    correlated = models if len(pictures) >= LEAST_CORRELATED else ()
    return Findings(
        models,
        tuple(pictures),
        extreme_count(len(pictures)),
        tuple(_share_extremes(pictures, pair) for pair in combinations(models, 2)),
        tuple(_correlate(pictures, scale) for scale in correlated),
    )


def describe(findings: Findings) -> str:
    """The findings in a sentence for each pair of scales, and on high frequencies what is known."""
    total = len(findings.pictures)
    sentences = [_describe_pair(pair, findings.extremes, total) for pair in findings.shared]
    if not findings.shared:
        (scale,) = findings.models
        sentences = [f"All models are of x{scale}; a second scale would show what pictures share."]
    if _names_pictures(findings):
        sentences.append(
            "In brackets stand the share of high frequencies and their level in grey levels."
        )
    if findings.correlations:
        sentences.append(_describe_correlations(findings.correlations, total))
    return "\n".join(sentences)


def findings_page(findings: Findings) -> str:
    """The findings as Markdown, with every picture they name and what it holds."""
    parts = list(map(as_markdown, describe(findings).splitlines()))
    for pair in findings.shared:
        rows = [
            _cells(standing, picture, pair.scales)
            for standing, pictures in (("best", pair.best), ("worst", pair.worst))
            for picture in pictures
        ]
        parts += [aligned_table(rows, text_columns=2)] if rows else []
    shares = [picture.high_frequencies.share for picture in findings.pictures]
    levels = [picture.high_frequencies.level for picture in findings.pictures]
    if _names_pictures(findings):
        models = ", ".join(f"{label} at x{scale}" for scale, label in findings.models.items())
        parts.append(f"PSNR in dB by the best model of each scale: {as_markdown(models)}.")
    parts.append(
        f"{SPECTRUM} Of all {len(shares)} pictures, the median share is {median(shares):.2%} "
        f"({min(shares):.2%} to {max(shares):.2%}), and the median level {median(levels):.1f} "
        f"({min(levels):.1f} to {max(levels):.1f})."
    )
    return "\n\n".join(parts) + "\n"


def _share_extremes(pictures: Sequence[Picture], scales: tuple[int, int]) -> SharedExtremes:
    first, second = ([picture.psnr[scale] for picture in pictures] for scale in scales)
    best, worst = (
        tuple(pictures[place] for place in places) for places in shared_extremes(first, second)
    )
    return SharedExtremes(scales, best, worst)


def _correlate(pictures: Sequence[Picture], scale: int) -> Correlations:
    psnr = [picture.psnr[scale] for picture in pictures]
    return Correlations(
        scale,
        share=rank_correlation([picture.high_frequencies.share for picture in pictures], psnr),
        level=rank_correlation([picture.high_frequencies.level for picture in pictures], psnr),
    )


def _describe_pair(pair: SharedExtremes, extremes: int, total: int) -> str:
    first, second = pair.scales
    if not extremes:
        return f"One picture alone is neither best nor worst at x{first} and x{second}."
    return (
        f"Of {total} pictures, among the best {extremes} at both x{first} and x{second}: "
        f"{_names(pair.best)}; among the worst {extremes} at both: {_names(pair.worst)}."
    )


def _names_pictures(findings: Findings) -> bool:
    return any(pair.best or pair.worst for pair in findings.shared)


def _describe_correlations(correlations: Sequence[Correlations], total: int) -> str:
    by_share, by_level = (
        ", ".join(f"{_signed(value)} at x{scale}" for scale, value in values)
        for values in (
            [(one.scale, one.share) for one in correlations],
            [(one.scale, one.level) for one in correlations],
        )
    )
    return (
        f"Spearman's rank correlation of PSNR, over {total} pictures: with their share of high "
        f"frequencies {by_share}; with the level of these {by_level}."
    )


def _names(pictures: Sequence[Picture]) -> str:
    named = [
        f"{one.name} ({one.high_frequencies.share:.2%}, {one.high_frequencies.level:.1f})"
        for one in pictures
    ]
    return ", ".join(named) or "no picture"


def _signed(value: float | None) -> str:
    return "undefined" if value is None else f"{value:+.2f}"


def _cells(standing: str, picture: Picture, scales: Sequence[int]) -> dict[str, str]:
    return {
        "Among the": standing,
        "Picture": as_markdown(picture.name),
        "High-frequency share": f"{picture.high_frequencies.share:.2%}",
        "High-frequency level": f"{picture.high_frequencies.level:.1f}",
        **{f"PSNR x{scale}": f"{picture.psnr[scale]:.2f}" for scale in scales},
    }
