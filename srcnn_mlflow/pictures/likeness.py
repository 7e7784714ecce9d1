"""Perceptual hashes: which pictures show the same, though not a pixel may be equal.

A picture is hashed as a whole, which its recompressed and resized copies share, and so are the
windows around its most distinct blobs, which its crops share, wherever they were cut. Each is first
turned and mirrored into a standard position, so that turned and mirrored copies hash alike.
"""

from collections.abc import Iterator, Sequence
from itertools import compress, product

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import maximum_filter, uniform_filter

# Hashes in hexadecimal digits: those of the whole picture are the longer ones.
Likeness = tuple[str, ...]

# Pictures whose bits are in memory together.
_AT_ONCE = 2048
# Bits are the square of these sides. docs/protocol.md has the copies that are found, and the pairs
# of different pictures that are taken for copies.
_WHOLE_SIDE, _WINDOW_SIDE = 16, 8
_MOST_BITS_WHOLE, _MOST_BITS_WINDOW = 64, 8
# One window alone may be a street lamp on any sky.
_LEAST_WINDOWS = 2
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


def find_alike(ones: Sequence[Likeness], others: Sequence[Likeness]) -> Iterator[tuple[int, int]]:
    """Go through the pairs of pictures that show the same, as places in both sequences.

    They do if they differ in at most a quarter of the bits of the whole, or if two windows of each
    differ from windows of the other in at most an eighth.
    """
    signs = [[_signs([other], side)[0] for side in (_WHOLE_SIDE, _WINDOW_SIDE)] for other in others]
    pairs: list[tuple[int, int]] = []
    # As bits are told apart by products of floats, those of many pictures would take much memory.
    for first in range(0, len(ones), _AT_ONCE):
        some = ones[first : first + _AT_ONCE]
        wholes, whole_owners = _signs(some, _WHOLE_SIDE)
        windows, window_owners = _signs(some, _WINDOW_SIDE)
        for place, (whole, window) in enumerate(signs):
            near = _differing_bits(wholes, whole) <= _MOST_BITS_WHOLE
            found = set(whole_owners[near.any(axis=1)].tolist())
            matches = _differing_bits(windows, window) <= _MOST_BITS_WINDOW
            counts = np.bincount(window_owners[matches.any(axis=1)], minlength=len(some))
            for one in np.flatnonzero(counts >= _LEAST_WINDOWS).tolist():
                # Several windows of one picture may be near the same window of the other.
                if matches[window_owners == one].any(axis=0).sum() >= _LEAST_WINDOWS:
                    found.add(one)
            pairs += [(place, first + one) for one in found]
    yield from ((one, place) for place, one in sorted(pairs))


def _signs(
    likenesses: Sequence[Likeness], side: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The bits of all hashes of a kind as 1 and -1, (hashes, bits), and whose each is."""
    digits = side**2 // 4
    pairs = [(place, hash_) for place, one in enumerate(likenesses) for hash_ in one]
    chosen = [(place, hash_) for place, hash_ in pairs if len(hash_) == digits]
    together = bytes.fromhex("".join(hash_ for _, hash_ in chosen))
    bits = np.unpackbits(np.frombuffer(together, np.uint8)).reshape(-1, side**2)
    owners = np.array([place for place, _ in chosen], np.int64)
    return 2 * bits.astype(np.float32) - 1, owners


def _differing_bits(ones: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """In how many bits each of the ones differs from each of the others."""
    difference: NDArray[np.float32] = (ones.shape[1] - ones @ others.T) / 2
    return difference


def _hash(square: Image.Image, side: int) -> str:
    return np.packbits(imagehash.phash(square, hash_size=side).hash).tobytes().hex()


def _hash_whole(half: Image.Image) -> list[str]:
    """Hash a picture in its standard position, or all that it may have; not a plain one."""
    # As large as the library's hash takes it.
    square = half.resize((4 * _WHOLE_SIDE, 4 * _WHOLE_SIDE), Image.Resampling.LANCZOS)
    if np.std(np.asarray(square)) < _LEAST_SPREAD:
        return []
    return [_hash(position, _WHOLE_SIDE) for position in _standard_positions(square)]


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
    return [_hash(next(_standard_positions(window)), _WINDOW_SIDE) for window in windows]


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
