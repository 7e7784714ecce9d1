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
# Batches that are drawn at once, from a generator of their own.
BLOCK = 512
# A patch's error is kept as a byte: the root of it in steps of 2.5 per cent, up to 275 grey levels.
_STEPS_A_DOUBLING = 28
_ROOTS = np.sqrt(LEAST_ERROR) * np.exp2(np.arange(256) / _STEPS_A_DOUBLING)
# Patches whose shares are added up in one go, or those of one picture.
_TOGETHER = 1 << 16


@dataclass(frozen=True)
class ByError:
    """How often patches are drawn: a picture first, and then a patch of it.

    Attributes:
        ends: float64 (pictures,), the sum of the shares of each picture and those before it.
        levels: uint8 (patches,), the root of the error in each, which is its share in its picture.
        firsts: int64 (pictures + 1,), the number of the first patch of each, and of all patches.
    """

    ends: NDArray[np.float64]
    levels: NDArray[np.uint8]
    firsts: NDArray[np.int64]

    def draw(self, generator: np.random.Generator, count: int) -> NDArray[np.int64]:
        """Draw patches with replacement; int64 (count,), their numbers."""
        pictures = pick(self.ends, generator.random(count))
        fractions, found = generator.random(count), np.empty(count, np.int64)
        order = np.argsort(pictures, kind="stable")
        chosen, begins = np.unique(pictures[order], return_index=True)
        # Small pictures are taken together, large ones one after the other.
        together = np.cumsum(self.firsts[chosen + 1] - self.firsts[chosen]) // _TOGETHER
        starts = np.append(0, np.flatnonzero(np.diff(together)) + 1)
        for own, places in zip(
            np.split(chosen, starts[1:]), np.split(order, begins[starts[1:]]), strict=True
        ):
            found[places] = self._draw_from(own, pictures[places], fractions[places])
        return found

    def _draw_from(
        self,
        some: NDArray[np.int64],
        pictures: NDArray[np.int64],
        fractions: NDArray[np.float64],
    ) -> NDArray[np.int64]:
        """A patch of each of the pictures, at a fraction of its share; `some` has each once."""
        levels = [self.levels[slice(*self.firsts[one : one + 2])] for one in some]
        ends = np.cumsum(_ROOTS.take(np.concatenate(levels)))
        begins = np.append(0, np.cumsum([len(one) for one in levels]))
        sums, own = np.append(0, ends[begins[1:] - 1]), np.searchsorted(some, pictures)
        found = pick(ends, fractions, sums[own], sums[own + 1]) - begins[own]
        numbers: NDArray[np.int64] = self.firsts[pictures] + found
        return numbers

    def weights(self, patches: NDArray[np.int64]) -> NDArray[np.float32]:
        """What makes up for how often patches are drawn, beside the weights of their pictures."""
        weights: NDArray[np.float32] = (
            self.ends[-1] / len(self.levels) / _ROOTS[self.levels[patches]]
        ).astype(np.float32)
        return weights


@dataclass(frozen=True)
class Importance:
    """How patches are drawn and weighed.

    Attributes:
        picture_weights: float32 (pictures,), how much the error of each counts; 1 on average over
            the errors of all patches.
        by_error: how they are drawn; None where each patch is drawn once a pass.
    """

    picture_weights: NDArray[np.float32]
    by_error: ByError | None

    def weights(
        self, patches: NDArray[np.int64], pictures: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """How much the squared error of patches counts, once they are drawn.

        Args:
            patches: int64 (batch,), their numbers.
            pictures: int64 (batch,), the picture that each comes from.
        """
        if self.by_error is None:
            return self.picture_weights[pictures]
        # Pictures that count for more are drawn as much more often.
        return self.by_error.weights(patches)

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
        assert self.by_error is not None
        batches: NDArray[np.int64] = np.empty((0, batch_size), np.int64)
        drawn = -1
        for batch in range(first, first + count):
            block, place = divmod(batch, BLOCK)
            if block != drawn:
                generator = np.random.default_rng((seed, block))
                patches = self.by_error.draw(generator, BLOCK * batch_size)
                batches, drawn = patches.reshape(BLOCK, batch_size), block
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
    firsts, levels = store.patches.firsts, np.empty(len(store.patches), np.uint8)
    sums, roots = np.empty(len(store.train)), np.empty(len(store.train))

    def measure(picture: int) -> None:
        errors = np.maximum(patch_errors(store, picture, margin, channels), LEAST_ERROR)
        own = to_levels(errors)
        levels[firsts[picture] : firsts[picture + 1]] = own
        sums[picture], roots[picture] = errors.sum(), _ROOTS[own].sum()

    with ThreadPoolExecutor(available_cores()) as pool:
        measured = pool.map(measure, range(len(store.train)))
        for _ in progress(measured, total=len(store.train), label="weighing patches"):
            pass
    weights = weigh_pictures(sums, loss)
    by_error = ByError(np.cumsum(weights * roots), levels, firsts)
    return Importance(weights.astype(np.float32), by_error if sampling == "by_error" else None)


def weigh_pictures(
    sums: NDArray[np.float64], loss: str, shares: NDArray[np.float64] | float = 1.0
) -> NDArray[np.float64]:
    """How much the error of each picture counts; 1 on average over all error.

    Args:
        sums: float64 (pictures,), of the errors of patches of each.
        loss: `mse` or `psnr`.
        shares: float64 (pictures,), how much of all patches of each these are.
    """
    if loss == "mse":
        return np.ones(len(sums))
    # A picture too small for a patch has no error, and no weight is asked for.
    weights: NDArray[np.float64] = 1 / np.sqrt(np.maximum(sums / shares, LEAST_ERROR))
    weights *= sums.sum() / (weights * sums).sum()
    return weights


def to_levels(errors: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The byte that stands for the root of an error of `LEAST_ERROR` or more."""
    levels = np.rint(_STEPS_A_DOUBLING / 2 * np.log2(errors / LEAST_ERROR))
    return np.minimum(levels, len(_ROOTS) - 1).astype(np.uint8)


def pick(
    ends: NDArray[np.float64],
    fractions: NDArray[np.float64],
    least: NDArray[np.float64] | float = 0.0,
    most: NDArray[np.float64] | None = None,
) -> NDArray[np.int64]:
    """Which of several shares each fraction of their sum, or of a part of it, falls into.

    Args:
        ends: float64 (shares,), the sum of each share and those before it.
        fractions: float64, in 0..1.
        least: where the part begins that each is a fraction of; one of `ends`, or 0.
        most: where it ends, one of `ends`; None for the sum of all.
    """
    end = ends[-1] if most is None else most
    # Rounding may make a sum of a fraction.
    places = np.minimum(least + fractions * (end - least), np.nextafter(end, 0))
    found: NDArray[np.int64] = np.searchsorted(ends, places, side="right")
    return found


def patch_errors(
    store: Store, picture: int, margin: int, channels: str = "y"
) -> NDArray[np.float64]:
    """The mean squared error of bicubic interpolation in every patch of a training picture.

    Args:
        store: the planes, and where patches lie.
        picture: its number.
        margin: pixels along each edge of a patch that are not compared.
        channels: `y`, `ycbcr` or `rgb`: over which planes.

    Returns:
        float64 (patches,), in squared grey levels.
    """
    corners, size = store.patches.corners(picture), store.settings.patch_size
    return errors_of_picture(*store.train.pair(picture), corners, size, margin, channels)


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
