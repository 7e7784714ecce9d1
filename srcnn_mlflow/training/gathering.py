"""Patches cut out of planes that lie one behind another on a device, in one operation."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srcnn_mlflow.pictures.patch_grid import PatchGrid
from srcnn_mlflow.training.colour import to_ycbcr


class Gatherer:
    """Planes on a device, and what finds a patch in them by its number.

    Attributes:
        lr: uint8, flat; enlarged planes.
        hr: uint8, flat; the originals.
    """

    def __init__(
        self,
        lr: Tensor,
        hr: Tensor,
        shapes: NDArray[np.int32],
        planes: int,
        patches: PatchGrid,
        channels: str,
    ) -> None:
        """Lay out where patches lie in each picture; `place` says where pictures do.

        Args:
            lr: uint8, flat, on the device.
            hr: uint8, flat, on the device.
            shapes: int32 (pictures, 2), height and width of each, or of each strip of one.
            planes: of a picture, which lie one behind another.
            patches: the numbering of their patches.
            channels: what patches are made of.
        """
        device = lr.device
        self.lr, self.hr = lr, hr
        self._size, self._stride = patches.size, patches.stride
        self._channels, self._planes = channels, planes
        height, width = shapes.astype(np.int64).T
        across, first = np.maximum(patches.across, 1), patches.firsts[:-1]
        # From one patch to the next are `stride` pixels, but for what a row of them leaves over.
        over = (width - across) * self._stride
        table = [first, across, over, width, height * width, np.zeros_like(first)]
        self._table = torch.from_numpy(np.stack(table, axis=1)).to(device)
        self._firsts = torch.from_numpy(patches.firsts).to(device)
        # That of each of a picture's planes, which lie one behind another.
        self._plane = torch.arange(planes, device=device)
        self._side = torch.arange(self._size, device=device)
        # Every run of `size` pixels, as a view: rows are taken whole, not pixel by pixel.
        self._runs = [one.unfold(0, self._size, 1) for one in (lr, hr)]

    def place(self, first: int, end: int, offsets: Tensor) -> None:
        """Say where the planes of some pictures lie.

        Args:
            first: the first picture.
            end: the one behind the last.
            offsets: int64 (end - first,), where the planes of each begin.
        """
        of_pictures = self._table[first:end]
        of_pictures[:, -1] = offsets - of_pictures[:, 0] * self._stride

    @property
    def bytes(self) -> int:
        """Memory that planes and tables take on the device."""
        tensors = (self.lr, self.hr, self._table, self._firsts)
        return sum(tensor.nbytes for tensor in tensors)

    def gather(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Cut patches out of their planes.

        Args:
            numbers: int64 of shape (batch,), on the device.

        Returns:
            Network input and target, float32 of shape (batch, planes, size, size), in 0..1.
        """
        pictures = torch.searchsorted(self._firsts, numbers, right=True).sub_(1)
        table = self._table.index_select(0, pictures)
        first, across, over, width, area, base = table.unbind(1)
        row = numbers.sub(first).floor_divide_(across)
        corners = base.add(numbers, alpha=self._stride).addcmul_(row, over)[:, None]
        if self._planes > 1:
            corners = torch.addcmul(corners, area[:, None], self._plane)
        rows = torch.addcmul(corners[:, :, None], width[:, None, None], self._side).view(-1)
        shape = (len(numbers), self._planes, self._size, self._size)
        lr, hr = (runs.index_select(0, rows).view(shape) / 255 for runs in self._runs)
        if self._channels == "ycbcr":
            return to_ycbcr(lr), to_ycbcr(hr)
        return lr, hr
