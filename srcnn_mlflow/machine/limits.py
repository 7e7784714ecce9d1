"""Limits that are set from outside, by environment variables."""

import math
import os

from srcnn_mlflow.machine.errors import ModelError


def read_limit(what: str, default: float) -> float:
    """The value of `SRCNN_MAX_<WHAT>`, or the default where it is not set.

    Raises:
        ModelError: it is not a number above zero.
    """
    name = f"SRCNN_MAX_{what.upper()}"
    text = os.environ.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise ModelError(f"{name} is {text!r}; give a number above zero, such as 10")
    return value
