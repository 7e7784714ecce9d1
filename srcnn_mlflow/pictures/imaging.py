"""Luma, mod-crop and bicubic scaling: the measurement protocol, but for its metrics.

Every low-resolution picture that the package makes comes from `downscale`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from srcnn_mlflow.machine.errors import ImageError
from srcnn_mlflow.pictures.picture import Picture, Pixels

Plane = NDArray[np.uint8]
FloatPlane = NDArray[np.float32]

# One step of 8-bit luma (16..235) is this many steps of red, green and blue.
RGB_PER_LUMA = 255 / 219


# Below this share of full opacity, or of the highest there is, colour is what lies around: hardly
# anybody sees it, and it must not colour what is seen.
_VISIBLE = 1 / 32

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


def bleed(plane: FloatPlane, alpha: FloatPlane) -> FloatPlane:
    """Give fully transparent pixels the levels of the visible ones around them.

    What a transparent pixel hides would otherwise show as a fringe, once neighbours are mixed.
    Each takes the mean of the smallest square of 2, 4, 8, ... pixels that has visible ones
    (pull-push; Gortler et al., The Lumigraph, 1996).

    Args:
        plane: shape (height, width).
        alpha: the same shape; 0 is transparent. It also weighs the means.

    Returns:
        A plane of the same shape; the same where nothing is visible, or all.
    """
    hidden = alpha <= 0
    if not hidden.any() or hidden.all():
        return plane
    height, width = plane.shape
    weights = _sums_of_four(alpha)
    means = _sums_of_four(plane * alpha) / np.where(weights > 0, weights, 1)
    around = bleed(means.astype(np.float32), weights)
    wide = np.asarray(
        Image.fromarray(around).resize(
            (2 * around.shape[1], 2 * around.shape[0]), Image.Resampling.BILINEAR
        )
    )
    filled: FloatPlane = np.where(hidden, wide[:height, :width], plane)
    return filled


def _sums_of_four(plane: FloatPlane) -> FloatPlane:
    """Add up squares of two by two pixels, the last ones smaller."""
    height, width = plane.shape
    even = np.pad(plane, ((0, height % 2), (0, width % 2)))
    return even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]


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
        plane: shape (height, width) or (height, width, 3).

    Raises:
        ImageError: a side is shorter than the scale.
    """
    height, width = plane.shape[:2]
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


def _bicubic(plane: Plane | FloatPlane, width: int, height: int) -> FloatPlane:
    # Pillow rounds 8-bit pictures twice, after each direction; its float mode never does, and
    # agrees with the resizing that the published tables were made with.
    image = Image.fromarray(np.ascontiguousarray(plane, np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))


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
    """Enlarge a picture without transparency by Pillow's bicubic interpolation, in its mode."""
    size = (image.width * scale, image.height * scale)
    return image.resize(size, Image.Resampling.BICUBIC)


def luma_of(picture: Picture) -> FloatPlane:
    """`luma` of a picture of any depth and transparency.

    Returns:
        float32 of shape (height, width), in units of 8-bit grey levels; of an 8-bit picture
        rounded as `luma` is, of a 16-bit one not.
    """
    if picture.white == 255:
        opaque = picture.pixels[..., : picture.colours]
        return luma(Picture(opaque).image()).astype(np.float32)
    deep = picture.pixels
    if picture.colours == 1:
        return in_eight_bit_levels(deep[..., 0])
    plane = np.empty(deep.shape[:2], np.float32)
    weights = np.array([65.481, 128.553, 24.966], np.float32) / np.float32(255 * 257)
    for top in range(0, len(deep), _ROWS):
        plane[top : top + _ROWS] = 16 + deep[top : top + _ROWS, :, :3] @ weights
    return plane


