"""Weights and the state of a training on disk: safetensors with a checksum, nothing pickled."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from srcnn_mlflow.machine.atomic_write import atomic_write
from srcnn_mlflow.machine.errors import TrainingError

Arrays = Mapping[str, NDArray[Any]]

_FACTS, _CHECKSUM = "srcnn_mlflow", "sha256"


def save_checkpoint(path: Path, arrays: Arrays, facts: Mapping[str, Any]) -> None:
    """Write arrays and the facts about them; a former file stays until the new one is complete.

    Args:
        path: a `.safetensors` file.
        arrays: named arrays.
        facts: anything JSON can hold, such as settings, epoch and PSNR.

    Raises:
        WriteError: the disk is full, or the file may not be written.
    """
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    text = json.dumps(facts)
    content = save(contiguous, {_FACTS: text, _CHECKSUM: _checksum(contiguous, text)})
    with atomic_write(path, len(content)) as partial:
        partial.write_bytes(content)


def load_checkpoint(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read what `save_checkpoint` wrote.

    Raises:
        TrainingError: the file is missing, damaged, or not one of ours.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            about = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        facts, checksum = about[_FACTS], about[_CHECKSUM]
    except KeyError as error:
        raise _unusable(path, f"it has no {error}") from error
    except (OSError, SafetensorError, ValueError, TypeError, OverflowError) as error:
        raise _unusable(path, str(error)) from error
    if checksum != _checksum(arrays, facts):
        raise _unusable(path, "its content has changed since it was written")
    return arrays, json.loads(facts)


def _checksum(arrays: Arrays, facts: str) -> str:
    """SHA-256 of everything a checkpoint holds; safetensors itself notices only lost bytes."""
    together = hashlib.sha256(facts.encode())
    for name in sorted(arrays):
        array = arrays[name]
        together.update(f"{name} {array.dtype.str} {array.shape}".encode())
        together.update(array.tobytes())
    return together.hexdigest()


def _unusable(path: Path, reason: str) -> TrainingError:
    return TrainingError(f"{path} is not a usable checkpoint: {reason}")
