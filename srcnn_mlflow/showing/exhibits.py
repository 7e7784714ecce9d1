"""Which pictures an evaluation shows, each enlarged both ways."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from PIL import Image

from srcnn_mlflow.measuring.evaluation import ImageScore
from srcnn_mlflow.measuring.metrics import Moved, moved
from srcnn_mlflow.pictures.decoding import open_image
from srcnn_mlflow.pictures.imaging import (
    Plane,
    bicubic_image,
    crop_image,
    downscale,
    flatten,
    luma,
    upscale_to_eight_bit,
)
from srcnn_mlflow.pictures.pairs import make_small
from srcnn_mlflow.pictures.photos import Photo, load_pixels

# The report that this project started from shows the five best and the five worst.
EXHIBITS = 5


class Model(Protocol):
    """What enlarges a picture, and its luma alone."""

    def upscale_image(self, image: Image.Image) -> Image.Image:
        """Enlarge a picture of mode L or RGB."""

    def upscale_luma(self, plane: Plane) -> Plane:
        """Enlarge a uint8 plane."""


# Compared by identity: arrays cannot be compared as a whole.
@dataclass(frozen=True, eq=False)
class Exhibit:
    """One picture enlarged both ways.

    Attributes:
        score: what was measured on the luma of the whole picture.
        original: mode L or RGB.
        small: the low-resolution picture.
        bicubic: as large as the original.
        srcnn: as large as the original.
        bicubic_luma: uint8 (height, width), the plane that was measured.
        srcnn_luma: the same shape.
    """

    score: ImageScore
    original: Image.Image
    small: Image.Image
    bicubic: Image.Image
    srcnn: Image.Image
    bicubic_luma: Plane
    srcnn_luma: Plane

    @property
    def original_luma(self) -> Plane:
        """What both were measured against, uint8 (height, width)."""
        return luma(self.original)

    @property
    def moved(self) -> Moved:
        """Which share of the luma's pixels SRCNN brought nearer to the original than bicubic."""
        return moved(self.original_luma, self.bicubic_luma, self.srcnn_luma)


@dataclass(frozen=True)
class Extremes:
    """The pictures that SRCNN restores best and worst by PSNR, the most extreme first.

    In a small data set the same exhibit stands in both.
    """

    best: tuple[Exhibit, ...]
    worst: tuple[Exhibit, ...]

    def titled(self, scale: int) -> Iterator[tuple[str, str, tuple[Exhibit, ...]]]:
        """Give `best` and `worst`, each with its heading and its exhibits."""
        for kind, extreme, exhibits, other in (
            ("best", "highest", self.best, "worst"),
            ("worst", "lowest", self.worst, "best"),
        ):
            count = "picture" if len(exhibits) == 1 else f"{len(exhibits)} pictures"
            heading = f"The {count} with the {extreme} PSNR at x{scale}"
            yield kind, f"{heading}{self._also(len(exhibits), other)}", exhibits

    def _also(self, count: int, other: str) -> str:
        """Of so many pictures, how many stand on the other side too; empty for none."""
        both = len({*self.best} & {*self.worst})
        if not both:
            return ""
        if both < count:
            return f"; {both} of them {'is' if both == 1 else 'are'} among the {other} too"
        return f"; {'it is' if count == 1 else 'they are'} the {other} too, for there are no others"


def choose_exhibits(
    scored: Sequence[tuple[Photo, ImageScore]], scale: int, model: Model, channels: str = "y"
) -> Extremes:
    """Rank photographs by SRCNN's PSNR, and enlarge the first and the last.

    Args:
        scored: at least one photograph with its score.
        scale: 2, 3 or 4.
        model: the one that was scored.
        channels: what its network works on.
    """
    exhibit = _exhibit if channels == "y" else _exhibit_in_colour
    ranked = sorted(scored, key=lambda pair: pair[1].srcnn_psnr, reverse=True)
    best, worst = ranked[:EXHIBITS], ranked[::-1][:EXHIBITS]
    exhibits = {pair: exhibit(*pair, scale, model) for pair in dict.fromkeys([*best, *worst])}
    return Extremes(
        best=tuple(exhibits[pair] for pair in best),
        worst=tuple(exhibits[pair] for pair in worst),
    )


def _exhibit(photo: Photo, score: ImageScore, scale: int, model: Model) -> Exhibit:
    original = crop_image(flatten(open_image(photo.path)), scale)
    size = (original.width // scale, original.height // scale)
    small = original.resize(size, Image.Resampling.BICUBIC)
    small_luma = downscale(luma(original), scale)
    return Exhibit(
        score=score,
        original=original,
        small=small,
        bicubic=bicubic_image(small, scale),
        srcnn=model.upscale_image(small),
        bicubic_luma=upscale_to_eight_bit(small_luma, scale),
        srcnn_luma=model.upscale_luma(small_luma),
    )


def _exhibit_in_colour(photo: Photo, score: ImageScore, scale: int, model: Model) -> Exhibit:
    """The same of a network on colours, whose luma is that of the picture which it makes."""
    original, small, bicubic = map(Image.fromarray, make_small(load_pixels(photo), scale))
    srcnn = model.upscale_image(small)
    return Exhibit(
        score=score,
        original=original,
        small=small,
        bicubic=bicubic,
        srcnn=srcnn,
        bicubic_luma=upscale_to_eight_bit(downscale(luma(original), scale), scale),
        srcnn_luma=luma(srcnn),
    )
