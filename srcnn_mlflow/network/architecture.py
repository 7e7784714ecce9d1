"""SRCNN and all chains of convolutions like it, by name, for whoever builds or exports them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import prod

from srcnn_mlflow.machine.errors import ModelError

SCALES = (2, 3, 4)
PADDINGS = ("none", "replicate", "zero")
# What a trained network may compute in.
INFERENCE_PRECISIONS = ("float32", "bfloat16")
# What a network works on: luma; luma and chroma; red, green and blue.
CHANNELS = ("y", "ycbcr", "rgb")
# Filters of the layers but for the last, where they are not given; further ones have the last of
# these (Dong et al., 2014).
USUAL_FILTERS = (64, 32)
# Other names for chains: that of Kim et al., 2016.
NAMED_CHAINS = {"vdsr": "-".join(["3"] * 20) + ":" + "-".join(["64"] * 19)}

# What a plane may reasonably be seen through; beyond it a name is a slip of the keyboard.
MOST_LAYERS, LARGEST_KERNEL, MOST_FILTERS = 100, 99, 4096
_ORDINALS = ("first", "second", "third")


@dataclass(frozen=True)
class Architecture:
    """How one network is put together: convolutions in a row, with a ReLU after each but the last.

    Attributes:
        name: kernel sizes, as in `9-5-5`, with filters behind a colon where they are not the usual
            ones, as in `9-5-5:128-64`; or a name in NAMED_CHAINS.
        residual: add the network's input to its output, so that it learns the difference.
        padding: what lies outside the picture. `zero` and `replicate` pad every layer, in
            training too. `none` trains on what the layers compute without padding, and repeats
            the picture's edge once, in front of the first layer, when it upscales.
        channels: `y`, luma alone; `ycbcr`, BT.601's luma and chroma; or `rgb`.
    """

    name: str = "9-5-5"
    residual: bool = True
    padding: str = "none"
    channels: str = "y"

    def __post_init__(self) -> None:
        """Take the one name that every spelling of the same chain has.

        Raises:
            ModelError: the name does not parse, or the padding or the channels are unknown.
        """
        if self.padding not in PADDINGS:
            raise ModelError(f"unknown padding {self.padding!r}; choose from {', '.join(PADDINGS)}")
        if self.channels not in CHANNELS:
            raise ModelError(
                f"unknown channels {self.channels!r}; choose from {', '.join(CHANNELS)}"
            )
        object.__setattr__(self, "name", chain_name(*_parse(self.name)))

    @property
    def kernels(self) -> tuple[int, ...]:
        """Sides of the layers' square kernels.

        >>> Architecture("9-1-1-5").kernels
        (9, 1, 1, 5)
        """
        return _parse(self.name)[0]

    @property
    def planes(self) -> int:
        """How many planes the network takes and gives."""
        return planes_of(self.channels)

    @property
    def filters(self) -> tuple[int, ...]:
        """How many planes each layer gives; the last gives those of the channels.

        >>> Architecture("9-5-5").filters, Architecture("9-1-1-5:64-32-16").filters
        ((64, 32, 1), (64, 32, 16, 1))
        """
        return (*_parse(self.name)[1], self.planes)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the weights, by their names `conv1.weight`, `conv1.bias` and so on."""
        shapes: dict[str, tuple[int, ...]] = {}
        inputs = (self.planes, *self.filters[:-1])
        layers = zip(inputs, self.filters, self.kernels, strict=True)
        for number, (ins, outs, side) in enumerate(layers, start=1):
            shapes[f"conv{number}.weight"] = (outs, ins, side, side)
            shapes[f"conv{number}.bias"] = (outs,)
        return shapes

    @property
    def weights(self) -> int:
        """How many numbers are learned, biases included.

        >>> Architecture("9-5-5").weights, Architecture("9-1-5").weights
        (57281, 8129)
        """
        return sum(prod(shape) for shape in self.shapes.values())

    @property
    def halo(self) -> int:
        """How many pixels away from an output pixel the network still looks.

        >>> Architecture("9-5-5").halo, Architecture("vdsr").halo
        (8, 20)
        """
        return sum(side // 2 for side in self.kernels)

    @property
    def crop(self) -> int:
        """Pixels by which it gives less than it is given in training, along each edge."""
        return self.halo if self.padding == "none" else 0


def planes_of(channels: str) -> int:
    """How many planes a network on these channels takes and gives."""
    return 1 if channels == "y" else 3


def with_channels(name: str, channels: str) -> str:
    """A network's name, with its channels where they are not luma.

    >>> with_channels("9-1-5", "y"), with_channels("9-1-5", "rgb")
    ('9-1-5', '9-1-5 rgb')
    """
    return name if channels == "y" else f"{name} {channels}"


def chain_name(kernels: Sequence[int], filters: Sequence[int]) -> str:
    """The name of a chain.

    Args:
        kernels: sides of the kernels of all layers.
        filters: of the layers but for the last.

    >>> chain_name((9, 5, 5), (64, 32)), chain_name((9, 5, 5), (128, 64))
    ('9-5-5', '9-5-5:128-64')
    """
    name = "-".join(map(str, kernels))
    if tuple(filters) != _usual_filters(len(kernels)):
        name = f"{name}:{'-'.join(map(str, filters))}"
    return next((short for short, chain in NAMED_CHAINS.items() if chain == name), name)


def _usual_filters(layers: int) -> tuple[int, ...]:
    further = max(0, layers - 1 - len(USUAL_FILTERS))
    return (*USUAL_FILTERS[: layers - 1], *[USUAL_FILTERS[-1]] * further)


@cache
def _parse(name: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Kernel sizes of all layers, and filters of all but the last.

    Raises:
        ModelError: with the place in the name that is wrong.
    """
    kernels_text, colon, filters_text = NAMED_CHAINS.get(name, name).partition(":")
    kernels = _numbers(name, "kernel", kernels_text, LARGEST_KERNEL)
    for number, side in enumerate(kernels):
        if side % 2 == 0:
            raise _wrong(name, f"the {_ordinal(number)} kernel, {side}, is even")
    if not 2 <= len(kernels) <= MOST_LAYERS:
        raise _wrong(name, f"it has {len(kernels)} layer(s), and 2 to {MOST_LAYERS} are possible")
    if not colon:
        return kernels, _usual_filters(len(kernels))
    filters = _numbers(name, "filter count", filters_text, MOST_FILTERS)
    if len(filters) != len(kernels) - 1:
        raise _wrong(
            name,
            f"it has {len(filters)} filter count(s) behind the colon, where {len(kernels)} layers "
            f"need {len(kernels) - 1}, for the last gives the planes of the result",
        )
    return kernels, filters


def _numbers(name: str, what: str, text: str, largest: int) -> tuple[int, ...]:
    numbers = []
    for place, part in enumerate(text.split("-")):
        if not re.fullmatch("[0-9]{1,6}", part):
            raise _wrong(name, f"the {_ordinal(place)} {what}, {part!r}, is no whole number")
        if not 1 <= int(part) <= largest:
            raise _wrong(name, f"the {_ordinal(place)} {what}, {part}, is not from 1 to {largest}")
        numbers.append(int(part))
    return tuple(numbers)


def _ordinal(place: int) -> str:
    return _ORDINALS[place] if place < len(_ORDINALS) else f"{place + 1}th"


def _wrong(name: str, reason: str) -> ModelError:
    return ModelError(
        f"architecture {name!r} is none: {reason}; give odd kernel sizes such as 9-5-5, with "
        f"filters behind a colon as in 9-5-5:128-64, or {', '.join(NAMED_CHAINS)}"
    )
