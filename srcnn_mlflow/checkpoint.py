"""Weights and the state of a training on disk: safetensors, nothing pickled."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from srcnn_mlflow.errors import TrainingError

Arrays = Mapping[str, NDArray[Any]]

_KEY = "srcnn_mlflow"


def save_checkpoint(path: Path, arrays: Arrays, facts: Mapping[str, Any]) -> None:
    """Write arrays and the facts about them; a former file stays until the new one is complete.

    Args:
        path: a `.safetensors` file.
        arrays: named arrays.
        facts: anything JSON can hold, such as settings, epoch and PSNR.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    save_file(contiguous, partial, metadata={_KEY: json.dumps(facts)})
    partial.replace(path)


def load_checkpoint(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read what `save_checkpoint` wrote.

    Raises:
        TrainingError: the file is missing, damaged, or not one of ours.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            facts = json.loads((file.metadata() or {})[_KEY])
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise TrainingError(f"{path} is not a usable checkpoint: {error}") from error
