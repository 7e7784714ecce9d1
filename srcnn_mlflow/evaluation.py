"""Score a model against bicubic, picture by picture; the averages as the report's table."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from srcnn_mlflow.datasets import Photo, load_luma
from srcnn_mlflow.errors import DatasetError, ImageError, ModelError
from srcnn_mlflow.imaging import Plane, downscale, mod_crop, to_eight_bit, upscale
from srcnn_mlflow.metrics import SSIM_WINDOW, TileScores, compare, mse
from srcnn_mlflow.progress import Say, progress

UpscaleLuma = Callable[[Plane], Plane]


@dataclass(frozen=True)
class ImageScore:
    """One picture by bicubic and by SRCNN: PSNR in dB, SSIM, MSE in squared grey levels.

    The tiles are what the gate of `promote` draws from.
    """

    image: str
    bicubic_psnr: float
    srcnn_psnr: float
    bicubic_ssim: float
    srcnn_ssim: float
    bicubic_mse: float
    srcnn_mse: float
    # Arrays can be neither hashed nor compared as a whole.
    bicubic_tiles: TileScores = field(repr=False, compare=False)
    srcnn_tiles: TileScores = field(repr=False, compare=False)

    @property
    def psnr_gain(self) -> float:
        """SRCNN minus bicubic, in dB."""
        return self.srcnn_psnr - self.bicubic_psnr


@dataclass(frozen=True)
class Summary:
    """Averages over pictures; the fields are the names of an evaluation run's metrics."""

    bicubic_psnr: float
    srcnn_psnr: float
    psnr_gain: float
    bicubic_ssim: float
    srcnn_ssim: float
    ssim_gain: float
    mse_reduction_percent: float
    images: int


@dataclass(frozen=True)
class TableRow:
    """One line of the report's table."""

    scale: str
    metric: str
    bicubic: str
    srcnn: str
    improvement: str

    def cells(self) -> dict[str, str]:
        """The line by column title."""
        return {
            "Scale": self.scale,
            "Metric": self.metric,
            "Bicubic": self.bicubic,
            "SRCNN": self.srcnn,
            "Improvement": self.improvement,
        }

    @classmethod
    def from_cells(cls, cells: Mapping[str, str]) -> "TableRow":
        """The inverse of `cells`."""
        return cls(*(cells[title] for title in cls("", "", "", "", "").cells()))


def make_comparable(
    name: str, original: Plane, scale: int, border: int
) -> tuple[Plane, Plane, Plane]:
    """Crop a plane, make it small, and enlarge it again by bicubic interpolation.

    Args:
        name: of the picture, for messages.
        original: uint8 luma of any size.
        scale: 2, 3 or 4.
        border: pixels that a comparison will leave out along each edge.

    Returns:
        The cropped original, the small plane, and bicubic's, all uint8.

    Raises:
        ImageError: too small to compare, or so plain that bicubic restores it perfectly.
    """
    height, width = original.shape
    if min(height - height % scale, width - width % scale) < SSIM_WINDOW + 2 * border:
        raise ImageError(
            f"{name}: {width}x{height} is too small; SSIM needs {SSIM_WINDOW} pixels inside a "
            f"border of {border}"
        )
    original = mod_crop(original, scale)
    small = downscale(original, scale)
    bicubic = to_eight_bit(upscale(small, scale))
    if mse(original, bicubic, border) == 0:
        raise ImageError(f"{name}: bicubic restores it perfectly, so there is nothing to compare")
    return original, small, bicubic


def score_plane(
    name: str, original: Plane, scale: int, border: int, upscale_luma: UpscaleLuma
) -> ImageScore:
    """Make a plane small, enlarge it both ways, and compare each with the original.

    Args:
        name: of the picture, for tables and messages.
        original: uint8 luma of any size.
        scale: 2, 3 or 4.
        border: pixels left out along each edge.
        upscale_luma: the model, from a uint8 plane to one `scale` times as large.

    Raises:
        ImageError: too small to compare, or so plain that bicubic restores it perfectly.
        ModelError: the model enlarges by another scale.
    """
    original, small, bicubic = make_comparable(name, original, scale, border)
    srcnn = upscale_luma(small)
    if srcnn.shape != original.shape:
        raise ModelError(
            f"the model makes {small.shape[1]}x{small.shape[0]} pixels into "
            f"{srcnn.shape[1]}x{srcnn.shape[0]}, which is not scale {scale}; choose a model "
            f"trained with scale={scale}"
        )
    without, with_srcnn = (compare(original, plane, border) for plane in (bicubic, srcnn))
    return ImageScore(
        image=name,
        bicubic_psnr=without.psnr,
        srcnn_psnr=with_srcnn.psnr,
        bicubic_ssim=without.ssim,
        srcnn_ssim=with_srcnn.ssim,
        bicubic_mse=without.mse,
        srcnn_mse=with_srcnn.mse,
        bicubic_tiles=without.tiles,
        srcnn_tiles=with_srcnn.tiles,
    )


