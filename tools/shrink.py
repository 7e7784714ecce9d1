"""Fill a folder with pictures shrunk to several sizes, as further training pictures.

    python tools/shrink.py --source data/sets/t91 --output data/t91-shrunk/train

Small pictures of the web, such as T91, show more and sharper detail a pixel when they are made
smaller still; SRCNN's successors were trained on such copies (FSRCNN: Dong et al., 2016).
"""

from pathlib import Path

import click

from srcnn_mlflow.pictures.decoding import open_image
from srcnn_mlflow.pictures.imaging import flatten
from srcnn_mlflow.pictures.picture_files import picture_files
from srcnn_mlflow.pictures.shrunk import shrink


@click.command()
@click.option("--source", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--output", type=click.Path(path_type=Path), required=True)
@click.option("--factors", default="1,0.9,0.8,0.7,0.6", show_default=True, help="Of their sides.")
def main(source: Path, output: Path, factors: str) -> None:
    """Write every picture of a folder once for each factor, as PNG."""
    output.mkdir(parents=True, exist_ok=True)
    for path in picture_files(source):
        image = flatten(open_image(path))
        for factor in factors.split(","):
            copy = shrink(image, float(factor))
            copy.save(output / f"{path.stem}-{float(factor)}.png")


if __name__ == "__main__":
    main()
