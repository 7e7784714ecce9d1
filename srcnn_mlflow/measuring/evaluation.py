"""Score a model against bicubic, picture by picture; the averages as the report's table."""

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from srcnn_mlflow.machine.errors import DatasetError, ImageError, ModelError
from srcnn_mlflow.machine.progress import progress
from srcnn_mlflow.measuring.metrics import SSIM_WINDOW, compare, mse
from srcnn_mlflow.pictures.imaging import (
    Plane,
    downscale,
    mod_crop,
    to_eight_bit,
    upscale_to_eight_bit,
)
from srcnn_mlflow.pictures.photos import Photo, load_luma

UpscaleLuma = Callable[[Plane], Plane]

logger = logging.getLogger(__name__)


class TooSmallError(ImageError):
    """A picture with no room for an SSIM window inside the border."""


class TooPlainError(ImageError):
    """A picture that bicubic restores perfectly, so that its PSNR is infinite."""


@dataclass(frozen=True)
class ImageScore:
    """One picture by bicubic and by SRCNN: PSNR in dB, SSIM, MSE in squared grey levels.

    The bias, in grey levels, is how much lighter the picture has become on average.
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

    @property
    def psnr_gain(self) -> float:
        """SRCNN minus bicubic, in dB."""
        return self.srcnn_psnr - self.bicubic_psnr


@dataclass(frozen=True)
class Summary:
    """Averages over pictures; the fields are the names of an evaluation run's metrics.

    `srcnn_largest_bias` is that of the picture whose grey SRCNN shifts most, with its sign.
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
    original = mod_crop(original, scale)
    small = downscale(original, scale)
    bicubic = upscale_to_eight_bit(small, scale)
    if mse(original, bicubic, border) == 0:
        raise TooPlainError(
            f"{name}: bicubic restores it perfectly, so there is nothing to compare"
        )
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
        bicubic_bias=without.bias,
        srcnn_bias=with_srcnn.bias,
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
    upscale_luma: UpscaleLuma,
) -> Iterator[tuple[Photo, ImageScore]]:
    """Score photographs one by one; those that cannot be compared are named and left out.

    Raises:
        DatasetError: none could be compared.
        ModelError: the model enlarges by another scale.
    """
    refused: list[ImageError] = []
    for photo in progress(photos, total=len(photos), label="scoring"):
        try:
            score = score_plane(photo.name, load_luma(photo), scale, border, upscale_luma)
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
    )


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
