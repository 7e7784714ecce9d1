"""Red, green and blue as the planes that networks work on, and back."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from srcnn_mlflow.pictures.imaging import FloatPlane, Plane, luma

# ITU-R BT.601: luma in 16..235, blue and red chroma in 16..240, of red, green and blue in 0..255.
YCBCR = (
    np.array(
        [
            [65.481, 128.553, 24.966],
            [-37.797, -74.203, 112.0],
            [112.0, -93.786, -18.214],
        ]
    )
    / 255
)
YCBCR_BLACK = np.array([16.0, 128.0, 128.0])


def to_ycbcr(planes: FloatPlane) -> FloatPlane:
    """BT.601's luma and chroma, not rounded.

    Args:
        planes: red, green and blue in 0..255, float32 of shape (3, height, width).

    Returns:
        Y in 16..235, Cb and Cr in 16..240, float32 of the same shape.

    >>> to_ycbcr(np.full((3, 1, 1), 255, np.float32)).round(3).ravel().tolist()
    [235.0, 128.0, 128.0]
    """
    black = YCBCR_BLACK.astype(np.float32)[:, None, None]
    return np.tensordot(YCBCR.astype(np.float32), planes, 1) + black


def from_ycbcr(planes: FloatPlane) -> FloatPlane:
    """The inverse of `to_ycbcr`, neither clipped nor rounded."""
    black = YCBCR_BLACK.astype(np.float32)[:, None, None]
    return np.tensordot(np.linalg.inv(YCBCR).astype(np.float32), planes - black, 1)


def grey_of(planes: FloatPlane) -> FloatPlane:
    """One grey plane of three: BT.601's luma over the full range, so that a grey stays itself.

    Args:
        planes: red, green and blue in 0..255, float32 of shape (3, height, width).

    Returns:
        float32 of shape (height, width), in 0..255.
    """
    red, green, blue = planes
    of_red, _, of_blue = (YCBCR[0] / YCBCR[0].sum()).astype(np.float32)
    grey: FloatPlane = green + of_red * (red - green) + of_blue * (blue - green)
    return grey


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
