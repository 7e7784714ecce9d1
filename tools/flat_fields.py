"""Change a network's last layer so that flat fields keep their grey level."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch.nn import functional

from srcnn_mlflow.network.upscaler import Upscaler
from srcnn_mlflow.pictures.pairs import make_small
from srcnn_mlflow.pictures.photos import Photo, load_luma

Weights = dict[str, torch.Tensor]
LEVELS = 256
# Of a square in the middle of each picture, in pixels; all together are enough for 801 weights.
SIDE = 48
# How much a flat field weighs against the pictures: so much that it is flat to a hundredth of a
# level, and the pictures still choose among the ways to have it so.
OF_FLAT_FIELDS = 1e6


def levels_off(network: Path) -> int:
    """By how many grey levels a network changes the flat field that it changes most."""
    upscaler = Upscaler(network)
    return max(
        int(np.abs(upscaler.upscale_luma(_flat(level)).astype(int) - level).max())
        for level in range(LEVELS)
    )


def flatten(network: Path, photos: Sequence[Photo], scale: int) -> None:
    """Change the last layer of a chain, in its file, by what takes least from the pictures.

    The last layer is linear in its features. With d for its change, the error on pictures grows by
    d' G d, where G holds the features' products, because training has left no slope there; and flat
    fields are off by f + A d. What is least of d' G d + w |f + A d|^2 has a closed form.

    Args:
        network: an ONNX file of a chain of convolutions with `residual=true`.
        photos: what it was trained on.
        scale: 2, 3 or 4.
    """
    model = onnx.load(network)
    weights = {
        one.name: torch.from_numpy(numpy_helper.to_array(one).copy())
        for one in model.graph.initializer
        if one.name.startswith("conv")
    }
    last = max(name for name in weights if name.endswith(".weight"))
    bias = last.replace(".weight", ".bias")
    side = weights[last].shape[-1]
    levels = torch.arange(LEVELS) / (LEVELS - 1)
    wide = levels.reshape(-1, 1, 1, 1).expand(-1, 1, 32, 32)
    flat = _features(wide, weights, last)[:, :, 0, 0].double().repeat_interleave(side * side, 1)
    flat = torch.cat([flat, torch.ones(LEVELS, 1, dtype=torch.float64)], 1)
    now = torch.cat([weights[last].flatten(), weights[bias]]).double()
    products = sum(_products(photo, scale, weights, last, now) for photo in photos) / len(photos)
    wanted = products + OF_FLAT_FIELDS / LEVELS * flat.T @ flat
    # Features that are never on leave it singular.
    wanted += 1e-9 * torch.eye(len(now), dtype=torch.float64)
    new = now - torch.linalg.solve(wanted, OF_FLAT_FIELDS / LEVELS * flat.T @ (flat @ now))
    for one in model.graph.initializer:
        if one.name == last:
            kernel = new[:-1].reshape(weights[last].shape)
            one.CopyFrom(numpy_helper.from_array(kernel.float().numpy(), last))
        if one.name == bias:
            one.CopyFrom(numpy_helper.from_array(new[-1:].float().numpy(), bias))
    onnx.save(model, network)


def _flat(level: int) -> NDArray[np.uint8]:
    return np.full((9, 8), level, np.uint8)


def _features(planes: torch.Tensor, weights: Weights, last: str) -> torch.Tensor:
    """What the last layer sees of planes; smaller by what the layers before it take."""
    for name in sorted(name for name in weights if name.endswith(".weight") and name != last):
        planes = functional.conv2d(planes, weights[name], weights[name.replace("weight", "bias")])
        planes = functional.relu(planes)
    return planes


def _products(
    photo: Photo, scale: int, weights: Weights, last: str, now: torch.Tensor
) -> torch.Tensor:
    """The mean products of the last layer's features over a picture, by the weight of its error."""
    original, _, bicubic = make_small(load_luma(photo), scale)
    side = weights[last].shape[-1]
    seen = sum(one.shape[-1] - 1 for name, one in weights.items() if name.endswith(".weight")) // 2
    whole = SIDE + 2 * seen
    top, left = ((max(length - whole, 0)) // 2 for length in original.shape)
    square = slice(top, top + whole), slice(left, left + whole)
    given, sharp = (
        torch.from_numpy(plane[square].astype(np.float32) / (LEVELS - 1))
        for plane in (bicubic, original)
    )
    features = _features(given[None, None], weights, last)
    unfolded = functional.unfold(features, side)[0].double()
    unfolded = torch.cat([unfolded, torch.ones(1, unfolded.shape[1], dtype=torch.float64)])
    inside = slice(seen, -seen), slice(seen, -seen)
    error = now @ unfolded + (given - sharp)[inside].flatten()
    # As `loss=psnr` weighs pictures.
    return unfolded @ unfolded.T / unfolded.shape[1] / error.square().mean().clamp_min(1e-5)
