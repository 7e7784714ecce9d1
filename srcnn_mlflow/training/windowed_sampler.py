"""Training patches of more pictures than fit the memory: a window of them at a time."""

from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srcnn_mlflow.pictures.plane_reader import PlaneReader
from srcnn_mlflow.pictures.store import Store
from srcnn_mlflow.training.colour import to_ycbcr
from srcnn_mlflow.training.distributed import World
from srcnn_mlflow.training.gathering import Gatherer
from srcnn_mlflow.training.importance import (
    LEAST_ERROR,
    errors_of_picture,
    pick,
    weigh_pictures,
)
from srcnn_mlflow.training.order import shuffled
from srcnn_mlflow.training.sampler import Sampler, Share, spread
from srcnn_mlflow.training.windows import Window, lay_blocks, lay_strips, own_count, windows_of_pass


@dataclass(frozen=True)
class Drawing:
    """How patches are drawn and weighed: settings of a training, and of its network.

    Attributes:
        sampling: `uniform` or `by_error`.
        loss: `mse` or `psnr`.
        margin: pixels along each edge of a patch that are not compared.
        channels: `y`, `ycbcr` or `rgb`.
    """

    sampling: str
    loss: str
    margin: int
    channels: str


@dataclass(frozen=True)
class _Loaded:
    """A window in memory: its patches in the order in which they come.

    Attributes:
        of_pass: the number of the pass.
        first: the place of the first among those of this process in the pass.
        numbers: int64 (patches,).
        factors: float32 (patches,), how much the squared error of each counts; None for all alike.
    """

    of_pass: int
    first: int
    numbers: Tensor
    factors: Tensor | None

    @property
    def behind(self) -> int:
        """The place behind its last patch."""
        return self.first + len(self.numbers)


