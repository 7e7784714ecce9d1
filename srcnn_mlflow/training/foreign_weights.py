"""Weights that other PyTorch programs have trained, read without unpickling code."""

import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srcnn_mlflow.machine.errors import ModelError
from srcnn_mlflow.network.architecture import CHANNELS, Architecture, chain_name
from srcnn_mlflow.network.plain_weights import Weights

# Under which name training programs put the weights beside an optimizer's state, and what
# torch.nn.DataParallel puts in front of every name.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "params_ema", "params", "net", "weights")
_PARALLEL = "module."
# How files begin that are often saved in place of weights.
_BEGINNINGS = {
    b"<": "is a web page; download the file that it links to",
    b"version https://git-lfs": "is a pointer of Git LFS; fetch the file itself with git lfs pull",
}

Shapes = Mapping[str, tuple[int, ...]]


def read_state_dict(path: Path, channels: str = "y") -> tuple[Weights, Architecture]:
    """Read a PyTorch state dict of `conv1.weight`, `conv1.bias` ..., without unpickling code.

    What training programs wrap it in is taken off, and any real numbers become float32.

    Args:
        path: a `.pth` file.
        channels: what the network works on; shapes tell one plane from three, and no more.

    Returns:
        The weights, and the architecture that their shapes tell.

    Raises:
        ModelError: not a file of plain tensors, not those of SRCNN, of other planes than the
            channels have, or with values that are no finite numbers.
    """
    state = _unwrap(_load(path))
    if not isinstance(state, dict):
        raise ModelError(f"{path} holds {type(state).__name__}, where weights by name belong")
    found = {str(key): tuple(value.shape) for key, value in state.items() if _is_tensor(value)}
    architecture = _recognize(found, channels)
    if architecture is None:
        fitting = [one for one in CHANNELS if _recognize(found, one)]
        if fitting:
            raise ModelError(
                f"{path} holds a network on {found['conv1.weight'][1]} plane(s), and not on those "
                f"of channels={channels}; give what it was trained on: channels="
                f"{' or '.join(fitting)}"
            )
        raise ModelError(
            f"{path} does not hold SRCNN weights: expected conv1, conv2, ... of square kernels "
            "with odd sides, from one plane to one or from three to three, each with a bias; found "
            f"{_describe(found)}"
        )
    return {key: _plain(state[key], f"{path}: {key}") for key in found}, architecture


def _load(path: Path) -> Any:
    _check_beginning(path)
    try:
        with warnings.catch_warnings():
            # About how the file was pickled, which is for its author.
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    # A file that is none of torch's makes its reader raise nearly anything.
    except Exception as error:
        reason = (
            "it holds Python objects beside tensors, which could run code and are not loaded; save "
            "the model's state_dict() alone"
            if "Unsupported global" in str(error)
            else "it is damaged, half downloaded, or of another program; give a .pth file that "
            "torch.save has written"
        )
        raise ModelError(f"{path} cannot be read as plain weights: {reason}") from error


def _check_beginning(path: Path) -> None:
    """Refuse what is no file, or one that says at its beginning that it is something else."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise ModelError(f"{path} cannot be read as plain weights: it {what}")
    with path.open("rb") as file:
        first = file.read(100).lstrip()
    if not first:
        raise ModelError(f"{path} cannot be read as plain weights: it is empty")
    for beginning, what in _BEGINNINGS.items():
        if first.startswith(beginning):
            raise ModelError(f"{path} cannot be read as plain weights: it {what}")
    if zipfile.is_zipfile(path):
        _check_zip(path)


def _check_zip(path: Path) -> None:
    """Hold a file against its own checksums, which torch does not look at."""
    with zipfile.ZipFile(path) as file:
        damaged = file.testzip()
    if damaged is not None:
        raise ModelError(
            f"{path} cannot be read as plain weights: {damaged} in it is damaged; fetch it anew"
        )


def _unwrap(loaded: Any) -> Any:
    """Take off what programs put around a state dict."""
    if not isinstance(loaded, dict):
        return loaded
    for name in _WRAPPERS:
        if isinstance(loaded.get(name), dict):
            return _unwrap(loaded[name])
    return {
        key.removeprefix(_PARALLEL) if isinstance(key, str) else key: value
        for key, value in loaded.items()
    }


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor)


def _plain(tensor: Tensor, name: str) -> NDArray[np.float32]:
    """A tensor as float32.

    Raises:
        ModelError: it does not hold real numbers, or one of them is not finite in float32.
    """
    plain = tensor.layout == torch.strided and tensor.device.type == "cpu"
    if not plain or tensor.is_complex() or tensor.is_quantized:
        raise ModelError(
            f"{name} holds no plain real numbers ({tensor.dtype}, {tensor.layout}, "
            f"{tensor.device}); save it as float32"
        )
    array = tensor.detach().to(torch.float32).numpy().copy()
    if not np.isfinite(array).all():
        raise ModelError(f"{name} holds a value that is no finite number in float32; train it anew")
    return array


def _describe(shapes: Shapes) -> str:
    if not shapes:
        return "no tensor"
    named = [f"{name} {shape}" for name, shape in list(shapes.items())[:8]]
    more = f" and {len(shapes) - len(named)} more" if len(shapes) > len(named) else ""
    return ", ".join(named) + more


def _recognize(found: Shapes, channels: str) -> Architecture | None:
    """The chain on these channels whose weights have these shapes, if there is one."""
    weights = [found.get(f"conv{number}.weight", ()) for number in range(1, len(found) // 2 + 1)]
    if not weights or any(len(shape) != 4 for shape in weights):
        return None
    sides, filters = [shape[-1] for shape in weights], [shape[0] for shape in weights]
    try:
        # The common PyTorch programs have no residual, and zeros around every layer.
        name = chain_name(sides, filters[:-1])
        network = Architecture(name, residual=False, padding="zero", channels=channels)
    except ModelError:
        return None
    return network if network.shapes == found else None
