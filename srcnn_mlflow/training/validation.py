"""What a network under training is worth: its mean PSNR over whole validation pictures."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from srcnn_mlflow.machine.errors import ImageError
from srcnn_mlflow.measuring.evaluation import make_comparable
from srcnn_mlflow.measuring.metrics import decibels, psnr
from srcnn_mlflow.network.plain_weights import Weights
from srcnn_mlflow.network.upscaler import Upscaler, tiles
from srcnn_mlflow.pictures.colour import luma_plane
from srcnn_mlflow.pictures.imaging import FloatPlane, Plane, upscale
from srcnn_mlflow.pictures.pairs import make_small
from srcnn_mlflow.pictures.store import Store
from srcnn_mlflow.training.colour import from_ycbcr, saved_luma, to_ycbcr
from srcnn_mlflow.training.distributed import World
from srcnn_mlflow.training.trained_network import Network, TrainedNetwork

# An original and the small picture made of it, each (height, width) or (height, width, 3).
Pair = tuple[Plane, Plane]
# From weights to the PSNR of each of some pictures, in dB.
Score = Callable[[Weights], list[float]]


def validation_planes(store: Store) -> Iterator[tuple[Plane, Plane, Plane]]:
    """Originals, small pictures and bicubic's, where their luma can be compared.

    Yields:
        Of a store of luma, three planes as `make_comparable` gives them; of one of colours, what
        `make_small` gives of the whole picture, grey or in colour.
    """
    scale = store.settings.scale
    for picture in range(len(store.valid)):
        original = store.valid.original(picture)
        with suppress(ImageError):
            compared = make_comparable(str(picture), luma_plane(original), scale, scale)
            yield compared if original.ndim == 2 else make_small(original, scale)


class Validation(NamedTuple):
    """How networks under training are judged.

    Attributes:
        score: gives weights their mean PSNR over the validation pictures, in dB.
        bicubic: that of a network that corrects nothing.
    """

    score: Callable[[Weights], float]
    bicubic: float


def make_validation(store: Store, network: Network, world: World) -> Validation:
    """Make what gives weights their mean PSNR, in dB, over the validation pictures.

    It is that of luma for every network; of one on colours, of the 8-bit picture that it makes.
    Every process scores its share of them, and gets the mean over all.
    """
    scale = store.settings.scale
    pairs, of_bicubic = [], []
    for original, small, bicubic in validation_planes(store):
        pairs.append((original, small))
        of_bicubic.append(psnr(luma_plane(original), luma_plane(bicubic), scale))
    mine = pairs[world.rank :: world.size]
    if world.device.type == "cpu":
        score = score_as_shipped(mine, network, scale)
    else:
        score = score_on_device(mine, network, scale, world.device)

    def validate(weights: Weights) -> float:
        return world.add_up(_sum(score(weights))).item() / len(pairs)

    return Validation(validate, _sum(of_bicubic).item() / len(pairs))


def _sum(scores: Sequence[float]) -> Tensor:
    return torch.tensor(scores, dtype=torch.float64).sum()


def score_as_shipped(pairs: Sequence[Pair], network: Network, scale: int) -> Score:
    """Score by ONNX Runtime, as every evaluation does: the fastest on processors."""

    def score(weights: Weights) -> list[float]:
        upscaler = Upscaler(network.export(weights, scale))
        return [
            psnr(luma_plane(original), luma_plane(upscaler.upscale_pixels(small)), scale)
            for original, small in pairs
        ]

    return score


def score_on_device(
    pairs: Sequence[Pair], network: Network, scale: int, device: torch.device
) -> Score:
    """Score by torch on planes that stay on a device, in float32, waiting for it once.

    A plane and its original take 5 bytes of the device's memory a pixel; three planes, 13.
    """
    planes = [
        (
            torch.from_numpy(np.ascontiguousarray(luma_plane(original))).to(device),
            torch.from_numpy(_bicubic_planes(small, network.planes, scale)).to(device),
            original.ndim == 2,
        )
        for original, small in pairs
    ]
    counts = [_shave(original, scale).numel() for original, _, _ in planes]
    model: TrainedNetwork = network.build().to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.eval()

    @torch.inference_mode()
    def score(weights: Weights) -> list[float]:
        model.load_plain_weights({name: torch.from_numpy(w) for name, w in weights.items()})
        # cuDNN would otherwise round to TF32, which is not what will be shipped.
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            sums = [
                _squared_errors(
                    original, saved_luma(_sharpen(model, network, bicubic), grey), scale
                )
                for original, bicubic, grey in planes
            ]
        # Not every device has float64, in which the means are.
        found = torch.stack(sums).tolist() if sums else []
        return [decibels(one / count) for one, count in zip(found, counts, strict=True)]

    return score


def _bicubic_planes(small: Plane, count: int, scale: int) -> FloatPlane:
    """A small picture's planes enlarged, float32 of shape (count, height, width)."""
    planes = small[None] if small.ndim == 2 else small.transpose(2, 0, 1)
    large = np.stack([upscale(plane, scale) for plane in planes])
    return np.repeat(large, count, axis=0) if len(large) < count else large


def _sharpen(model: TrainedNetwork, network: Network, bicubic: Tensor) -> Tensor:
    """Run a network over planes in grey levels, tile by tile, as `Upscaler.sharpen` does."""
    in_ycbcr = network.channels == "ycbcr"
    sharp = torch.empty_like(bicubic)
    for window, inside, tile in tiles((bicubic.shape[1], bicubic.shape[2]), network.halo):
        given = bicubic[:, *window][None] / 255
        given = to_ycbcr(given) if in_ycbcr else given
        made = model(functional.pad(given, [model.crop] * 4, mode="replicate"))
        made = from_ycbcr(made) if in_ycbcr else made
        sharp[:, *tile] = made[0][:, *inside]
    return sharp * 255


def _squared_errors(original: Tensor, sharp: Tensor, border: int) -> Tensor:
    """Squared errors of an 8-bit plane and one of whole levels, added up: an int64."""
    return _shave(sharp.int() - original, border).square().sum()


def _shave(plane: Tensor, border: int) -> Tensor:
    return plane[border:-border, border:-border]
