"""What a network learns from a picture: bicubic down and up again, beside the original."""

from collections.abc import Callable, Generator, Sequence

from srcnn_mlflow.machine.overlap import computed_ahead
from srcnn_mlflow.machine.processors import available_cores
from srcnn_mlflow.pictures.colour import each_plane
from srcnn_mlflow.pictures.imaging import Plane, downscale, mod_crop, upscale_to_eight_bit
from srcnn_mlflow.pictures.photos import Photo

# Gives a photograph's luma, or all of it: uint8 of shape (height, width) or (height, width, 3).
ReadPixels = Callable[[Photo], Plane]
Pair = tuple[Plane, Plane]


def make_pairs(
    photos: Sequence[Photo], scale: int, read_pixels: ReadPixels
) -> Generator[Pair, None, None]:
    """Compute pairs in parallel, in order, with only a few in memory at any time."""

    def make(photo: Photo) -> Pair:
        return make_pair(read_pixels(photo), scale)

    return computed_ahead(photos, make, available_cores())


def make_pair(pixels: Plane, scale: int) -> Pair:
    """Make a training pair: bicubic down and up again, and the original.

    Args:
        pixels: luma or grey, uint8 of shape (height, width); or colour, (height, width, 3).

    Returns:
        Two of the same shape, both sides multiples of the scale.
    """
    hr, _, lr = make_small(pixels, scale)
    return lr, hr


def make_small(original: Plane, scale: int) -> tuple[Plane, Plane, Plane]:
    """Crop a picture, make it small, and enlarge it by bicubic interpolation, plane by plane.

    Args:
        original: uint8 of shape (height, width) or (height, width, 3), no side below the scale.
        scale: 2, 3 or 4.

    Returns:
        The cropped original, the small picture, and bicubic's, all uint8.
    """
    original = mod_crop(original, scale)
    small = each_plane(original, lambda plane: downscale(plane, scale))
    return original, small, each_plane(small, lambda plane: upscale_to_eight_bit(plane, scale))
