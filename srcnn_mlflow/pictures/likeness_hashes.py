"""The perceptual hashes of a picture: of the whole, and of the windows around its strongest blobs.

Here and not beside what compares hashes, because the libraries that make them take a third of a
second and 20 MB, and pictures that are known are not hashed again.
"""

from collections.abc import Iterator
from itertools import compress, product

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import maximum_filter, uniform_filter

from srcnn_mlflow.pictures.likeness import WHOLE_SIDE, WINDOW_SIDE, Likeness

_MOST_WINDOWS = 16
# Widths of a window, of a blob and of the square that has no second blob, in pixels of the picture
# at half its size.
_WINDOW, _BLOB, _APART = 32, 5, 13
# In grey levels: how far a blob stands out; how much a picture varies that is told from others; by
# how much the brightness of two halves differs where a copy is sure to have the same brighter half.
_LEAST_CONTRAST, _LEAST_SPREAD, _LEAST_DIFFERENCE = 4.0, 4.0, 1.0


def likeness(image: Image.Image) -> Likeness:
    """Hash a picture and its most distinct windows, each by the signs of its DCT.

    Args:
        image: mode L or RGB.
    """
    half = image.convert("L").reduce(2)
    return (*_hash_whole(half), *_hash_windows(half))


def _hash(square: Image.Image, side: int) -> str:
    return np.packbits(imagehash.phash(square, hash_size=side).hash).tobytes().hex()


def _hash_whole(half: Image.Image) -> list[str]:
    """Hash a picture in its standard position, or all that it may have; not a plain one."""
    # As large as the library's hash takes it.
    square = half.resize((4 * WHOLE_SIDE, 4 * WHOLE_SIDE), Image.Resampling.LANCZOS)
    if np.std(np.asarray(square)) < _LEAST_SPREAD:
        return []
    return [_hash(position, WHOLE_SIDE) for position in _standard_positions(square)]


def _hash_windows(half: Image.Image) -> list[str]:
    """Hash the windows around the strongest blobs, the extremes of a difference of blurs."""
    pixels = np.asarray(half, np.float32)
    if min(pixels.shape) < _WINDOW:
        return []
    reach = _WINDOW // 2
    inside = tuple(slice(reach, side - reach + 1) for side in pixels.shape)
    # In place, because pictures may be large.
    contrast = _blur(pixels, _BLOB)
    contrast -= _blur(pixels, 2 * _BLOB + 1)
    contrast = np.abs(contrast, out=contrast)[inside]
    peaks = (contrast == maximum_filter(contrast, _APART)) & (contrast > _LEAST_CONTRAST)
    rows, columns = np.nonzero(peaks)
    strongest = np.argsort(-contrast[rows, columns], kind="stable")[:_MOST_WINDOWS]
    corners = zip(columns[strongest].tolist(), rows[strongest].tolist(), strict=True)
    windows = (half.crop((left, top, left + _WINDOW, top + _WINDOW)) for left, top in corners)
    return [_hash(next(_standard_positions(window)), WINDOW_SIDE) for window in windows]


def _blur(pixels: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Average over a square twice, which is nearly Gaussian, and as fast at any width."""
    blurred: NDArray[np.float32] = uniform_filter(uniform_filter(pixels, width), width)
    return blurred


def _standard_positions(square: Image.Image) -> Iterator[Image.Image]:
    """Turn and mirror a square until its left and upper halves are brighter, the left most so.

    Where halves are nearly equal, a copy may have it the other way: both come, the better first.
    """
    pixels = np.asarray(square, np.float32)
    middle = len(pixels) // 2
    left = float(pixels[:, :middle].mean() - pixels[:, middle:].mean())
    top = float(pixels[:middle].mean() - pixels[middle:].mean())
    reasons = {
        Image.Transpose.FLIP_LEFT_RIGHT: -left,
        Image.Transpose.FLIP_TOP_BOTTOM: -top,
        Image.Transpose.TRANSPOSE: abs(top) - abs(left),
    }
    choices = (
        (reason > 0, reason <= 0) if abs(reason) < _LEAST_DIFFERENCE else (reason > 0,)
        for reason in reasons.values()
    )
    for chosen in product(*choices):
        image = square
        for turn in compress(reasons, chosen):
            image = image.transpose(turn)
        yield image
