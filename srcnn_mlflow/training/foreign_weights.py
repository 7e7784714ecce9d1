"""Weights that other PyTorch programs have trained, read without unpickling code."""

import pickle
from pathlib import Path

import numpy as np
import torch

from srcnn_mlflow.machine.errors import ModelError
from srcnn_mlflow.machine.text import first_line
from srcnn_mlflow.network.architecture import ARCHITECTURES, FILTERS, Architecture
from srcnn_mlflow.network.onnx_export import Weights


def read_state_dict(path: Path) -> tuple[Weights, Architecture]:
    """Read a PyTorch state dict of `conv1.weight` ... `conv3.bias`, without unpickling code.

    Args:
        path: a `.pth` file.

    Returns:
        The weights, and the architecture that their shapes tell.

    Raises:
        ModelError: not a file of plain tensors, or not those of SRCNN.
    """
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, ValueError) as error:
        reason = first_line(error)
        raise ModelError(f"{path} cannot be read as plain weights: {reason}") from error
    if isinstance(loaded, dict) and isinstance(loaded.get("state_dict"), dict):
        loaded = loaded["state_dict"]
    for name in ARCHITECTURES:
        shapes = _shapes(Architecture(name))
        if isinstance(loaded, dict) and _shapes_of(loaded) == shapes:
            weights = {key: loaded[key].float().numpy().astype(np.float32) for key in shapes}
            # The common PyTorch programs have no residual, and zeros around every layer.
            return weights, Architecture(name, residual=False, padding="zero")
    found = _shapes_of(loaded) if isinstance(loaded, dict) else type(loaded).__name__
    raise ModelError(
        f"{path} does not hold SRCNN weights: expected conv1, conv2 and conv3 of "
        f"{' or '.join(ARCHITECTURES)} with 64 and 32 filters, found {found}"
    )


def _shapes(network: Architecture) -> dict[str, tuple[int, ...]]:
    inputs = (1, *FILTERS[:-1])
    shapes: dict[str, tuple[int, ...]] = {}
    for number, (ins, outs, side) in enumerate(
        zip(inputs, FILTERS, network.kernels, strict=True), start=1
    ):
        shapes[f"conv{number}.weight"] = (outs, ins, side, side)
        shapes[f"conv{number}.bias"] = (outs,)
    return shapes


def _shapes_of(state: dict[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in state.items() if hasattr(value, "shape")}
