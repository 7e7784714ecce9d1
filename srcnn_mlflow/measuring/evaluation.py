"""Score a model against bicubic, picture by picture; the averages as the report's table."""

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from srcnn_mlflow.machine.errors import DatasetError, ImageError, ModelError
from srcnn_mlflow.machine.progress import progress
from srcnn_mlflow.measuring.intervals import mean_interval
from srcnn_mlflow.measuring.metrics import SSIM_WINDOW, compare, mse, psnr
from srcnn_mlflow.pictures.colour import luma_plane
from srcnn_mlflow.pictures.imaging import Plane
from srcnn_mlflow.pictures.pairs import make_small
from srcnn_mlflow.pictures.photos import Photo, load_luma, load_pixels

# Enlarges uint8 of shape (height, width), luma or grey; and (height, width, 3), colours.
Upscale = Callable[[Plane], Plane]

logger = logging.getLogger(__name__)


class TooSmallError(ImageError):
    """A picture with no room for an SSIM window inside the border."""


class TooPlainError(ImageError):
    """A picture that bicubic restores perfectly, so that its PSNR is infinite."""


@dataclass(frozen=True)
class ImageScore:
    """One picture by bicubic and by SRCNN: PSNR in dB, SSIM, MSE in squared grey levels.

    The bias, in grey levels, is how much lighter the picture has become on average. All are of luma
    but `bicubic_rgb_psnr` and `srcnn_rgb_psnr`, of the squared error of red, green and blue alike;
    None where that was not measured.
    """

    image: str
    bicubic_psnr: float
    srcnn_psnr: float
    bicubic_ssim: float
    srcnn_ssim: float
    bicubic_mse: float
    srcnn_mse: float
    bicubic_bias: float = math.nan
    srcnn_bias: float = math.nan
    bicubic_rgb_psnr: float | None = None
    srcnn_rgb_psnr: float | None = None

    @property
    def psnr_gain(self) -> float:
        """SRCNN minus bicubic, in dB."""
        return self.srcnn_psnr - self.bicubic_psnr

    @property
    def rgb_psnr_gain(self) -> float | None:
        """The same of red, green and blue; None where that was not measured."""
        return _gain(self.srcnn_rgb_psnr, self.bicubic_rgb_psnr)


@dataclass(frozen=True)
class Summary:
    """Averages over pictures; the fields are the names of an evaluation run's metrics.

    `srcnn_largest_bias` is that of the picture whose grey SRCNN shifts most, with its sign. Between
    `psnr_gain_low` and `psnr_gain_high` lies the mean gain over such pictures, 95 % of the time;
    None for one picture.
    """

    bicubic_psnr: float
    srcnn_psnr: float
    psnr_gain: float
    bicubic_ssim: float
    srcnn_ssim: float
    ssim_gain: float
    mse_reduction_percent: float
    images: int
    bicubic_bias: float = math.nan
    srcnn_bias: float = math.nan
    srcnn_largest_bias: float = math.nan
    bicubic_rgb_psnr: float | None = None
    srcnn_rgb_psnr: float | None = None
    psnr_gain_low: float | None = None
    psnr_gain_high: float | None = None

    @property
    def rgb_psnr_gain(self) -> float | None:
        """SRCNN minus bicubic over red, green and blue; None where that was not measured."""
        return _gain(self.srcnn_rgb_psnr, self.bicubic_rgb_psnr)

    def metrics(self) -> dict[str, float]:
        """What was measured, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def _gain(srcnn: float | None, bicubic: float | None) -> float | None:
    return None if srcnn is None or bicubic is None else srcnn - bicubic


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
        TooSmallError: there is no room for an SSIM window inside the border.
        TooPlainError: bicubic restores it perfectly.
    """
    height, width = original.shape
    if not _is_comparable(width, height, scale, border):
        raise TooSmallError(
            f"{name}: {width}x{height} is too small; SSIM needs {SSIM_WINDOW} pixels inside a "
            f"border of {border}"
        )
    original, small, bicubic = make_small(original, scale)
    if mse(original, bicubic, border) == 0:
        raise TooPlainError(
            f"{name}: bicubic restores it perfectly, so there is nothing to compare"
        )
    return original, small, bicubic


