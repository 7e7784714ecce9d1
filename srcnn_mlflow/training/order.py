"""An order of many patches that is computed where it is looked at, and not kept."""

import numpy as np
import torch
from numpy.typing import NDArray

# Up to so many are shuffled as a whole, which takes eight bytes each.
SHUFFLED = 1 << 24
_ROUNDS = 6


def shuffled(count: int, seed: int, first: int, end: int) -> NDArray[np.int64]:
    """Some places of a random order of the numbers from 0 to `count`.

    Args:
        count: how many numbers there are.
        seed: of the order.
        first: the first place that is asked for.
        end: the place behind the last.

    Returns:
        int64 (end - first,). Over all places, every number once.
    """
    if count <= SHUFFLED:
        generator = torch.Generator().manual_seed(seed)
        order: NDArray[np.int64] = torch.randperm(count, generator=generator).numpy()
        return order[first:end]
    return permuted(np.arange(first, end), count, seed)


def permuted(numbers: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """Where a random permutation of the numbers from 0 to `count` sends some of them.

    A Feistel network over the smallest even number of bits that holds them all (Luby and Rackoff,
    1988), gone round again from where it leads out of them (cycle walking; Black and Rogaway,
    2002).

    Args:
        numbers: int64, each from 0 to below `count`; of any shape.
        count: how many numbers the permutation is of; at least 1.
        seed: of the permutation.

    Returns:
        int64 of the same shape.
    """
    half = np.uint64(max(1, -(-(count - 1).bit_length() // 2)))
    keys = np.random.default_rng(seed).integers(1 << 63, size=_ROUNDS, dtype=np.uint64)
    found = numbers.astype(np.uint64)
    outside = np.ones(found.shape, np.bool_)
    while outside.any():
        found[outside] = _encipher(found[outside], half, keys)
        outside = found >= count
    return found.astype(np.int64)


def _encipher(
    numbers: NDArray[np.uint64], half: np.uint64, keys: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = numbers >> half, numbers & mask
    for key in keys:
        left, right = right, left ^ (_mixed(right + key) & mask)
    return (left << half) | right


def _mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread every bit over all others (the finalizer of SplitMix64; Steele et al., 2014)."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))
