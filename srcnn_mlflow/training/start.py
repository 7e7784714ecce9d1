"""What a training takes over from a network that was trained before."""

from collections.abc import Mapping

import numpy as np

from srcnn_mlflow.network.plain_weights import Weights

Shapes = Mapping[str, tuple[int, ...]]


def take_over(start: Weights, own: Weights) -> tuple[Weights, tuple[str, ...]]:
    """Put the layers that fit in the place of a new network's.

    Args:
        start: plain weights that were trained before.
        own: those of the new network.

    Returns:
        The weights to begin with, and the names of the layers that begin anew.
    """
    fresh = fresh_layers(start, shapes_of(own))
    taken = {name: start[name] for name in shapes_of(own) if layer_of(name) not in fresh}
    return {**own, **taken}, fresh


def shapes_of(weights: Weights) -> Shapes:
    """The shapes of what computes; whole numbers, such as counts of batches, do not."""
    return {
        name: array.shape
        for name, array in weights.items()
        if np.issubdtype(array.dtype, np.floating)
    }


def fresh_layers(start: Weights, shapes: Shapes) -> tuple[str, ...]:
    """The layers of a network for which weights have nothing, or something of another shape.

    Args:
        start: plain weights.
        shapes: of the network's own, by the same names.
    """
    wrong = (
        layer_of(name)
        for name, shape in shapes.items()
        if name not in start or np.shape(start[name]) != tuple(shape)
    )
    return tuple(dict.fromkeys(wrong))


def layer_of(name: str) -> str:
    """What a weight belongs to; a weight of no layer is one by itself.

    >>> layer_of("conv1.weight"), layer_of("correction")
    ('conv1', 'correction')
    """
    return name.rpartition(".")[0] or name
