"""What a network under training is worth: its mean PSNR over whole validation pictures."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from srcnn_mlflow.machine.errors import ImageError
from srcnn_mlflow.measuring.evaluation import make_comparable
from srcnn_mlflow.measuring.metrics import decibels, psnr
from srcnn_mlflow.network.onnx_export import Weights
from srcnn_mlflow.network.upscaler import Upscaler, tiles
from srcnn_mlflow.pictures.imaging import Plane, upscale
from srcnn_mlflow.pictures.store import Store
from srcnn_mlflow.training.distributed import World
from srcnn_mlflow.training.trained_network import Network, TrainedNetwork

# An original, and the small plane made of it.
Pair = tuple[Plane, Plane]
# From weights to the PSNR of each of some pictures, in dB.
Score = Callable[[Weights], list[float]]


def validation_planes(store: Store) -> Iterator[tuple[Plane, Plane, Plane]]:
    """Originals, small and bicubic planes as `make_comparable` gives them, where it can."""
    scale = store.settings.scale
    for picture in range(len(store.valid)):
        _, original = store.valid.pair(picture)
        with suppress(ImageError):
            yield make_comparable(str(picture), original, scale, scale)


def make_validate(store: Store, network: Network, world: World) -> Callable[[Weights], float]:
    """Make the function that gives weights their mean PSNR, in dB, over the validation pictures.

    Every process scores its share of them, and gets the mean over all.
    """
    scale = store.settings.scale
    pairs = [(original, small) for original, small, _ in validation_planes(store)]
    mine = pairs[world.rank :: world.size]
    if world.device.type == "cpu":
        score = score_as_shipped(mine, network, scale)
    else:
        score = score_on_device(mine, network, scale, world.device)

    def validate(weights: Weights) -> float:
        total = torch.tensor(score(weights), dtype=torch.float64).sum()
        return world.add_up(total).item() / len(pairs)

    return validate


def score_as_shipped(pairs: Sequence[Pair], network: Network, scale: int) -> Score:
    """Score by ONNX Runtime, as every evaluation does: the fastest on processors."""

    def score(weights: Weights) -> list[float]:
        upscaler = Upscaler(network.export(weights, scale))
        return [psnr(original, upscaler.upscale_luma(small), scale) for original, small in pairs]

    return score


def score_on_device(
    pairs: Sequence[Pair], network: Network, scale: int, device: torch.device
) -> Score:
    """Score by torch on planes that stay on a device, in float32, waiting for it once.

    A plane and its original take 5 bytes of the device's memory a pixel.
    """
    planes = [
        (
            torch.from_numpy(np.ascontiguousarray(original)).to(device),
            torch.from_numpy(upscale(small, scale)).to(device),
        )
        for original, small in pairs
    ]
    model: TrainedNetwork = network.build().to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.eval()

    @torch.inference_mode()
    def score(weights: Weights) -> list[float]:
        model.load_plain_weights({name: torch.from_numpy(w) for name, w in weights.items()})
        # cuDNN would otherwise round to TF32, which is not what will be shipped.
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            errors = [
                _squared_error(original, _sharpen(model, network.halo, bicubic), scale)
                for original, bicubic in planes
            ]
        return [decibels(error) for error in torch.stack(errors).tolist()] if errors else []

    return score


def _sharpen(model: TrainedNetwork, halo: int, bicubic: Tensor) -> Tensor:
    """Run a network over a plane in grey levels, tile by tile, as `Upscaler.sharpen` does."""
    sharp = torch.empty_like(bicubic)
    for window, inside, tile in tiles((bicubic.shape[0], bicubic.shape[1]), halo):
        luma = functional.pad(bicubic[window][None, None] / 255, [model.crop] * 4, mode="replicate")
        sharp[tile] = model(luma)[0, 0][inside]
    return sharp * 255


def _squared_error(original: Tensor, sharp: Tensor, border: int) -> Tensor:
    """Mean squared error of an 8-bit plane and one to be rounded, a float64 on their device."""
    rounded = sharp.round().clamp(0, 255).int()
    difference = (rounded - original)[border:-border, border:-border]
    return difference.square().sum().double() / difference.numel()