def enlarge_plane(plane: FloatPlane, alpha: Pixels | None, scale: int) -> FloatPlane:
    """Enlarge one plane of a picture, whose transparent pixels say nothing of it.

    Where there is transparency, each level counts as much as it can be seen: the bicubic sum of
    levels times alpha over that of alpha. So opaque pixels of one colour keep it at any edge.

    Args:
        plane: float32 of shape (height, width).
        alpha: opacity, of the same shape, over its type's range; None for even.

    Returns:
        float32 of shape (scale * height, scale * width), neither clipped nor rounded.
    """
    height, width = plane.shape
    size = width * scale, height * scale
    if alpha is None:
        return _bicubic(plane, *size)
    opacity = in_eight_bit_levels(alpha) / np.float32(255)
    opacity[opacity < _VISIBLE * opacity.max()] = 0
    visible = _bicubic(opacity, *size)
    weighed = _bicubic(plane * opacity, *size)
    apart = _bicubic(bleed(plane, opacity), *size)
    return np.where(visible > _VISIBLE, weighed / np.maximum(visible, _VISIBLE), apart)


def enlarge(picture: Picture, scale: int, step: FloatPlane | None = None) -> Picture:
    """Enlarge a picture by bicubic interpolation, and add a step to its colours.

    Args:
        picture: of any depth.
        scale: how many times as wide and high it becomes.
        step: added to each colour: float32 of the enlarged shape, in units of 8-bit grey levels.

    Returns:
        A picture of the same bands and depth, with the metadata and notes of the old.
    """
    return assemble(picture, scale, _colours(picture, scale), step)


def assemble(
    picture: Picture,
    scale: int,
    colours: Iterable[NDArray[Any]],
    step: FloatPlane | None = None,
) -> Picture:
    """Make an enlarged picture of its colours; transparency is enlarged by bicubic interpolation.

    Args:
        picture: of any depth.
        scale: how many times as wide and high it becomes.
        colours: its planes, enlarged, in units of 8-bit grey levels; rounded and clipped here.
        step: added to each of them.

    Returns:
        A picture of the same bands and depth, with the metadata and notes of the old.
    """
    shape = (picture.height * scale, picture.width * scale, picture.bands)
    large = np.empty(shape, picture.pixels.dtype)
    for band, plane in enumerate(colours):
        _round_into(large[..., band], plane, step)
    if picture.colours < picture.bands:
        alpha = picture.alpha
        if alpha is None:
            large[..., -1] = picture.pixels[0, 0, -1]
        else:
            opacity = in_eight_bit_levels(alpha)
            _round_into(large[..., -1], _bicubic(opacity, shape[1], shape[0]))
    return replace(picture, pixels=large)


def _colours(picture: Picture, scale: int) -> Iterator[NDArray[Any]]:
    """The colours of a picture, enlarged, in units of 8-bit grey levels."""
    alpha = picture.alpha
    for band in range(picture.colours):
        plane = picture.pixels[..., band]
        if alpha is None and picture.white == 255:
            opaque = Image.fromarray(np.ascontiguousarray(plane))
            yield np.asarray(bicubic_image(opaque, scale))
        else:
            yield enlarge_plane(in_eight_bit_levels(plane), alpha, scale)


def in_eight_bit_levels(samples: Pixels) -> FloatPlane:
    """Samples of either depth in units of 8-bit grey levels, float32 of the same shape."""
    levels: FloatPlane = samples.astype(np.float32)
    levels /= np.float32(np.iinfo(samples.dtype).max // 255)
    return levels


def _round_into(target: Pixels, plane: NDArray[Any], step: FloatPlane | None = None) -> None:
    """Round and clip 8-bit grey levels to the target's range, a strip of rows at a time."""
    white = np.iinfo(target.dtype).max
    for top in range(0, len(target), _ROWS):
        rows = slice(top, top + _ROWS)
        levels = plane[rows] if step is None else plane[rows] + step[rows]
        target[rows] = np.clip(np.rint(levels * np.float32(white // 255)), 0, white)
