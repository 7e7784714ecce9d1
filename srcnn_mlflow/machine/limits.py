"""Limits that are set from outside, by environment variables."""

import math
import os
from dataclasses import fields, replace
from typing import Any, TypeVar

from srcnn_mlflow.machine.errors import ModelError

Limits = TypeVar("Limits")


def read_limits(defaults: Limits) -> Limits:
    """Several limits, each a field of a dataclass whose values are the defaults.

    Raises:
        ModelError: a variable is not a number above zero.
    """
    default: Any = defaults
    values = {one.name: read_limit(one.name, getattr(default, one.name)) for one in fields(default)}
    return replace(default, **values)  # type: ignore[no-any-return]


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
