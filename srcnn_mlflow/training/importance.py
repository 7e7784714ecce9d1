"""How often each training patch is drawn, and how much it then counts.

A patch that bicubic interpolation restores well teaches little. Drawn with a probability in
proportion to the square root of its error, and weighed by the inverse of that probability, patches
give the same gradient on average with less noise (importance sampling; Katharopoulos and Fleuret,
2018). Apart from that, a picture can be weighed by the inverse root of bicubic's error in all of
it. That lies between the mean of errors, for which large and difficult pictures count most, and
the mean of decibels, for which every picture counts alike, be it tiny or all but flat.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srcnn_mlflow.machine.processors import available_cores
from srcnn_mlflow.machine.progress import progress
from srcnn_mlflow.pictures.colour import YCBCR
from srcnn_mlflow.pictures.imaging import Plane
from srcnn_mlflow.pictures.store import Store

# Errors below that of rounding say nothing; patches of less are drawn as if they had it.
LEAST_ERROR = 0.25
# Patches share the numbers from 0 to this, each as many as its probability: four bytes a patch.
TICKETS = 2**32 - 1
# Batches that are drawn at once, from a generator of their own.
BLOCK = 512


@dataclass(frozen=True)
class Importance:
    """How patches are drawn and weighed.

    Attributes:
        picture_weights: float32 (pictures,), how much the error of each counts; 1 on average over
            the errors of all patches.
        ends: uint32 (patches,), the first ticket behind those of each patch; None where each patch
            is drawn once a pass.
    """

    picture_weights: NDArray[np.float32]
    ends: NDArray[np.uint32] | None

    def weights(
        self, patches: NDArray[np.int64], pictures: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """How much the squared error of patches counts, once they are drawn.

        Args:
            patches: int64 (batch,), their numbers.
            pictures: int64 (batch,), the picture that each comes from.
        """
        weights = self.picture_weights[pictures]
        if self.ends is None:
            return weights
        before = np.where(patches > 0, self.ends[patches - 1], 0).astype(np.float64)
        tickets = self.ends[patches] - before
        return (weights * (TICKETS / len(self.ends) / tickets)).astype(np.float32)

    def draw(self, batch_size: int, seed: int, first: int, count: int) -> Iterator[NDArray[Any]]:
        """Draw batches of patches with replacement.

        Args:
            batch_size: patches a batch.
            seed: of the draws.
            first: the number of the first batch; each is the same however it is come to.
            count: how many batches.

        Yields:
            int64 (batch_size,).
        """
        assert self.ends is not None
        batches: NDArray[np.int64] = np.empty((0, batch_size), np.int64)
        drawn = -1
        for batch in range(first, first + count):
            block, place = divmod(batch, BLOCK)
            if block != drawn:
                generator = np.random.default_rng((seed, block))
                tickets = generator.integers(TICKETS, size=(BLOCK, batch_size), dtype=np.uint32)
                batches = np.searchsorted(self.ends, tickets.ravel(), side="right").reshape(
                    BLOCK, batch_size
                )
                drawn = block
            yield batches[place]


def measure_importance(
    store: Store, margin: int, sampling: str, loss: str, channels: str = "y"
) -> Importance | None:
    """Weigh the patches of a store by how well bicubic interpolation restores them.

    Args:
        store: the planes, and where patches lie.
        margin: pixels along each edge of a patch that are not compared.
        sampling: `uniform`, each patch once a pass; or `by_error`, with replacement.
        loss: `mse`; or `psnr`, where pictures are weighed.
        channels: `y`, `ycbcr` or `rgb`: over which planes errors are measured.

    Returns:
        None for `uniform` and `mse`, where every patch is drawn alike and counts alike.
    """
    if (sampling, loss) == ("uniform", "mse"):
        return None
    errors = np.maximum(patch_errors(store, margin, channels), LEAST_ERROR)
    pictures = np.repeat(np.arange(len(store.train)), np.diff(store.patches.firsts))
    return weigh_patches(errors, pictures, len(store.train), sampling, loss)


def weigh_patches(
    errors: NDArray[np.float64],
    pictures: NDArray[np.int64],
    count: int,
    sampling: str,
    loss: str,
    shares: NDArray[np.float64] | float = 1.0,
) -> Importance:
    """Weigh patches by their errors, and pictures by those of theirs.

    Args:
        errors: float64 (patches,), at least `LEAST_ERROR` each.
        pictures: int64 (patches,), the picture that each lies in.
        count: how many pictures there are.
        sampling: `uniform` or `by_error`.
        loss: `mse` or `psnr`.
        shares: float64 (count,), how much of each picture's patches these are.
    """
    sums = np.bincount(pictures, errors, count)
    weights = np.ones(count)
    if loss == "psnr":
        # A picture too small for a patch has no error, and no weight is asked for.
        weights = 1 / np.sqrt(np.maximum(sums / shares, LEAST_ERROR))
        weights *= sums.sum() / (weights * sums).sum()
    ends = None
    if sampling == "by_error":
        ends = share_tickets(weights[pictures] * np.sqrt(errors))
    return Importance(weights.astype(np.float32), ends)


def share_tickets(shares: NDArray[np.float64]) -> NDArray[np.uint32]:
    """Give each patch tickets in proportion to its share, at least one.

    Args:
        shares: float64 (patches,), above 0.

    Returns:
        uint32 (patches,), the first ticket behind those of each; the last is TICKETS.
    """
    spare = TICKETS - len(shares)
    ends = np.floor(np.cumsum(shares) * (spare / shares.sum())) + np.arange(1, len(shares) + 1)
    ends[-1] = TICKETS
    tickets: NDArray[np.uint32] = ends.astype(np.uint32)
    return tickets


def patch_errors(store: Store, margin: int, channels: str = "y") -> NDArray[np.float64]:
    """The mean squared error of bicubic interpolation in every training patch, over all planes.

    Args:
        store: the planes, and where patches lie.
        margin: pixels along each edge of a patch that are not compared.
        channels: `y`, `ycbcr` or `rgb`.

    Returns:
        float64 (patches,), in squared grey levels.
    """
    errors = np.empty(len(store.patches))
    firsts = store.patches.firsts

    def measure(picture: int) -> None:
        corners = store.patches.corners(picture)
        of_picture = slice(firsts[picture], firsts[picture + 1])
        pair, size = store.train.pair(picture), store.settings.patch_size
        errors[of_picture] = errors_of_picture(*pair, corners, size, margin, channels)

    with ThreadPoolExecutor(available_cores()) as pool:
        measured = pool.map(measure, range(len(store.train)))
        for _ in progress(measured, total=len(store.train), label="weighing patches"):
            pass
    return errors


def errors_of_picture(
    lr: Plane, hr: Plane, corners: NDArray[np.int32], size: int, margin: int, channels: str
) -> NDArray[np.float64]:
    """The same of some patches of a picture.

    Args:
        lr: uint8 of shape (height, width), or (3, height, width): what bicubic interpolation gives.
        hr: the original, of the same shape.
        corners: int32 (patches, 2), top and left of each.
        size: the side of a patch, in pixels.
        margin: as in `patch_errors`.
        channels: as in `patch_errors`.
    """
    side = size - 2 * margin
    squares = _squared_errors(lr, hr, channels)
    planes = lr.size // squares.size
    sums = _window_sums(squares, corners.astype(np.int64) + margin, side)
    means: NDArray[np.float64] = sums / (side**2 * planes)
    return means


def _squared_errors(lr: Plane, hr: Plane, channels: str) -> NDArray[Any]:
    """Squared differences of every pixel, added up over its planes; shape (height, width)."""
    difference = hr.astype(np.int32) - lr
    if channels == "ycbcr":
        difference = np.tensordot(YCBCR, difference, 1)
    squares = np.square(difference)
    summed: NDArray[Any] = squares if channels == "y" else squares.sum(axis=0)
    return summed


def _window_sums(squares: NDArray[Any], corners: NDArray[np.int64], side: int) -> NDArray[Any]:
    """Squared differences added up in windows by a summed-area table."""
    height, width = squares.shape
    whole = np.issubdtype(squares.dtype, np.integer)
    table = np.zeros((height + 1, width + 1), np.int64 if whole else np.float64)
    np.cumsum(squares, axis=0, out=table[1:, 1:])
    np.cumsum(table[1:, 1:], axis=1, out=table[1:, 1:])
    top, left = corners.T
    bottom, right = top + side, left + side
    sums: NDArray[Any] = (
        table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]
    )
    return sums