def self_ensemble(upscale_luma: UpscaleLuma) -> UpscaleLuma:
    """Average a model over the eight symmetries of the square (Timofte et al., 2016).

    Args:
        upscale_luma: the model, which then runs eight times a picture.

    Returns:
        A function of the same kind: uint8 in, uint8 out.
    """

    def averaged(plane: Plane) -> Plane:
        results = []
        for turns in range(4):
            for mirror in (False, True):
                turned = np.rot90(plane[:, ::-1] if mirror else plane, turns)
                result = np.rot90(upscale_luma(np.ascontiguousarray(turned)), -turns)
                results.append(result[:, ::-1] if mirror else result)
        return to_eight_bit(np.mean(results, axis=0))

    return averaged


def score_photos(
    photos: Sequence[Photo],
    scale: int,
    border: int,
    upscale_luma: UpscaleLuma,
    say: Say,
) -> Iterator[tuple[Photo, ImageScore]]:
    """Score photographs one by one; those that cannot be compared are named and left out.

    Raises:
        DatasetError: none could be compared.
        ModelError: the model enlarges by another scale.
    """
    scored = 0
    for photo in progress(photos, total=len(photos), label="scoring"):
        try:
            score = score_plane(photo.name, load_luma(photo), scale, border, upscale_luma)
        except ImageError as error:
            say(f"left out: {error}")
            continue
        scored += 1
        yield photo, score
    if not scored:
        raise DatasetError(
            f"none of the {len(photos)} pictures can be compared at scale {scale} with a border of "
            f"{border}; give larger pictures or a smaller border"
        )


def summarize(images: Iterable[ImageScore]) -> Summary:
    """Average over pictures; gains are differences of unrounded means."""
    scores = list(images)

    def mean(field: str) -> float:
        return float(np.mean([getattr(score, field) for score in scores]))

    means = {
        name: mean(name) for name in ("bicubic_psnr", "srcnn_psnr", "bicubic_ssim", "srcnn_ssim")
    }
    return Summary(
        **means,
        psnr_gain=means["srcnn_psnr"] - means["bicubic_psnr"],
        ssim_gain=means["srcnn_ssim"] - means["bicubic_ssim"],
        mse_reduction_percent=100 * (1 - mean("srcnn_mse") / mean("bicubic_mse")),
        images=len(scores),
    )


def table_rows(scale: int, summary: Summary) -> list[TableRow]:
    """The report's two lines for a scale: PSNR in dB and SSIM."""
    return [
        TableRow(
            f"x{scale}",
            "PSNR (dB)",
            f"{summary.bicubic_psnr:.2f}",
            f"{summary.srcnn_psnr:.2f}",
            f"{summary.psnr_gain:+.2f}",
        ),
        TableRow(
            f"x{scale}",
            "SSIM",
            f"{summary.bicubic_ssim:.4f}",
            f"{summary.srcnn_ssim:.4f}",
            f"{summary.ssim_gain:+.4f}",
        ),
    ]


def describe_protocol(border: int | None) -> str:
    """Say how PSNR and SSIM were measured.

    Args:
        border: pixels left out along each edge; None for as many as each model's scale.
    """
    frame = "a border as wide as the scale" if border is None else f"border of {border} pixels"
    return (
        f"PSNR and SSIM on 8-bit BT.601 luma, {frame} left out, averaged over pictures. Low "
        "resolution by bicubic with antialias."
    )


def markdown_table(rows: Sequence[TableRow]) -> str:
    """Lay the report's lines out as a Markdown table that also reads well as plain text."""
    return aligned_table([row.cells() for row in rows], text_columns=2)


def aligned_table(rows: Sequence[Mapping[str, str]], text_columns: int) -> str:
    """Lay lines out as a Markdown table that also reads well as plain text.

    Args:
        rows: at least one line, each by the same column titles.
        text_columns: so many columns are set left, and all others, which hold numbers, right.
    """
    lines = [list(rows[0]), *(list(row.values()) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]

    def layout(cells: Sequence[str]) -> str:
        placed = [
            cell.ljust(width) if column < text_columns else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(placed)} |"

    rule = "|".join(
        "-" * (width + 2) if column < text_columns else "-" * (width + 1) + ":"
        for column, width in enumerate(widths)
    )
    return "\n".join([layout(lines[0]), f"|{rule}|", *(layout(line) for line in lines[1:])])
