"""Which copies of pictures are found, which different ones are taken for copies, and what it costs.

    python benchmarks/likeness.py --dataset t91+bsd200

Every picture is copied in every way, and the copy held against the picture itself; then every pair
of pictures is held against each other, and those that look alike are named, to be looked at.
"""

import io
import time
from collections.abc import Callable, Mapping

import click
import numpy as np
from PIL import Image

from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.pictures.decoding import open_image
from srcnn_mlflow.pictures.imaging import flatten
from srcnn_mlflow.pictures.likeness import find_alike
from srcnn_mlflow.pictures.likeness_hashes import likeness

SETS = "t91+bsd200+set5"
# Shorter sides below which few windows fit into a picture, in pixels.
SMALL = 150


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    """Compress and read again."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert(image.mode)


def resized(image: Image.Image, factor: float) -> Image.Image:
    """Resize by bicubic interpolation."""
    return image.resize((round(image.width * factor), round(image.height * factor)))


def cropped(image: Image.Image, side: float, left: float, top: float) -> Image.Image:
    """A part, by shares of the sides."""
    x, y = round(left * image.width), round(top * image.height)
    return image.crop((x, y, x + round(side * image.width), y + round(side * image.height)))


COPIES: Mapping[str, Callable[[Image.Image], Image.Image]] = {
    "grey": lambda image: image.convert("L"),
    "JPEG of quality 75": lambda image: jpeg(image.convert("RGB"), 75),
    "JPEG of quality 20": lambda image: jpeg(image.convert("RGB"), 20),
    "half the sides": lambda image: resized(image, 0.5),
    "a quarter of the sides": lambda image: resized(image, 0.25),
    "twice the sides": lambda image: resized(image, 2),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "turned by 90 degrees, half the sides": lambda image: resized(
        image.transpose(Image.Transpose.ROTATE_90), 0.5
    ),
    "turned by 180 degrees": lambda image: image.transpose(Image.Transpose.ROTATE_180),
    "90 % of the sides": lambda image: cropped(image, 0.9, 0.03, 0.07),
    "80 % of the sides": lambda image: cropped(image, 0.8, 0.05, 0.1),
    "80 % of the sides, mirrored": lambda image: cropped(image, 0.8, 0.05, 0.1).transpose(
        Image.Transpose.FLIP_LEFT_RIGHT
    ),
    "70 % of the sides, JPEG of quality 75": lambda image: jpeg(
        cropped(image, 0.7, 0.13, 0.21).convert("RGB"), 75
    ),
    "50 % of the sides": lambda image: cropped(image, 0.5, 0.25, 0.25),
    "80 % of the sides, resized by 0.9": lambda image: resized(cropped(image, 0.8, 0.05, 0.1), 0.9),
}


@click.command()
@click.option("--dataset", default=SETS, show_default=True, help="Names the pictures.")
def main(dataset: str) -> None:
    """Print what is found of every kind of copy, the pairs that look alike, and the time."""
    photos = load_dataset(dataset).photos("all")
    start = time.process_time()
    images = [flatten(open_image(photo.path)) for photo in photos]
    decoded = time.process_time()
    hashes = [likeness(image) for image in images]
    hashed = time.process_time()
    click.echo(
        f"{len(photos)} pictures: decoded in {decoded - start:.2f} s, hashed in "
        f"{hashed - decoded:.2f} s of a processor"
    )
    small = np.array([min(image.size) < SMALL for image in images])
    click.echo(f"\n| copy | found | of those with sides below {SMALL} |")
    click.echo("|---|--:|--:|")
    for name, copy in COPIES.items():
        found = np.array(
            [
                any(True for _ in find_alike([known], [likeness(copy(image))]))
                for known, image in zip(hashes, images, strict=True)
            ]
        )
        click.echo(f"| {name} | {found[~small].mean():.1%} | {found[small].mean():.1%} |")
    pairs = [(one, other) for one, other in find_alike(hashes, hashes) if one < other]
    count = len(photos) * (len(photos) - 1) // 2
    click.echo(f"\n{len(pairs)} of {count:,} pairs look alike:")
    for one, other in pairs:
        click.echo(f"{photos[one].name} and {photos[other].name}")


if __name__ == "__main__":
    main()
