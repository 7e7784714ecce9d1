"""The plain SRCNN training loop that programs commonly have, for the other side of benchmarks.

Contiguous memory, a `DataLoader` over an HDF5 file that is opened for each item, zero padding, a
loss on whole patches that is read each step, and Adam with a tenth of the rate in the last layer.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from srcnn_mlflow.network.architecture import Architecture

BATCH_SIZE = 16


class ClassicalPatches(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Patches of a file with `lr` and `hr` in float32, as `prepare` writes it when asked to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with h5py.File(path, "r") as file:
            self._count = len(file["lr"])

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        with h5py.File(self._path, "r") as file:
            lr, hr = (np.asarray(file[name][index][None] / 255.0) for name in ("lr", "hr"))
        return torch.from_numpy(lr), torch.from_numpy(hr)


def classical_network(name: str) -> nn.Sequential:
    """SRCNN of an architecture with torch's own initialization and zero padding."""
    network = Architecture(name)
    inputs = (1, *network.filters[:-1])
    layers: list[nn.Module] = []
    for ins, outs, side in zip(inputs, network.filters, network.kernels, strict=True):
        layers += [nn.Conv2d(ins, outs, side, padding=side // 2), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers[:-1])


def train_classically(
    network: nn.Sequential, patches: Path, lr: float, workers: int, device: torch.device
) -> Iterator[float]:
    """Train for ever; yields the loss after every step."""
    network.to(device)
    parameters = list(network.parameters())
    groups: list[dict[str, Any]] = [
        {"params": parameters[:-2]},
        {"params": parameters[-2:], "lr": lr / 10},
    ]
    optimizer = torch.optim.Adam(groups, lr=lr)
    loader = DataLoader(
        ClassicalPatches(patches), BATCH_SIZE, shuffle=True, num_workers=workers, drop_last=True
    )
    criterion = nn.MSELoss()
    while True:
        for inputs, target in loader:
            loss = criterion(network(inputs.to(device)), target.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield loss.item()
