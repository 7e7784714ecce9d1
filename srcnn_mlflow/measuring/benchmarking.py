"""Models on named sets beside what papers state: the lines of a table, and what proves them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from srcnn_mlflow.measuring.evaluation import ImageScore, Summary, summarize
from srcnn_mlflow.measuring.intervals import Interval, mean_interval
from srcnn_mlflow.measuring.published import BICUBIC, published_bicubic, published_methods
from srcnn_mlflow.measuring.tables import aligned_table

# How far bicubic may be from what is published, by the rounding and the kernels of other programs.
SAME_PSNR, SAME_SSIM = 0.02, 0.001


@dataclass(frozen=True)
class Measured:
    """A model's scores on a named set.

    Attributes:
        dataset: the set's name.
        scale: 2, 3 or 4.
        model: as `srcnn-x4/3`.
        scores: picture by picture.
        pictures: how many the set has; some may not have been comparable.
    """

    dataset: str
    scale: int
    model: str
    scores: tuple[ImageScore, ...]
    pictures: int

    @property
    def summary(self) -> Summary:
        """The scores, averaged."""
        return summarize(self.scores)


@dataclass(frozen=True)
class Line:
    """A line of the table.

    Attributes:
        dataset: the set's name.
        scale: 2, 3 or 4.
        method: a model, or what a paper calls its method.
        published: a paper states it; it was measured here otherwise.
        psnr: mean over pictures, in dB.
        ssim: the same; None where the paper does not state it.
        gain: over bicubic of the same origin, in dB; None for bicubic itself.
        psnr_interval: in which the mean over such pictures lies, 95 % of the time; None for what
            is published, and for one picture.
        gain_interval: the same of the gain.
    """

    dataset: str
    scale: int
    method: str
    published: bool
    psnr: float
    ssim: float | None
    gain: float | None = None
    psnr_interval: Interval | None = None
    gain_interval: Interval | None = None

    @property
    def name(self) -> str:
        """The method, and whether a paper states it."""
        return f"{self.method}, published" if self.published else self.method

    def cells(self) -> dict[str, str]:
        """By column title."""
        return {
            "Set": self.dataset,
            "Scale": f"x{self.scale}",
            "Method": self.name,
            "PSNR (dB)": f"{self.psnr:.2f}",
            "SSIM": "" if self.ssim is None else f"{self.ssim:.4f}",
            "Over bicubic (dB)": "" if self.gain is None else f"{self.gain:+.2f}",
            "95 % interval": _in_words(self.gain_interval),
        }


def benchmark_lines(measured: Sequence[Measured]) -> list[Line]:
    """Everything that is known of the sets and scales that were measured, from the worst method.

    Args:
        measured: at least one; those of one set and scale on the same pictures.
    """
    groups: dict[tuple[str, int], list[Measured]] = {}
    for one in measured:
        groups.setdefault((one.dataset, one.scale), []).append(one)
    lines: list[Line] = []
    for (dataset, scale), models in groups.items():
        here = [_bicubic_line(models[0]), *(_model_line(one) for one in models)]
        group = [*_published_lines(dataset, scale), *here]
        lines += sorted(group, key=lambda line: (line.gain is not None, line.psnr))
    return lines


def benchmark_table(lines: Sequence[Line]) -> str:
    """The lines as a Markdown table that also reads well as plain text."""
    return aligned_table([line.cells() for line in lines], text_columns=3)


def describe_distance(lines: Iterable[Line]) -> str:
    """How far bicubic is from what is published of it: whether the protocol is the papers'."""
    distances = [
        (line.psnr - stated.psnr, line.ssim - stated.ssim, line)
        for line in lines
        if not line.published
        and line.gain is None
        and line.ssim is not None
        and (stated := published_bicubic(line.dataset, line.scale))
        and stated.ssim is not None
    ]
    if not distances:
        return "Nothing is published of bicubic on these sets, so the protocol is not proved here."
    psnr, _, farthest = max(distances, key=lambda one: abs(one[0]))
    ssim = max(abs(one[1]) for one in distances)
    if abs(psnr) <= SAME_PSNR and ssim <= SAME_SSIM:
        return (
            f"Bicubic as measured here is within {abs(psnr):.3f} dB and {ssim:.4f} SSIM of every "
            "published average of it, so the protocol is that of the papers."
        )
    return (
        f"Bicubic as measured here differs from its published averages by up to {psnr:+.3f} dB "
        f"({farthest.dataset} x{farthest.scale}) and {ssim:.4f} SSIM, so other figures do not "
        "compare with theirs either: look for pictures that were left out."
    )


def sources(lines: Iterable[Line]) -> Iterator[str]:
    """Where the published lines come from, a sentence each."""
    methods = {line.method for line in lines if line.published}
    for method in published_methods():
        if method.name in methods:
            yield f"{method.name}: {method.source}."


def _published_lines(dataset: str, scale: int) -> Iterator[Line]:
    bicubic = published_bicubic(dataset, scale)
    for method in published_methods():
        average = method.averages.get((dataset, scale))
        if average is None:
            continue
        gain = average.psnr - bicubic.psnr if bicubic and method.name != BICUBIC else None
        yield Line(dataset, scale, method.name, True, average.psnr, average.ssim, gain)


def _bicubic_line(one: Measured) -> Line:
    values = [score.bicubic_psnr for score in one.scores]
    summary = one.summary
    return Line(
        one.dataset,
        one.scale,
        BICUBIC,
        False,
        summary.bicubic_psnr,
        summary.bicubic_ssim,
        psnr_interval=mean_interval(values),
    )


def _model_line(one: Measured) -> Line:
    summary = one.summary
    return Line(
        one.dataset,
        one.scale,
        one.model,
        False,
        summary.srcnn_psnr,
        summary.srcnn_ssim,
        summary.psnr_gain,
        mean_interval([score.srcnn_psnr for score in one.scores]),
        mean_interval([score.psnr_gain for score in one.scores]),
    )


def _in_words(interval: Interval | None) -> str:
    return "" if interval is None else f"{interval[0]:+.2f} to {interval[1]:+.2f}"
