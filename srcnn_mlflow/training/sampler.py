"""Training patches as batches of tensors: resident on a device, gathered in one operation."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from srcnn_mlflow.pictures.store import Store
from srcnn_mlflow.training.colour import to_ycbcr
from srcnn_mlflow.training.importance import Importance


class PatchSampler:
    """The patches of a store, drawn in an order that depends on the seed alone.

    Attributes:
        patch_count: how many patches there are.
        patch_size: the side of each, in pixels.
        device: where they lie, and where batches are made.
    """

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
        planes, patches = store.train, store.patches
        self._importance, self._pictures = importance, patches[:, 0]
        self.patch_count = len(patches)
        self.patch_size = store.settings.patch_size
        width = planes.shapes[:, 1].astype(np.int64)[patches[:, 0]]
        corner = planes.offsets[patches[:, 0]] + patches[:, 1] * width + patches[:, 2]
        height = planes.shapes[:, 0].astype(np.int64)[patches[:, 0]]
        # That of each of a picture's planes, which lie one behind another.
        corners = corner[:, None] + np.outer(height * width, np.arange(planes.count))
        self._planes = planes.count
        self._channels = channels
        self._lr = torch.from_numpy(planes.lr).to(device)
        self._hr = torch.from_numpy(planes.hr).to(device)
        self._corners = torch.from_numpy(corners).to(device)
        self._width = torch.from_numpy(width).to(device)
        self.device = device
        self._side = torch.arange(self.patch_size, device=device)
        # Every run of `patch_size` pixels, as a view: rows are taken whole, not pixel by pixel.
        self._lr_runs, self._hr_runs = (
            plane.unfold(0, self.patch_size, 1) for plane in (self._lr, self._hr)
        )

    @property
    def bytes(self) -> int:
        """Memory that planes and index take on the device."""
        tensors = (self._lr, self._hr, self._corners, self._width)
        return sum(tensor.nbytes for tensor in tensors)

    def gather(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Cut patches out of their planes.

        Args:
            indices: int64 of shape (batch,), on the sampler's device.

        Returns:
            Network input and target, float32 of shape (batch, planes, patch_size, patch_size), in
            0..1.
        """
        corners = self._corners.index_select(0, indices)
        width = self._width.index_select(0, indices)
        rows = torch.addcmul(corners[:, :, None], width[:, None, None], self._side).view(-1)
        shape = (len(indices), self._planes, self.patch_size, self.patch_size)
        lr = self._lr_runs.index_select(0, rows).view(shape) / 255
        hr = self._hr_runs.index_select(0, rows).view(shape) / 255
        if self._channels == "ycbcr":
            return to_ycbcr(lr), to_ycbcr(hr)
        return lr, hr

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
        weights = self._importance.weights(patches, self._pictures[patches])
        return torch.from_numpy(weights).to(self.device)

    def spread(self, count: int) -> Tensor:
        """Pick patches evenly from all of them; int64 of shape (count or fewer,)."""
        chosen = torch.linspace(
            0, self.patch_count - 1, min(count, self.patch_count), dtype=torch.float64
        )
        return chosen.long().to(self.device)

    def batches(self, batch_size: int, seed: int, first: int, count: int) -> Iterator[Tensor]:
        """Yield `count` batches of patch numbers, beginning with batch number `first`.

        Where patches are drawn alike, one pass visits every patch exactly once, its last batch
        being smaller where they do not divide; each pass has an order of its own. Where they are
        drawn by importance, it is with replacement. Batch `i` of a seed is always the same.

        Returns:
            An iterator of int64 tensors of shape (batch,).
        """
        if self._importance is not None and self._importance.ends is not None:
            for drawn in self._importance.draw(batch_size, seed, first, count):
                yield torch.from_numpy(drawn).to(self.device)
            return
        per_pass = self.batches_in_pass(batch_size)
        order, ordered_pass = torch.empty(0), -1
        for batch in range(first, first + count):
            current_pass, position = divmod(batch, per_pass)
            if current_pass != ordered_pass:
                generator = torch.Generator().manual_seed(seed + 1_000_003 * current_pass)
                order = torch.randperm(self.patch_count, generator=generator).to(self.device)
                ordered_pass = current_pass
            yield order[position * batch_size : (position + 1) * batch_size]

    def batches_in_pass(self, batch_size: int) -> int:
        """How many batches visit every patch once."""
        return -(-self.patch_count // batch_size)


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
