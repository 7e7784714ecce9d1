"""PSNR, SSIM and bias between two 8-bit luma planes."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

PEAK = 255.0
SSIM_WINDOW = 11

Plane = NDArray[np.uint8]


@dataclass(frozen=True)
class Comparison:
    """All scores of a plane against its original.

    Attributes:
        mse: in squared grey levels.
        psnr: in dB; infinite for equal planes.
        ssim: 1 for equal planes.
        bias: in grey levels; above 0 where the plane is lighter than its original.
    """

    mse: float
    psnr: float
    ssim: float
    bias: float


@dataclass(frozen=True)
class Moved:
    """Shares of a plane's pixels, in 0..1; what is left is as far from the original as before.

    Attributes:
        nearer: got nearer to the original.
        farther: got farther from it.
    """

    nearer: float
    farther: float


def moved(target: Plane, before: Plane, after: Plane) -> Moved:
    """Which share of pixels got nearer to an original, and which farther from it.

    Args:
        target: uint8 of any shape.
        before: the same shape.
        after: the same shape.

    >>> target, before, after = np.array([[9, 9, 9, 9], [5, 9, 8, 7], [6, 8, 10, 9]], np.uint8)
    >>> moved(target, before, after)
    Moved(nearer=0.5, farther=0.25)
    """
    former, latter = (np.abs(plane.astype(np.int16) - target) for plane in (before, after))
    return Moved(float(np.mean(latter < former)), float(np.mean(latter > former)))


def mse(target: Plane, prediction: Plane, border: int = 0) -> float:
    """Mean squared error between two planes, in squared grey levels; over all bands alike.

    Args:
        target: uint8 of shape (height, width) or (height, width, 3).
        prediction: the same shape.
        border: pixels left out along each edge.

    Raises:
        ValueError: the shapes differ, or the border leaves no pixel.
    """
    difference = _difference(target, prediction, border)
    return float(np.mean(np.square(difference), dtype=np.float64))


def psnr(target: Plane, prediction: Plane, border: int = 0) -> float:
    """Peak signal-to-noise ratio in dB, peak 255; infinite for equal planes.

    Arguments and errors are those of `mse`.

    >>> black, grey = np.zeros((8, 8), np.uint8), np.full((8, 8), 16, np.uint8)
    >>> round(psnr(black, grey), 2)
    24.05
    """
    return decibels(mse(target, prediction, border))


def decibels(error: float, peak: float = PEAK) -> float:
    """The PSNR that belongs to a mean squared error in squared grey levels.

    >>> round(decibels(1.0), 4)
    48.1308
    >>> decibels(0.0)
    inf
    """
    return math.inf if error == 0 else 10 * math.log10(peak**2 / error)


def ssim(target: Plane, prediction: Plane, border: int = 0) -> float:
    """Structural similarity (Wang et al., 2004), averaged where the window lies inside.

    Gaussian window of 11x11 with sigma 1.5, population covariance, K1 = 0.01, K2 = 0.03.

    Args:
        target: uint8 of shape (height, width).
        prediction: the same shape.
        border: pixels left out along each edge.

    Raises:
        ValueError: the shapes differ, or less than one window is left.
    """
    return structural(_inside(target, border), _inside(prediction, border))


def structural(
    target: NDArray[Any],
    prediction: NDArray[Any],
    *,
    peak: float = PEAK,
    gaussian: bool = True,
    sample_covariance: bool = False,
    mirror: bool = False,
) -> float:
    """`ssim` with the choices that other programs make.

    Args:
        target: uint8 or float64 of shape (height, width), in grey levels.
        prediction: the same shape and type.
        peak: highest level less lowest.
        gaussian: a Gaussian window of 11x11 with sigma 1.5; else a flat one of 7x7.
        sample_covariance: divide by one less than the pixels of a window.
        mirror: continue planes beyond their edges, as in a mirror that stands on the outermost
            pixels, for windows around every pixel.

    Raises:
        ValueError: the shapes differ, or less than one window is left.
    """
    window = SSIM_WINDOW if gaussian else 7
    margin = window // 2
    if mirror:
        target, prediction = (
            np.pad(plane, margin, mode="reflect") for plane in (target, prediction)
        )
    _, similarity = structural_similarity(  # type: ignore[no-untyped-call]
        target,
        prediction,
        data_range=peak,
        gaussian_weights=gaussian,
        sigma=1.5,
        win_size=window,
        use_sample_covariance=sample_covariance,
        full=True,
    )
    return float(np.mean(similarity[margin:-margin, margin:-margin]))


def bias(target: Plane, prediction: Plane, border: int = 0) -> float:
    """Mean of the prediction less the mean of the target, in grey levels.

    PSNR hides a shift of grey where it is small beside other errors, and SSIM hardly heeds it.
    Arguments and errors are those of `mse`.

    >>> bias(np.full((8, 8), 100, np.uint8), np.full((8, 8), 97, np.uint8))
    -3.0
    """
    return float(np.mean(_difference(target, prediction, border), dtype=np.float64))


def compare(target: Plane, prediction: Plane, border: int = 0) -> Comparison:
    """Score a plane by `mse`, `psnr`, `ssim` and `bias`, whose arguments and errors are its own."""
    error = mse(target, prediction, border)
    return Comparison(
        error,
        decibels(error),
        ssim(target, prediction, border),
        bias(target, prediction, border),
    )


def _difference(target: Plane, prediction: Plane, border: int) -> NDArray[np.int32]:
    target, prediction = _inside(target, border), _inside(prediction, border)
    if target.shape != prediction.shape or target.size == 0:
        raise ValueError(f"cannot compare planes of {target.shape} and {prediction.shape} pixels")
    return prediction.astype(np.int32) - target.astype(np.int32)


def _inside(plane: Plane, border: int) -> Plane:
    height, width = plane.shape[:2]
    return plane[border : height - border, border : width - border]
