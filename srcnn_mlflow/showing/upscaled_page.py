"""One page of what `upscale` made: every picture beside bicubic's, below a divider to drag."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from urllib.parse import quote

from srcnn_mlflow.machine.text import printable
from srcnn_mlflow.showing.viewer import Layer, View, render


@dataclass(frozen=True)
class Pair:
    """A picture enlarged both ways.

    Attributes:
        name: of the picture that was enlarged, with the folders that it lies in.
        size: of the results: width and height in pixels.
        srcnn: the network's file.
        bicubic: bicubic's.
    """

    name: str
    size: tuple[int, int]
    srcnn: Path
    bicubic: Path


@dataclass(frozen=True)
class _Card:
    number: int
    name: str
    size: tuple[int, int]
    layers: tuple[Layer, Layer]

    @property
    def views(self) -> list[View]:
        return [View("Bicubic | SRCNN", *self.layers)]


def render_upscaled(scale: int, model: str, pairs: Sequence[Pair], folder: Path) -> str:
    """Lay enlarged pictures out as an HTML page that loads these files and nothing else.

    The pictures of a folder stand before those of the folders in it, and else as they are given.

    Args:
        scale: 2, 3 or 4.
        model: how it is called.
        pairs: at least one.
        folder: where the page is going to lie; pictures are found from there.
    """
    ordered = sorted(pairs, key=lambda pair: PurePath(pair.name).parent.parts)
    cards = [_card(number, pair, folder) for number, pair in enumerate(ordered, 1)]
    return render("upscaled.html.j2", scale=scale, model=model, cards=cards)


def _card(number: int, pair: Pair, folder: Path) -> _Card:
    layers = (
        Layer("bicubic", "bicubic", "Bicubic", _address(pair.bicubic, folder)),
        Layer("srcnn", "SRCNN", "SRCNN", _address(pair.srcnn, folder)),
    )
    return _Card(number, printable(pair.name), pair.size, layers)


def _address(path: Path, folder: Path) -> str:
    """A file as seen from a folder, in the bytes that the file system has for it."""
    relative = os.path.relpath(path.absolute(), folder.absolute())
    # A colon in a first name would end a scheme.
    return "./" + quote(os.fsencode(relative.replace(os.sep, "/")))