def score_plane(
    name: str, original: Plane, scale: int, border: int, upscale_luma: Upscale
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
    srcnn = _enlarged(small, original, scale, upscale_luma)
    return _score(name, original, bicubic, srcnn, border)


def score_colours(
    name: str, original: Plane, scale: int, border: int, upscale: Upscale, channels: str
) -> ImageScore:
    """Score a picture by its luma as `score_plane` does, and by red, green and blue.

    The luma of a network on colours is that of the 8-bit picture which it makes.

    Args:
        name: of the picture, for tables and messages.
        original: uint8 of shape (height, width) for grey, or (height, width, 3); of any size.
        scale: 2, 3 or 4.
        border: pixels left out along each edge.
        upscale: the model.
        channels: what its network works on.

    Raises:
        ImageError: too small to compare, or so plain that bicubic restores it perfectly.
        ModelError: the model enlarges by another scale.
    """
    if original.ndim == 2:
        score = score_plane(name, original, scale, border, upscale)
        return replace(score, bicubic_rgb_psnr=score.bicubic_psnr, srcnn_rgb_psnr=score.srcnn_psnr)
    target, small_luma, bicubic_luma = make_comparable(name, luma_plane(original), scale, border)
    original, small, bicubic = make_small(original, scale)
    srcnn = _enlarged(small, original, scale, upscale)
    if channels == "y":
        srcnn_luma = _enlarged(small_luma, target, scale, upscale)
    else:
        srcnn_luma = luma_plane(srcnn)
    return replace(
        _score(name, target, bicubic_luma, srcnn_luma, border),
        bicubic_rgb_psnr=psnr(original, bicubic, border),
        srcnn_rgb_psnr=psnr(original, srcnn, border),
    )


def _enlarged(small: Plane, original: Plane, scale: int, upscale: Upscale) -> Plane:
    """What a model makes of a small picture.

    Raises:
        ModelError: it is not as large as the original.
    """
    srcnn = upscale(small)
    if srcnn.shape != original.shape:
        raise ModelError(
            f"the model makes {small.shape[1]}x{small.shape[0]} pixels into "
            f"{srcnn.shape[1]}x{srcnn.shape[0]}, which is not scale {scale}; choose a model "
            f"trained with scale={scale}"
        )
    return srcnn


def _score(name: str, original: Plane, bicubic: Plane, srcnn: Plane, border: int) -> ImageScore:
    without = compare(original, bicubic, border)
    # A training measures bicubic alone, as both.
    same = np.array_equal(bicubic, srcnn)
    with_srcnn = without if same else compare(original, srcnn, border)
    return ImageScore(
        image=name,
        bicubic_psnr=without.psnr,
        srcnn_psnr=with_srcnn.psnr,
        bicubic_ssim=without.ssim,
        srcnn_ssim=with_srcnn.ssim,
        bicubic_mse=without.mse,
        srcnn_mse=with_srcnn.mse,
        bicubic_bias=without.bias,
        srcnn_bias=with_srcnn.bias,
    )


def check_sizes(photos: Sequence[Photo], scale: int, border: int) -> None:
    """Make sure that some photograph is large enough to be compared, before any is.

    Raises:
        DatasetError: none is.
    """
    if not any(_is_comparable(photo.width, photo.height, scale, border) for photo in photos):
        raise _none_comparable([TooSmallError()] * len(photos), scale, border)


def _is_comparable(width: int, height: int, scale: int, border: int) -> bool:
    return min(height - height % scale, width - width % scale) >= SSIM_WINDOW + 2 * border


def _none_comparable(refused: Sequence[ImageError], scale: int, border: int) -> DatasetError:
    return DatasetError(
        f"none of the {len(refused)} pictures can be compared at scale {scale} with a border of "
        f"{border}: {_reasons(refused, scale, border)}"
    )


def score_photos(
    photos: Sequence[Photo],
    scale: int,
    border: int,
    upscale: Upscale,
    channels: str = "y",
    in_colour: bool = False,
) -> Iterator[tuple[Photo, ImageScore]]:
    """Score photographs one by one; those that cannot be compared are named and left out.

    Args:
        photos: to be made small and enlarged again.
        scale: 2, 3 or 4.
        border: pixels left out along each edge.
        upscale: the model.
        channels: what its network works on.
        in_colour: score red, green and blue beside luma, as is always done of a network on colours;
            one on luma then runs twice.

    Raises:
        DatasetError: none could be compared.
        ModelError: the model enlarges by another scale.
    """
    refused: list[ImageError] = []
    for photo in progress(photos, total=len(photos), label="scoring"):
        try:
            if channels == "y" and not in_colour:
                score = score_plane(photo.name, load_luma(photo), scale, border, upscale)
            else:
                pixels = load_pixels(photo)
                score = score_colours(photo.name, pixels, scale, border, upscale, channels)
        except ImageError as error:
            logger.warning("left out: %s", error)
            refused.append(error)
            continue
        yield photo, score
    if len(refused) == len(photos):
        raise _none_comparable(refused, scale, border)


def _reasons(refused: Sequence[ImageError], scale: int, border: int) -> str:
    """Why pictures cannot be compared, how many for each reason, and what to do about it."""
    smaller = " or a smaller border" if border > scale else ""
    told = {
        TooSmallError: f"too small for it (give larger ones{smaller})",
        TooPlainError: "so plain that bicubic restores them perfectly (give some with detail)",
        ImageError: "unreadable since they were looked at (mend them, or leave them out)",
    }
    counts = Counter(type(error) for error in refused)
    return ", ".join(f"{counts[kind]} {reason}" for kind, reason in told.items() if counts[kind])


def summarize(images: Iterable[ImageScore]) -> Summary:
    """Average over pictures; gains are differences of unrounded means."""
    scores = list(images)

    def mean(field: str) -> float:
        return float(np.mean([getattr(score, field) for score in scores]))

    low, high = mean_interval([score.psnr_gain for score in scores]) or (None, None)
    in_colour = all(score.rgb_psnr_gain is not None for score in scores)
    means = {
        name: mean(name) for name in ("bicubic_psnr", "srcnn_psnr", "bicubic_ssim", "srcnn_ssim")
    }
    return Summary(
        **means,
        psnr_gain=means["srcnn_psnr"] - means["bicubic_psnr"],
        ssim_gain=means["srcnn_ssim"] - means["bicubic_ssim"],
        mse_reduction_percent=100 * (1 - mean("srcnn_mse") / mean("bicubic_mse")),
        images=len(scores),
        bicubic_bias=mean("bicubic_bias"),
        srcnn_bias=mean("srcnn_bias"),
        srcnn_largest_bias=max((score.srcnn_bias for score in scores), key=abs),
        bicubic_rgb_psnr=mean("bicubic_rgb_psnr") if in_colour else None,
        srcnn_rgb_psnr=mean("srcnn_rgb_psnr") if in_colour else None,
        psnr_gain_low=low,
        psnr_gain_high=high,
    )


def describe_protocol(border: int | None, in_colour: bool = False) -> str:
    """Say how PSNR and SSIM were measured.

    Args:
        border: pixels left out along each edge; None for as many as each model's scale.
        in_colour: whether red, green and blue were measured beside luma.
    """
    colours = (
        " RGB PSNR is that of the squared error averaged over red, green and blue."
        if in_colour
        else ""
    )
    frame = "a border as wide as the scale" if border is None else f"border of {border} pixels"
    return (
        f"PSNR and SSIM on 8-bit BT.601 luma, {frame} left out, averaged over pictures. Low "
        f"resolution by bicubic with antialias.{colours}"
    )
