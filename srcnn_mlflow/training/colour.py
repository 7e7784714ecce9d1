"""Conversions of `pictures.colour` in torch, on whatever device planes lie."""

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from srcnn_mlflow.pictures.colour import YCBCR, ycbcr_conversion


def to_ycbcr(planes: Tensor) -> Tensor:
    """BT.601's luma and chroma.

    Args:
        planes: red, green and blue in 0..1, float32 of shape (batch, 3, height, width).

    Returns:
        Levels of Y, Cb and Cr divided by 255, of the same shape.
    """
    return _convert(planes, *_conversion(planes.device, inverse=False))


def from_ycbcr(planes: Tensor) -> Tensor:
    """The inverse of `to_ycbcr`, not clipped."""
    return _convert(planes, *_conversion(planes.device, inverse=True))


def saved_luma(planes: Tensor, grey: bool) -> Tensor:
    """The luma of what will be saved of a network's planes, in whole levels.

    Args:
        planes: levels in 0..255, float32 of shape (1, height, width), or of red, green and blue.
        grey: the picture is grey, and so is what is saved of it.

    Returns:
        float32 of shape (height, width).
    """
    if len(planes) == 1:
        return planes[0].round().clamp(0, 255)
    red, green, blue = planes.clamp(0, 255)
    if grey:
        of_red, _, of_blue = map(float, YCBCR[0] / YCBCR[0].sum())
        level: Tensor = green + of_red * (red - green) + of_blue * (blue - green)
        return level.round()
    levels = [plane.round().int() for plane in (red, green, blue)]
    total: Tensor = 65_481 * levels[0] + 128_553 * levels[1] + 24_966 * levels[2]
    return ((total + 127_500) // 255_000 + 16).float()


def _convert(planes: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    # In float32 even where the rest is not.
    with torch.autocast(planes.device.type, enabled=False):
        converted: Tensor = functional.conv2d(planes, kernel, bias)
    return converted


@cache
def _conversion(device: torch.device, inverse: bool) -> tuple[Tensor, Tensor]:
    """A matrix as a convolution, and its bias."""
    matrix, black = map(torch.from_numpy, ycbcr_conversion(inverse=inverse))
    return matrix.view(3, 3, 1, 1).to(device), black.to(device)
