"""A decoded photograph: its pixels, 8 or 16 bits deep, and what its file says about it."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from srcnn_mlflow.pictures.metadata import Metadata

Pixels = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True)
class Picture:
    """A photograph, upright.

    Attributes:
        pixels: uint8 or uint16 of shape (height, width, bands): grey, grey and alpha, colour
            (red, green, blue), or colour and alpha; over the full range, not premultiplied.
        metadata: what its file says about it, and still holds of it.
        notes: what of the file is not in the pixels, a short clause each.
    """

    pixels: Pixels
    metadata: Metadata = field(default_factory=Metadata)
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, image: Image.Image) -> "Picture":
        """Take a Pillow picture of mode L, LA, RGB or RGBA."""
        pixels = np.asarray(image)
        return cls(pixels if pixels.ndim == 3 else pixels[..., None])

    @property
    def height(self) -> int:
        """In pixels."""
        return len(self.pixels)

    @property
    def width(self) -> int:
        """In pixels."""
        return int(self.pixels.shape[1])

    @property
    def bands(self) -> int:
        """Grey or colours, and alpha: 1 to 4."""
        return int(self.pixels.shape[2])

    @property
    def white(self) -> int:
        """The highest level: 255 or 65535."""
        return int(np.iinfo(self.pixels.dtype).max)

    @property
    def colours(self) -> int:
        """How many bands are not alpha: 1 or 3."""
        return 1 if self.bands < 3 else 3

    @property
    def alpha(self) -> Pixels | None:
        """Opacity, of shape (height, width); None where there is none, or it is even all over.

        So it is what colours have to be weighed by, where they are mixed.
        """
        if self.bands == self.colours:
            return None
        alpha: Pixels = self.pixels[..., -1]
        return None if (alpha == alpha[0, 0]).all() else alpha

    def image(self) -> Image.Image:
        """As a Pillow picture of mode L, LA, RGB or RGBA; 16 bits are rounded to 8."""
        pixels = self.pixels
        if pixels.dtype == np.uint16:
            # In whole numbers, so that every machine rounds alike.
            pixels = ((pixels.astype(np.uint32) * 510 + 65_535) // 131_070).astype(np.uint8)
        return Image.fromarray(np.ascontiguousarray(pixels[..., 0] if self.bands == 1 else pixels))
