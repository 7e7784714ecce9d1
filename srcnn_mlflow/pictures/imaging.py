"""Luma, mod-crop and bicubic scaling: the measurement protocol, but for its metrics.

Every low-resolution picture that the package makes comes from `downscale`.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from srcnn_mlflow.machine.errors import ImageError

Plane = NDArray[np.uint8]
FloatPlane = NDArray[np.float32]


# Wider than any network looks, in low-resolution pixels.
_BLEED = 4

# Rows that are looked at together: few enough to stay in a core's cache.
_ROWS = 32


def flatten(image: Image.Image) -> Image.Image:
    """Lay a transparent picture on white, as a viewer shows it; others pass through.

    Args:
        image: mode L, LA, RGB or RGBA.

    Returns:
        A picture of mode L or RGB.
    """
    if image.mode not in ("LA", "RGBA"):
        return image
    colour = image.mode.removesuffix("A")
    white = Image.new(colour, image.size, "white")
    white.paste(image.convert(colour), mask=image.getchannel("A"))
    return white


def bleed(image: Image.Image) -> Image.Image:
    """Give fully transparent pixels the colours of the visible ones around them.

    What a transparent pixel hides would otherwise show as a fringe, once neighbours are mixed.

    Args:
        image: mode LA or RGBA.

    Returns:
        A picture of mode L or RGB.
    """
    colour = image.mode.removesuffix("A")
    blurred = image.convert(f"{colour}a").filter(ImageFilter.GaussianBlur(_BLEED))
    around = blurred.convert(image.mode)
    visible = image.getchannel("A").point(lambda alpha: 255 if alpha else 0)
    return Image.composite(image.convert(colour), around.convert(colour), visible)


def strips(image: Image.Image) -> Iterator[tuple[int, Plane]]:
    """Go through a picture a few rows at a time, from the top.

    Args:
        image: mode L or RGB.

    Returns:
        The number of the first row, and uint8 of shape (rows, width) or (rows, width, 3).
    """
    for top in range(0, image.height, _ROWS):
        bottom = min(top + _ROWS, image.height)
        yield top, np.asarray(image.crop((0, top, image.width, bottom)))


def luma(image: Image.Image) -> Plane:
    """Take the BT.601 luma of a picture, rounded to 8 bits.

    `16 + (65.481 R + 128.553 G + 24.966 B) / 255`, in exact integer arithmetic so that every
    machine gives the same plane. A grey picture is its own luma, and keeps its full range.

    Args:
        image: mode L or RGB; see `flatten` for transparent ones.

    Returns:
        uint8 of shape (height, width): 16..235 from colour, 0..255 from grey.

    >>> luma(Image.new("RGB", (1, 1), "white")).item(), luma(Image.new("L", (1, 1), 255)).item()
    (235, 255)
    """
    if image.mode == "L":
        return np.asarray(image)
    plane = np.empty((image.height, image.width), np.uint8)
    for top, rows in strips(image):
        total = rows[..., 0] * np.int32(65_481)
        total += rows[..., 1] * np.int32(128_553)
        total += rows[..., 2] * np.int32(24_966)
        plane[top : top + len(rows)] = (total + 127_500) // 255_000 + 16
    return plane


def mod_crop(plane: Plane, scale: int) -> Plane:
    """Cut the right and bottom edge so that both sides are multiples of the scale.

    Args:
        plane: shape (height, width).

    Raises:
        ImageError: a side is shorter than the scale.
    """
    height, width = plane.shape
    if min(height, width) < scale:
        raise ImageError(f"a picture of {width}x{height} is too small for scale {scale}")
    return plane[: height - height % scale, : width - width % scale]


def crop_image(image: Image.Image, scale: int) -> Image.Image:
    """`mod_crop` for a picture of any mode."""
    width, height = image.size
    return image.crop((0, 0, width - width % scale, height - height % scale))


def downscale(plane: Plane, scale: int) -> Plane:
    """Make the low-resolution plane: antialiased bicubic (a = -0.5), rounded once to 8 bits.

    Args:
        plane: uint8 of shape (height, width), both multiples of the scale.

    Returns:
        uint8 of shape (height / scale, width / scale).
    """
    height, width = plane.shape
    return to_eight_bit(_bicubic(plane, width // scale, height // scale))


def upscale(plane: Plane, scale: int) -> FloatPlane:
    """Enlarge a plane by bicubic interpolation: the network's input and the baseline.

    Args:
        plane: uint8 of shape (height, width).

    Returns:
        float32 of shape (scale * height, scale * width), within 0..255, not rounded.
    """
    height, width = plane.shape
    return np.clip(_bicubic(plane, width * scale, height * scale), 0, 255)


def upscale_to_eight_bit(plane: Plane, scale: int) -> Plane:
    """Enlarge a plane by bicubic interpolation to what a saved picture holds, uint8."""
    return to_eight_bit(upscale(plane, scale))


def _bicubic(plane: Plane, width: int, height: int) -> FloatPlane:
    # Pillow rounds 8-bit pictures twice, after each direction; its float mode never does, and
    # agrees with the resizing that the published tables were made with.
    enlarged = Image.fromarray(plane).convert("F").resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(enlarged)


def to_eight_bit(plane: NDArray[np.floating]) -> Plane:
    """Round and clip to what a saved picture holds.

    Args:
        plane: any shape, in units of grey levels.

    Returns:
        uint8 of the same shape.
    """
    rounded: FloatPlane = np.rint(plane)
    np.clip(rounded, 0, 255, out=rounded)
    whole: Plane = rounded.astype(np.uint8)
    return whole


def bicubic_image(image: Image.Image, scale: int) -> Image.Image:
    """Enlarge a picture by Pillow's bicubic interpolation alone, keeping its mode."""
    size = (image.width * scale, image.height * scale)
    return image.resize(size, Image.Resampling.BICUBIC)
