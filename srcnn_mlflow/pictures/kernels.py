"""Bicubic resizing as other programs do it: each kernel's weights as a matrix, row by row."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import csr_array

FloatPlanes = NDArray[np.float64]
# What an output pixel sees beyond the picture: nothing, so that the other weights count for more;
# the picture mirrored; or its outermost pixels, again and again.
Edges = Literal["nothing", "mirror", "repeat"]


@dataclass(frozen=True)
class Kernel:
    """A cubic convolution (Keys, 1981), and how it is used.

    Attributes:
        sharpness: Keys' a, such as -0.5; the more negative, the sharper.
        antialias: widen the kernel where a picture is made smaller.
        edges: what lies beyond the picture.
    """

    sharpness: float
    antialias: bool
    edges: Edges


# Also that of this project.
PILLOW = Kernel(-0.5, antialias=True, edges="nothing")
MATLAB = Kernel(-0.5, antialias=True, edges="mirror")
OPENCV = Kernel(-0.75, antialias=False, edges="repeat")


def resize(
    planes: NDArray[Any], height: int, width: int, kernel: Kernel, each_direction: bool = False
) -> FloatPlanes:
    """Resize planes by a kernel.

    Args:
        planes: of shape (height, width) or (height, width, bands), in grey levels.
        height: of the result.
        width: of the result.
        kernel: its weights.
        each_direction: round and clip to 8 bits after each direction, columns last.

    Returns:
        float64 of shape (height, width) or (height, width, bands), neither clipped nor rounded
        unless `each_direction` is set.
    """
    if kernel == PILLOW and not each_direction:
        return _by_pillow(planes, height, width)
    across = _along(planes, 1, width, kernel)
    if each_direction:
        across = np.clip(np.floor(across + 0.5), 0, 255)
    down = _along(across, 0, height, kernel)
    return np.clip(np.floor(down + 0.5), 0, 255) if each_direction else down


def _by_pillow(planes: NDArray[Any], height: int, width: int) -> FloatPlanes:
    """The same arithmetic as that of `imaging.downscale` and `imaging.upscale`, to the last bit."""
    bands = np.moveaxis(np.atleast_3d(planes), 2, 0)
    resized = [
        Image.fromarray(np.ascontiguousarray(band, np.float32)).resize(
            (width, height), Image.Resampling.BICUBIC
        )
        for band in bands
    ]
    stacked = np.stack([np.asarray(band, np.float64) for band in resized], axis=-1)
    return stacked if planes.ndim == 3 else stacked[..., 0]


def _along(planes: NDArray[Any], axis: int, length: int, kernel: Kernel) -> FloatPlanes:
    moved = np.moveaxis(planes, axis, 0)
    flat = moved.reshape(len(moved), -1).astype(np.float64)
    resized = _weights(len(moved), length, kernel) @ flat
    return np.moveaxis(resized.reshape(length, *moved.shape[1:]), 0, axis)


def _weights(length: int, new_length: int, kernel: Kernel) -> csr_array:
    """How much each pixel of a line counts in each pixel of the resized line."""
    step = length / new_length
    stretch = step if kernel.antialias and step > 1 else 1.0
    reach = 2 * stretch
    centres = (np.arange(new_length) + 0.5) * step - 0.5
    first = np.floor(centres - reach).astype(np.int64)
    places = first[:, None] + np.arange(int(np.ceil(2 * reach)) + 2)
    weights = _cubic((places - centres[:, None]) / stretch, kernel.sharpness)
    inside = (places >= 0) & (places < length)
    if kernel.edges == "nothing":
        weights = np.where(inside, weights, 0)
    weights /= weights.sum(axis=1, keepdims=True)
    columns = _mirrored(places, length) if kernel.edges == "mirror" else places.clip(0, length - 1)
    rows = np.repeat(np.arange(new_length), places.shape[1])
    return csr_array((weights.ravel(), (rows, columns.ravel())), shape=(new_length, length))


def _mirrored(places: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Where a place beyond the edge is seen; the outermost pixel stands beside itself."""
    around: NDArray[np.int64] = np.mod(places, 2 * length)
    return np.where(around < length, around, 2 * length - 1 - around)


def _cubic(distance: NDArray[np.float64], a: float) -> NDArray[np.float64]:
    """Keys' kernel; the paper has a = -1/2."""
    x = np.abs(distance)
    near = ((a + 2) * x - (a + 3)) * x**2 + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0))
