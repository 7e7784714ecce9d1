"""Averages that papers state for sets by name (`published.toml`), each with its source."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

BICUBIC = "bicubic"


@dataclass(frozen=True)
class Average:
    """What a paper states for a set and a scale.

    Attributes:
        psnr: on luma, in dB.
        ssim: on luma; None where it is not stated.
    """

    psnr: float
    ssim: float | None = None


@dataclass(frozen=True)
class PublishedMethod:
    """A method and its published averages.

    Attributes:
        name: as tables show it.
        source: where its figures stand.
        averages: by set and scale.
    """

    name: str
    source: str
    averages: Mapping[tuple[str, int], Average]


@cache
def published_methods() -> tuple[PublishedMethod, ...]:
    """All methods, bicubic first."""
    text = files(__package__).joinpath("published.toml").read_text(encoding="utf-8")
    return tuple(
        PublishedMethod(
            method.pop("name"),
            method.pop("source"),
            {
                (name, int(scale.removeprefix("x"))): Average(*values)
                for name, by_scale in method.items()
                for scale, values in by_scale.items()
            },
        )
        for method in tomllib.loads(text).values()
    )


def published_bicubic(name: str, scale: int) -> Average | None:
    """What is published for bicubic interpolation on a set."""
    (bicubic,) = (one for one in published_methods() if one.name == BICUBIC)
    return bicubic.averages.get((name, scale))
