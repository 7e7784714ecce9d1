"""PSNR and SSIM between two 8-bit luma planes."""

import math

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

PEAK = 255.0
SSIM_WINDOW = 11

Plane = NDArray[np.uint8]


def mse(target: Plane, prediction: Plane, border: int = 0) -> float:
    """Mean squared error between two planes, in squared grey levels.

    Args:
        target: uint8 of shape (height, width).
        prediction: the same shape.
        border: pixels left out along each edge.

    Raises:
        ValueError: the shapes differ, or the border leaves no pixel.
    """
    target, prediction = _inside(target, border), _inside(prediction, border)
    if target.shape != prediction.shape or target.size == 0:
        raise ValueError(f"cannot compare planes of {target.shape} and {prediction.shape} pixels")
    difference = target.astype(np.int32) - prediction.astype(np.int32)
    return float(np.mean(np.square(difference), dtype=np.float64))


def psnr(target: Plane, prediction: Plane, border: int = 0) -> float:
    """Peak signal-to-noise ratio in dB, peak 255; infinite for equal planes.

    Arguments and errors are those of `mse`.
    """
    error = mse(target, prediction, border)
    return math.inf if error == 0 else 10 * math.log10(PEAK**2 / error)


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
    return float(
        structural_similarity(  # type: ignore[no-untyped-call]
            _inside(target, border),
            _inside(prediction, border),
            data_range=PEAK,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )


def _inside(plane: Plane, border: int) -> Plane:
    height, width = plane.shape
    return plane[border : height - border, border : width - border]
