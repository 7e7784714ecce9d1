"""How weights follow their gradients: the classical Adam, or Muon for the large kernels."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from srcnn_mlflow.training.adam import Adam
from srcnn_mlflow.training.muon import Muon
from srcnn_mlflow.training.trained_network import TrainedNetwork

# Muon moves a whole kernel by an orthogonal matrix, so its rate is of another size than Adam's.
MUON_RATE = 5.0


class Optimizer:
    """Adam for every weight, or Muon (Jordan, 2024) for all kernels but the last layer's.

    With Muon, biases and the last layer stay with Adam. The last layer learns at a fraction of
    the rate, as in the SRCNN paper.
    """

    def __init__(self, model: TrainedNetwork, name: str, last_layer_lr_factor: float) -> None:
        last = model.last_layer()
        kernels = model.kernels() if name == "muon" else []
        chosen = {id(parameter) for parameter in (*last, *kernels)}
        rest = [parameter for parameter in model.parameters() if id(parameter) not in chosen]
        self._kernels = kernels
        self._last_layer_lr_factor = last_layer_lr_factor
        self._adam = Adam(rest, last)
        self._muon = Muon([nn.Parameter(_as_matrix(kernel.data)) for kernel in kernels])

    def step(self, lr: float) -> None:
        """Move the weights once along their gradients, at this rate."""
        for kernel, matrix in zip(self._kernels, self._muon.parameters, strict=True):
            assert kernel.grad is not None
            matrix.grad = _as_matrix(kernel.grad)
        self._adam.step(lr, lr * self._last_layer_lr_factor)
        self._muon.step(lr * MUON_RATE)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything the next step depends on, by name, for a checkpoint."""
        return {name: tensor.detach().cpu().numpy().copy() for name, tensor in self._tensors()}

    def load_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take up the state that `arrays` gave."""
        for name, value in arrays.items():
            part, number, key = name.split("/")
            optimizer = self._parts()[int(part)]
            parameter = optimizer.parameters[int(number)]
            tensor = torch.from_numpy(np.asarray(value))
            if tensor.shape == parameter.shape:
                # Fused steps walk memory, so moments must lie in memory as their weights do.
                tensor = torch.empty_like(parameter, requires_grad=False).copy_(tensor)
            optimizer.state.setdefault(int(number), {})[key] = tensor

    def _parts(self) -> tuple[Adam | Muon, ...]:
        return self._adam, self._muon

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        for part, optimizer in enumerate(self._parts()):
            for number, entry in optimizer.state.items():
                for key, value in entry.items():
                    yield f"{part}/{number}/{key}", value


def _as_matrix(kernel: Tensor) -> Tensor:
    """See a kernel as one row a filter, sharing memory in either memory format."""
    if kernel.is_contiguous(memory_format=torch.channels_last):
        kernel = kernel.permute(0, 2, 3, 1)
    return kernel.view(kernel.shape[0], -1)
