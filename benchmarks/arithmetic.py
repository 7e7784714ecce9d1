"""How much a network computes, and how fast this machine could."""

import math
import time

import torch

from srcnn_mlflow.network.architecture import Architecture

SIDE = 2048


def matrix_product_rate(device: torch.device, seconds: float = 1.0) -> float:
    """Floating point operations a second of a float32 matrix product, just now."""
    matrix = torch.rand(SIDE, SIDE, device=device)
    torch.mm(matrix, matrix).sum().item()
    start, products = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        for _ in range(1 if device.type == "cpu" else 50):
            torch.mm(matrix, matrix)
            products += 1
        if device.type == "cuda":
            torch.cuda.synchronize()
    return 2 * SIDE**3 * products / (time.perf_counter() - start)


def inference_operations(architecture: str, pixels: int) -> float:
    """Of a whole plane: a multiplication and an addition for every weight and pixel."""
    return 2.0 * sum(_weights(architecture)) * pixels


def training_operations(architecture: str, patch_size: int) -> float:
    """Of a step on one zero-padded patch.

    Every layer is computed once forward and once for its weights' gradient; all but the first
    also once for their input's gradient.
    """
    first, *others = _weights(architecture)
    return 2.0 * (2 * first + 3 * sum(others)) * patch_size**2


def _weights(architecture: str) -> list[int]:
    shapes = Architecture(architecture).shapes
    return [math.prod(shape) for name, shape in shapes.items() if name.endswith(".weight")]
