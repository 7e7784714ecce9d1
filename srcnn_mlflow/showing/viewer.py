"""The part of a page that lays two pictures over each other, with a divider to drag."""

from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


@dataclass(frozen=True)
class Layer:
    """One of the pictures that lie over each other.

    Attributes:
        kind: a word, its own among the layers.
        name: in a sentence.
        caption: on the picture.
        address: a `data:` address, or a file's.
    """

    kind: str
    name: str
    caption: str
    address: str


@dataclass(frozen=True)
class View:
    """What a viewer shows at once.

    Attributes:
        label: of its button.
        left: what is left of the divider, or alone.
        right: what is right of it; None where one is shown alone.
        levels: how many grey levels the last colour of a map stands for; None for pictures.
    """

    label: str
    left: Layer
    right: Layer | None = None
    levels: int | None = None


def render(template: str, **values: Any) -> str:
    """Fill a template of a page; all that is no template is text and never markup."""
    environment = Environment(
        loader=PackageLoader("srcnn_mlflow.showing"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["signed"] = _signed
    return environment.get_template(template).render(**values)


def _signed(value: float, layout: str) -> str:
    """Write a number with its sign, but a plain 0 without."""
    text = f"{value:+{layout}}"
    return "0" if text in ("+0", "-0") else text.replace("-", "\N{MINUS SIGN}")
