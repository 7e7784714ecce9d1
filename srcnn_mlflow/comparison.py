"""Several models beside each other: a table, and which pictures stand alike at every scale."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from statistics import median
from typing import Any

from srcnn_mlflow.evaluation import Summary, aligned_table
from srcnn_mlflow.ranking import extreme_count, rank_correlation, shared_extremes

SPECTRUM = (
    "High frequencies are the share of the luma's spectral energy above half the Nyquist "
    "frequency in either direction, which a copy half as wide and high cannot carry (two-"
    "dimensional DFT, mean removed, Hann window)."
)


@dataclass(frozen=True)
class ComparedModel:
    """A registered version and what was measured of it.

    Attributes:
        label: as `srcnn-x4/3`.
        aliases: by which it was asked for.
        scale: 2, 3 or 4.
        architecture: kernel sizes, as in `9-5-5`.
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
        return {
            "Model": self.name,
            "Scale": f"x{self.scale}",
            "Network": self.architecture,
            "Weights": f"{self.weights:,}",
            "Bicubic (dB)": f"{self.summary.bicubic_psnr:.2f}",
            "SRCNN (dB)": f"{self.summary.srcnn_psnr:.2f}",
            "Gain (dB)": f"{self.summary.psnr_gain:+.2f}",
            "Bicubic SSIM": f"{self.summary.bicubic_ssim:.4f}",
            "SRCNN SSIM": f"{self.summary.srcnn_ssim:.4f}",
            "Seconds": f"{self.seconds:.3f}",
        }

    def values(self) -> dict[str, Any]:
        """The same in full precision, with the names that an evaluation's metrics have."""
        values = {key: value for key, value in asdict(self).items() if key != "summary"}
        return {**values, **asdict(self.summary), "aliases": ", ".join(self.aliases)}


@dataclass(frozen=True)
class Picture:
    """One picture at several scales.

    Attributes:
        name: as tables show it.
        high_frequency_share: as `spectrum.high_frequency_share` gives it.
        psnr: in dB, by SRCNN, of the best model of each scale.
    """

    name: str
    high_frequency_share: float
    psnr: Mapping[int, float]


@dataclass(frozen=True)
class SharedExtremes:
    """Which pictures are among the best, and among the worst, at both of two scales."""

    scales: tuple[int, int]
    best: tuple[Picture, ...]
    worst: tuple[Picture, ...]


@dataclass(frozen=True)
class Findings:
    """What the pictures of a comparison have in common.

    Attributes:
        models: the best model of each scale, whose PSNR ranks the pictures.
        pictures: all of them.
        extremes: how many count as best, and as worst.
        shared: one entry for each pair of scales.
        correlations: Spearman's rank correlation between high frequencies and PSNR at each
            scale; None where one of them does not vary.
    """

    models: Mapping[int, str]
    pictures: tuple[Picture, ...]
    extremes: int
    shared: tuple[SharedExtremes, ...]
    correlations: Mapping[int, float | None]


def models_table(models: Sequence[ComparedModel]) -> str:
    """A line a model, as a Markdown table."""
    return aligned_table([model.cells() for model in models], text_columns=3)


def best_by_scale(models: Sequence[ComparedModel]) -> dict[int, ComparedModel]:
    """The model with the highest PSNR of each scale, from the smallest scale."""
    scales = sorted({model.scale for model in models})
    return {
        scale: max(
            (model for model in models if model.scale == scale),
            key=lambda model: model.summary.srcnn_psnr,
        )
        for scale in scales
    }


def find_extremes(models: Mapping[int, str], pictures: Sequence[Picture]) -> Findings:
    """Compare the rankings of the same pictures at every scale.

    Args:
        models: what ranked the pictures, by scale.
        pictures: at least one, each with a PSNR at every one of these scales.
    """
    psnr = {scale: [picture.psnr[scale] for picture in pictures] for scale in models}
    share = [picture.high_frequency_share for picture in pictures]
    shared = []
    for first, second in combinations(models, 2):
        best, worst = shared_extremes(psnr[first], psnr[second])
        shared.append(
            SharedExtremes(
                (first, second),
                tuple(pictures[one] for one in best),
                tuple(pictures[one] for one in worst),
            )
        )
    return Findings(
        dict(models),
        tuple(pictures),
        extreme_count(len(pictures)),
        tuple(shared),
        {scale: rank_correlation(share, psnr[scale]) for scale in models},
    )


def describe(findings: Findings) -> str:
    """The findings in a sentence for each pair of scales, and one on high frequencies."""
    total = len(findings.pictures)
    sentences = [_describe_pair(pair, findings.extremes, total) for pair in findings.shared]
    if not findings.shared:
        (scale,) = findings.models
        sentences = [f"All models are of x{scale}; a second scale would show what pictures share."]
    correlations = ", ".join(
        f"{'undefined' if value is None else f'{value:+.2f}'} at x{scale}"
        for scale, value in findings.correlations.items()
    )
    sentences.append(
        f"Rank correlation of PSNR with the share of high frequencies, over {total} pictures: "
        f"{correlations} (Spearman)."
    )
    return "\n".join(sentences)


def findings_page(findings: Findings) -> str:
    """The findings as Markdown, with every picture they name and what it holds."""
    models = ", ".join(f"{label} at x{scale}" for scale, label in findings.models.items())
    parts = [describe(findings)]
    for pair in findings.shared:
        rows = [
            _cells(standing, picture, pair.scales)
            for standing, pictures in (("best", pair.best), ("worst", pair.worst))
            for picture in pictures
        ]
        parts += [aligned_table(rows, text_columns=2)] if rows else []
    shares = [picture.high_frequency_share for picture in findings.pictures]
    parts.append(
        f"PSNR in dB by the best model of each scale: {models}. {SPECTRUM} They range from "
        f"{min(shares):.2%} to {max(shares):.2%} here, with a median of {median(shares):.2%}."
    )
    return "\n\n".join(parts) + "\n"


def _describe_pair(pair: SharedExtremes, extremes: int, total: int) -> str:
    first, second = pair.scales
    if not extremes:
        return f"One picture alone is neither best nor worst at x{first} and x{second}."
    return (
        f"Of {total} pictures, among the best {extremes} at both x{first} and x{second}: "
        f"{_names(pair.best)}; among the worst {extremes} at both: {_names(pair.worst)}."
    )


def _names(pictures: Sequence[Picture]) -> str:
    return (
        ", ".join(f"{one.name} ({one.high_frequency_share:.2%})" for one in pictures)
        or "no picture"
    )


def _cells(standing: str, picture: Picture, scales: Sequence[int]) -> dict[str, str]:
    return {
        "Among the": standing,
        "Picture": picture.name,
        "High frequencies": f"{picture.high_frequency_share:.2%}",
        **{f"PSNR x{scale}": f"{picture.psnr[scale]:.2f}" for scale in scales},
    }