class WindowedSampler(Sampler):
    """The patches of a store of which a part is in memory, while the next part is read.

    The same memory gives the same batches. Weights of patches and pictures are those within their
    window.
    """

    note = ", a part at a time"

    def __init__(self, store: Store, device: torch.device, memory: int, drawing: Drawing) -> None:
        """Make room for two windows.

        Args:
            store: the planes, and where patches lie.
            device: where they go.
            memory: what enlarged and original planes may take there together, in bytes.
            drawing: how patches are drawn and weighed.

        Raises:
            TrainingError: two rows of patches of the largest picture take more.
        """
        self._drawing = drawing
        self._reader = PlaneReader(store)
        self._window = memory // 4
        self._strips = lay_strips(store.train, store.patches, self._window)
        self._blocks = lay_blocks(store.train, self._strips, self._window)
        lr, hr = (torch.empty(2 * self._window, dtype=torch.uint8, device=device) for _ in range(2))
        strips = self._strips
        gatherer = Gatherer(lr, hr, strips.shapes, strips.planes, strips.patches, drawing.channels)
        super().__init__(store, gatherer)

    def measured(self, count: int) -> Tensor:
        """Network input of `count` patches or fewer, picked evenly from all of them."""
        numbers = spread(self.patch_count, count).numpy()
        planes, size = self._store.train, self.patch_size
        found = np.empty((len(numbers), planes.count, size, size), np.uint8)
        for one, (picture, top, left) in zip(
            found, self._store.patches.where(numbers).tolist(), strict=True
        ):
            height, width = map(int, planes.shapes[picture])
            for plane in range(planes.count):
                start = int(planes.offsets[picture]) + (plane * height + top) * width
                rows = self._reader.read(True, start, size * width)
                one[plane] = rows.reshape(size, width)[:, left : left + size]
        inputs = torch.from_numpy(found).to(self.device).float().div_(255)
        if self._drawing.channels == "ycbcr":
            inputs = to_ycbcr(inputs)
        return inputs

    def shares(
        self, batch_size: int, seed: int, first: int, count: int, world: World
    ) -> Generator[Share, None, None]:
        """What this process learns from in batches `first` to `first + count`.

        Where patches are drawn alike, the processes together visit every patch exactly once a
        pass. Batch `i` of a seed is always the same, with the same memory and as many processes.
        """
        per_pass = self.batches_in_pass(batch_size)
        current_pass, position = divmod(first, per_pass)
        place = own_count(position * batch_size, world.rank, world.size)
        least = -(-batch_size // world.size)
        windows = self._windows(seed, current_pass, place, least, world)
        with ThreadPoolExecutor(1, "reads patches") as reader:

            def read_next(half: int) -> "Future[_Loaded]":
                return reader.submit(self._load, *next(windows), half)

            current, half = read_next(0).result(), 1
            ahead = read_next(half)
            for batch in range(first, first + count):
                of_pass, position = divmod(batch, per_pass)
                start = position * batch_size
                end = min(start + batch_size, self.patch_count)
                mine, until = (own_count(one, world.rank, world.size) for one in (start, end))
                if mine == until:
                    # Every process has to take part in every step.
                    yield _share(
                        [_cut(current, current.first, current.first + 1)], 0.0, end - start
                    )
                    continue
                # The last window of a pass may be done with by the batch before.
                while of_pass != current.of_pass or mine >= current.behind:
                    current, half = ahead.result(), 1 - half
                    ahead = read_next(half)
                parts = [_cut(current, mine, until)]
                if until > current.behind:
                    parts.append(_cut(ahead.result(), current.behind, until))
                # Both are in memory, until this batch is done with.
                yield _share(parts, (until - mine) * world.size / (end - start), end - start)

    def _windows(
        self, seed: int, number: int, place: int, least: int, world: World
    ) -> Iterator[tuple[Window, tuple[int, ...]]]:
        """Windows of this process from a place of a pass on, and the seed of each, without end."""
        process = world.rank, world.size
        while True:
            for window in windows_of_pass(
                self._blocks, self._window, least, (seed, number), process
            ):
                if window.first + window.count > place:
                    yield window, (seed, number, world.rank, window.number)
            number, place = number + 1, 0

    def _load(self, window: Window, seed: tuple[int, ...], half: int) -> _Loaded:
        """Read the planes of a window into a half of the memory, and order its patches."""
        place = half * self._window
        errors = []
        weigh = (self._drawing.sampling, self._drawing.loss) != ("uniform", "mse")
        for block, mine in zip(window.blocks, window.patches, strict=True):
            strips = slice(*map(int, self._blocks.strips[block]))
            sizes = self._strips.sizes[strips]
            ends = np.cumsum(sizes)
            offsets = ends - sizes
            lr, hr = (self._read(strips, int(ends[-1]), enlarged) for enlarged in (True, False))
            for target, read in ((self._gatherer.lr, lr), (self._gatherer.hr, hr)):
                target[place : place + len(read)].copy_(torch.from_numpy(read))
            placed = torch.from_numpy(offsets + place)
            self._gatherer.place(strips.start, strips.stop, placed.to(self.device))
            if weigh:
                # Of a block that neighbouring processes share, what lies in the window.
                inside = slice(*(mine - self._blocks.patches[block, 0]))
                errors.append(self._errors(strips, offsets, lr, hr)[inside])
            place += len(lr)
        numbers = np.concatenate([np.arange(*ends) for ends in window.patches])
        factors = None
        key = int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> 1)
        if weigh:
            order, factors = self._drawn(numbers, np.concatenate(errors), key)
        else:
            order = shuffled(len(numbers), key, 0, len(numbers))
        return _Loaded(
            seed[1],
            window.first,
            torch.from_numpy(numbers[order]).to(self.device),
            None if factors is None else torch.from_numpy(factors).to(self.device),
        )

    def _read(self, strips: slice, size: int, enlarged: bool) -> NDArray[np.uint8]:
        """Read the planes of a block's strips, one behind another."""
        first, cut = strips.start, self._strips
        start = int(cut.offsets[first])
        if cut.whole[first]:
            return self._reader.read(enlarged, start, size)
        part, area = size // cut.planes, int(cut.areas[first])
        starts = [start + plane * area for plane in range(cut.planes)]
        return np.concatenate([self._reader.read(enlarged, one, part) for one in starts])

    def _errors(
        self,
        strips: slice,
        offsets: NDArray[np.int64],
        lr: NDArray[np.uint8],
        hr: NDArray[np.uint8],
    ) -> NDArray[np.float64]:
        """Bicubic's error in all patches of a block."""
        found = []
        for strip, start in zip(range(strips.start, strips.stop), offsets.tolist(), strict=True):
            corners = self._strips.patches.corners(strip)
            if not len(corners):
                continue
            shape = tuple(map(int, self._strips.shapes[strip]))
            if self._strips.planes > 1:
                shape = (self._strips.planes, *shape)
            where = slice(start, start + int(np.prod(shape)))
            found.append(
                errors_of_picture(
                    lr[where].reshape(shape),
                    hr[where].reshape(shape),
                    corners,
                    self.patch_size,
                    self._drawing.margin,
                    self._drawing.channels,
                )
            )
        return np.concatenate(found)

    def _drawn(
        self, numbers: NDArray[np.int64], errors: NDArray[np.float64], key: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The order of a window's patches by importance, and how much each then counts."""
        errors = np.maximum(errors, LEAST_ERROR)
        found, compact, here = np.unique(
            self._store.patches.pictures(numbers), return_inverse=True, return_counts=True
        )
        shares = here / np.diff(self._store.patches.firsts)[found]
        sums = np.bincount(compact, errors).astype(np.float64)
        weights = weigh_pictures(sums, self._drawing.loss, shares)[compact]
        if self._drawing.sampling == "uniform":
            order = shuffled(len(numbers), key, 0, len(numbers))
            return order, weights[order].astype(np.float32)
        roots = np.sqrt(errors)
        ends = np.cumsum(weights * roots)
        order = pick(ends, np.random.default_rng(key).random(len(numbers)))
        return order, (ends[-1] / len(numbers) / roots[order]).astype(np.float32)


def _cut(loaded: _Loaded, first: int, end: int) -> tuple[Tensor, Tensor | None]:
    """Patches of a window, by their places among those of this process in the pass."""
    where = slice(max(first - loaded.first, 0), end - loaded.first)
    return loaded.numbers[where], None if loaded.factors is None else loaded.factors[where]


def _share(parts: list[tuple[Tensor, Tensor | None]], weight: float, size: int) -> Share:
    numbers = torch.cat([part[0] for part in parts])
    factors = [part[1] for part in parts if part[1] is not None]
    return Share(numbers, torch.cat(factors) if factors else None, weight, size)
