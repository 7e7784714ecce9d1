"""Training patches as batches of tensors: resident on a device, gathered in one operation."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor

from srcnn_mlflow.pictures.plane_reader import PlaneReader
from srcnn_mlflow.pictures.store import Store
from srcnn_mlflow.training.distributed import World
from srcnn_mlflow.training.gathering import Gatherer
from srcnn_mlflow.training.importance import Importance
from srcnn_mlflow.training.order import SHUFFLED, shuffled
from srcnn_mlflow.training.preconditioning import Preconditioner, fit_preconditioner

# What the preconditioner is measured on.
MEASURED_PATCHES = 6000
# Places of an order that are computed at once, where it is not shuffled as a whole.
_AHEAD = 1 << 16


@dataclass(frozen=True)
class Share:
    """What a process learns from in a step.

    Attributes:
        patches: int64 (patches,), their numbers, on the device.
        factors: float32 (patches,), how much the squared error of each counts; None where all
            count alike.
        weight: of this process's gradient in the mean over all processes.
        size: how many patches all processes have together.
    """

    patches: Tensor
    factors: Tensor | None
    weight: float
    size: int


class Sampler(ABC):
    """The training patches of a store, as a fit draws them.

    Attributes:
        patch_count: how many there are.
        patch_size: the side of each, in pixels.
        device: where they lie, and where batches are made.
        note: what is to be told of how they are kept.
    """

    note = ""

    def __init__(self, store: Store, gatherer: Gatherer) -> None:
        """Take a store whose planes, or a part of them, `gatherer` has on a device."""
        self.patch_count, self.patch_size = len(store.patches), store.settings.patch_size
        self.device = gatherer.lr.device
        self._store, self._gatherer = store, gatherer
        self._preconditioners: dict[int, Preconditioner] = {}

    @property
    def bytes(self) -> int:
        """Memory that planes and tables take on the device."""
        return self._gatherer.bytes

    def gather(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Cut patches that are in memory out of their planes.

        Args:
            indices: int64 of shape (batch,), on the sampler's device.

        Returns:
            Network input and target, float32 of shape (batch, planes, patch_size, patch_size), in
            0..1.
        """
        return self._gatherer.gather(indices)

    def batches_in_pass(self, batch_size: int) -> int:
        """How many batches are as many patches as there are."""
        return -(-self.patch_count // batch_size)

    def preconditioner(self, side: int) -> Preconditioner:
        """What the first layer of a network is preconditioned with, measured once.

        Args:
            side: of that layer's kernels, in pixels.
        """
        if side not in self._preconditioners:
            patches = self.measured(MEASURED_PATCHES)
            self._preconditioners[side] = fit_preconditioner(patches, side)
        # A network may be given the state of another.
        return deepcopy(self._preconditioners[side])

    @abstractmethod
    def measured(self, count: int) -> Tensor:
        """Network input of `count` patches or fewer, picked evenly from all of them."""

    @abstractmethod
    def shares(
        self, batch_size: int, seed: int, first: int, count: int, world: World
    ) -> Generator[Share, None, None]:
        """What this process learns from in batches `first` to `first + count`."""


def spread(count: int, wanted: int) -> Tensor:
    """Numbers picked evenly from all below `count`; int64 of shape (wanted or fewer,)."""
    return torch.linspace(0, count - 1, min(wanted, count), dtype=torch.float64).long()


class PatchSampler(Sampler):
    """The patches of a store, all in memory, drawn in an order that depends on the seed alone."""

    def __init__(
        self,
        store: Store,
        device: torch.device,
        importance: Importance | None = None,
        channels: str = "y",
    ) -> None:
        """Bring a store to a device.

        Args:
            store: the planes, and where patches lie.
            device: where they go.
            importance: how patches are drawn and weighed; None for each once a pass, and alike.
            channels: what patches are made of; those of luma come from a store of luma, others
                from one of red, green and blue.
        """
        lr, hr = (_flat(store, enlarged).to(device) for enlarged in (True, False))
        planes = store.train
        gatherer = Gatherer(lr, hr, planes.shapes, planes.count, store.patches, channels)
        gatherer.place(0, len(planes), torch.from_numpy(planes.offsets).to(device))
        super().__init__(store, gatherer)
        self._importance = importance

    def measured(self, count: int) -> Tensor:
        """Network input of `count` patches or fewer, picked evenly from all of them."""
        return self.gather(spread(self.patch_count, count).to(self.device))[0]

    def weigh(self, indices: Tensor) -> Tensor | None:
        """How much the squared error of each patch counts.

        Args:
            indices: int64 of shape (batch,).

        Returns:
            float32 of shape (batch,), on the sampler's device; None where all count alike.
        """
        if self._importance is None:
            return None
        patches = indices.cpu().numpy()
        weights = self._importance.weights(patches, self._store.patches.pictures(patches))
        return torch.from_numpy(weights).to(self.device)

    def batches(self, batch_size: int, seed: int, first: int, count: int) -> Iterator[Tensor]:
        """Yield `count` batches of patch numbers, beginning with batch number `first`.

        Where patches are drawn alike, one pass visits every patch exactly once, its last batch
        being smaller where they do not divide; each pass has an order of its own. Where they are
        drawn by importance, it is with replacement. Batch `i` of a seed is always the same.

        Returns:
            An iterator of int64 tensors of shape (batch,).
        """
        if self._importance is not None and self._importance.by_error is not None:
            for drawn in self._importance.draw(batch_size, seed, first, count):
                yield torch.from_numpy(drawn).to(self.device)
            return
        ahead = self.patch_count if self.patch_count <= SHUFFLED else _AHEAD
        order, begin, ordered_pass = torch.empty(0), 0, -1
        per_pass = self.batches_in_pass(batch_size)
        for batch in range(first, first + count):
            current_pass, position = divmod(batch, per_pass)
            start = position * batch_size
            end = min(start + batch_size, self.patch_count)
            if current_pass != ordered_pass or end > begin + len(order):
                ordered_pass, begin = current_pass, start
                until = min(start + ahead, self.patch_count)
                places = shuffled(self.patch_count, seed + 1_000_003 * current_pass, start, until)
                order = torch.from_numpy(places).to(self.device)
            yield order[start - begin : end - begin]

    def shares(
        self, batch_size: int, seed: int, first: int, count: int, world: World
    ) -> Generator[Share, None, None]:
        """What one of several processes learns from in each batch that `batches` gives."""
        for batch in self.batches(batch_size, seed, first, count):
            mine, weight = world.share(batch)
            yield Share(mine, self.weigh(mine), weight, len(batch))


def _flat(store: Store, enlarged: bool) -> Tensor:
    """Planes of one file as they are mapped; those of several, read one behind another."""
    parts = store.train.lr if enlarged else store.train.hr
    return torch.from_numpy(parts[0] if len(parts) == 1 else PlaneReader(store).read_all(enlarged))


def augment(number: int, *images: Tensor) -> tuple[Tensor, ...]:
    """Turn images by one of the eight symmetries of the square.

    Args:
        number: which one; any integer, taken modulo 8.
        images: shape (batch, channels, side, side).
    """
    if number & 1:
        images = tuple(image.flip(-1) for image in images)
    if number & 2:
        images = tuple(image.flip(-2) for image in images)
    if number & 4:
        images = tuple(image.transpose(-1, -2) for image in images)
    return images
