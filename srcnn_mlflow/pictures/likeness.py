"""Perceptual hashes: which pictures show the same, though not a pixel may be equal.

A picture is hashed as a whole, which its recompressed and resized copies share, and so are the
windows around its most distinct blobs, which its crops share, wherever they were cut. Each is first
turned and mirrored into a standard position, so that turned and mirrored copies hash alike.
`likeness_hashes` makes the hashes.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from srcnn_mlflow.machine.processors import available_cores

# Hashes in hexadecimal digits: those of the whole picture are the longer ones.
Likeness = tuple[str, ...]

# Bits are the square of these sides. docs/protocol.md has the copies that are found, and the pairs
# of different pictures that are taken for copies.
WHOLE_SIDE, WINDOW_SIDE = 16, 8
_MOST_BITS_WHOLE, _MOST_BITS_WINDOW = 64, 8
# One window alone may be a street lamp on any sky.
_LEAST_WINDOWS = 2
# Pictures that are held against each other at once, of either sequence: as bits are told apart by
# products of floats, those of many would take much memory.
_AT_ONCE, _OTHERS_AT_ONCE = 2048, 16


def find_alike(ones: Sequence[Likeness], others: Sequence[Likeness]) -> Iterator[tuple[int, int]]:
    """Go through the pairs of pictures that show the same, as places in both sequences.

    They do if they differ in at most a quarter of the bits of the whole, or if two windows of each
    differ from windows of the other in at most an eighth.
    """
    starts = range(0, len(others), _OTHERS_AT_ONCE)
    blocks = [(start, _Signs(others[start : start + _OTHERS_AT_ONCE])) for start in starts]

    def find_among(first: int) -> list[tuple[int, int]]:
        some = _Signs(ones[first : first + _AT_ONCE])
        pairs: list[tuple[int, int]] = []
        for start, block in blocks:
            found, found_others = np.divmod(_alike(some, block), _OTHERS_AT_ONCE)
            pairs += zip((start + found_others).tolist(), (first + found).tolist(), strict=True)
        return pairs

    with ThreadPoolExecutor(available_cores()) as pool:
        every = [*pool.map(find_among, range(0, len(ones), _AT_ONCE))]
    yield from ((one, other) for other, one in sorted(pair for pairs in every for pair in pairs))


class _Signs:
    """The bits of the hashes of some pictures, as 1 and -1.

    Attributes:
        wholes: float32 (hashes, bits), of whole pictures.
        windows: float32 (hashes, bits), of windows.
        whole_owners: int64 (hashes,), the place of the picture that each is of.
        window_owners: int64 (hashes,), the same of windows.
    """

    def __init__(self, likenesses: Sequence[Likeness]) -> None:
        self.wholes, self.whole_owners = _signs(likenesses, WHOLE_SIDE)
        self.windows, self.window_owners = _signs(likenesses, WINDOW_SIDE)


def _signs(
    likenesses: Sequence[Likeness], side: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    digits = side**2 // 4
    pairs = [(place, hash_) for place, one in enumerate(likenesses) for hash_ in one]
    chosen = [(place, hash_) for place, hash_ in pairs if len(hash_) == digits]
    together = bytes.fromhex("".join(hash_ for _, hash_ in chosen))
    bits = np.unpackbits(np.frombuffer(together, np.uint8)).reshape(-1, side**2)
    owners = np.array([place for place, _ in chosen], np.int64)
    return 2 * bits.astype(np.float32) - 1, owners


def _alike(ones: _Signs, others: _Signs) -> NDArray[np.int64]:
    """The pairs that show the same, each as `_OTHERS_AT_ONCE` times its one and its other."""
    rows, columns = _near(ones.wholes, others.wholes, _MOST_BITS_WHOLE)
    wholes = ones.whole_owners[rows] * _OTHERS_AT_ONCE + others.whole_owners[columns]
    rows, columns = _near(ones.windows, others.windows, _MOST_BITS_WINDOW)
    pairs = ones.window_owners[rows] * _OTHERS_AT_ONCE + others.window_owners[columns]
    # Several windows of one picture may be near the same window of the other.
    windows = np.intersect1d(
        _with_several(pairs, rows, len(ones.windows)),
        _with_several(pairs, columns, len(others.windows)),
    )
    return np.union1d(wholes, windows)


def _near(
    ones: NDArray[np.float32], others: NDArray[np.float32], most: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The places of hashes that differ in at most so many bits."""
    # Of equal signs the product is 1, of others -1.
    least = ones.shape[1] - 2 * most
    rows, columns = np.nonzero(ones @ others.T >= least)
    return rows, columns


def _with_several(
    pairs: NDArray[np.int64], windows: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """The pairs of pictures beside which several different windows stand, of so many."""
    each = np.unique(pairs * count + windows)
    found, counts = np.unique(each // max(count, 1), return_counts=True)
    return found[counts >= _LEAST_WINDOWS]
