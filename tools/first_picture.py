"""Draw the first page's picture: a square of one photograph, its original, bicubic and SRCNN at x4.

    python tools/first_picture.py --output docs/first-picture.png

It takes the weights that ship with the package, and a photograph that comes with scikit-image and
that no training of theirs has seen.
"""

from pathlib import Path

import click
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from srcnn_mlflow.measuring.metrics import psnr, ssim
from srcnn_mlflow.network.shipped import shipped_network
from srcnn_mlflow.network.upscaler import Upscaler
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.pictures.imaging import bicubic_image, crop_image, luma, mod_crop

SCALE = 4
PHOTOGRAPH = "astronaut.png"
# Left, upper, right and lower edge of the square, and how large a pixel of it is drawn.
SQUARE, ZOOM = (152, 366, 296, 510), 2
WHITE, INK, GREY = "#ffffff", "#1b1b1b", "#555555"
DPI, TITLE, FOOT, GAP = 100, 34, 30, 12


@click.command(help=__doc__)
@click.option("--output", type=click.Path(path_type=Path), required=True)
def main(output: Path) -> None:
    """Enlarge, measure and draw."""
    photos = load_dataset("samples").measured("test").photos
    (path,) = (photo.path for photo in photos if photo.path.name == PHOTOGRAPH)
    original = crop_image(Image.open(path).convert("RGB"), SCALE)
    size = (original.width // SCALE, original.height // SCALE)
    small = original.resize(size, Image.Resampling.BICUBIC)
    sharp = Upscaler(shipped_network(SCALE)).upscale_image(small)
    panels = {"original": original, "bicubic": bicubic_image(small, SCALE), "SRCNN 9-5-5": sharp}
    drawn(panels, mod_crop(luma(original), SCALE)).savefig(output, dpi=DPI)
    click.echo(f"wrote {output}")


def drawn(panels: dict[str, Image.Image], target: np.ndarray) -> Figure:
    """The panels in a row, each pixel a whole number of the file's."""
    side = (SQUARE[2] - SQUARE[0]) * ZOOM
    width, height = 3 * side + 2 * GAP, TITLE + side + FOOT
    figure = Figure(figsize=(width / DPI, height / DPI), facecolor=WHITE)
    FigureCanvasAgg(figure)
    for number, (title, image) in enumerate(panels.items()):
        left = number * (side + GAP)
        crop = image.crop(SQUARE).resize((side, side), Image.Resampling.NEAREST)
        figure.figimage(np.asarray(crop), left, FOOT, origin="upper")
        middle = (left + side / 2) / width
        figure.text(middle, 1 - 10 / height, title, ha="center", va="top", color=INK, fontsize=11)
        if title != "original":
            plane = luma(image)
            told = f"{psnr(target, plane, SCALE):.2f} dB, SSIM {ssim(target, plane, SCALE):.4f}"
            figure.text(middle, 8 / height, told, ha="center", color=GREY, fontsize=9)
    return figure


if __name__ == "__main__":
    main()
