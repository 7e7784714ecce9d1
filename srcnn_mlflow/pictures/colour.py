"""Red, green and blue as the planes that networks work on, and back."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from srcnn_mlflow.pictures.imaging import Plane, luma

# ITU-R BT.601: luma in 16..235, blue and red chroma in 16..240, of red, green and blue in 0..255.
YCBCR: NDArray[Any] = (
    np.array(
        [
            [65.481, 128.553, 24.966],
            [-37.797, -74.203, 112.0],
            [112.0, -93.786, -18.214],
        ]
    )
    / 255
)
YCBCR_BLACK: NDArray[Any] = np.array([16.0, 128.0, 128.0])


def ycbcr_conversion(*, inverse: bool) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """BT.601's luma and chroma from red, green and blue, or the exact inverse.

    Args:
        inverse: back to red, green and blue.

    Returns:
        A matrix, float32 of shape (3, 3), and what is added to its products, of shape (3,); of
        levels that were divided by 255, and neither clipped nor rounded.

    >>> matrix, black = ycbcr_conversion(inverse=False)
    >>> (255 * (matrix @ np.ones(3) + black)).round(3).tolist()
    [235.0, 128.0, 128.0]
    """
    matrix, black = YCBCR, YCBCR_BLACK / 255
    if inverse:
        matrix = np.linalg.inv(YCBCR)
        black = -matrix @ black
    return matrix.astype(np.float32), black.astype(np.float32)


def luma_plane(pixels: Plane) -> Plane:
    """`luma` of uint8 of shape (height, width) or (height, width, 3)."""
    return pixels if pixels.ndim == 2 else luma(Image.fromarray(pixels))


def each_plane(pixels: Plane, function: Callable[[Plane], Plane]) -> Plane:
    """What a function makes of a grey picture, or of red, green and blue each.

    Args:
        pixels: uint8 of shape (height, width) or (height, width, 3).
        function: from a plane to a plane.
    """
    if pixels.ndim == 2:
        return function(pixels)
    return np.dstack([function(plane) for plane in np.moveaxis(pixels, 2, 0)])
