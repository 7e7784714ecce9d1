"""Write pictures as PNG files, 8 or 16 bits deep, with what is known of them."""

from typing import BinaryIO

import imagecodecs
import numpy as np

from srcnn_mlflow.pictures.metadata import png_chunks
from srcnn_mlflow.pictures.picture import Picture

# The signature and the header, which every PNG begins with.
_BEGINNING = 8 + 25


def write_png(picture: Picture, file: BinaryIO, level: int) -> None:
    """Write a picture and its metadata as a PNG file.

    Args:
        picture: of 8 or 16 bits.
        file: written from where it stands.
        level: of compression, 0 to 9.
    """
    pixels = picture.pixels[..., 0] if picture.bands == 1 else picture.pixels
    encoded = memoryview(imagecodecs.png_encode(np.ascontiguousarray(pixels), level=level))
    file.write(encoded[:_BEGINNING])
    for chunk in png_chunks(picture.metadata):
        file.write(chunk)
    file.write(encoded[_BEGINNING:])
