"""Print the lines of `pictures` that describe a folder's files in srcnn_mlflow/pictures/sets.toml.

python tools/list_set.py --folder Urban100/image_SRF_4 --ending _HR.png
"""

import hashlib
from pathlib import Path

import click

from srcnn_mlflow.pictures.photos import scan
from srcnn_mlflow.pictures.picture_files import picture_files


@click.command()
@click.option("--folder", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--ending", default="", help="Of the files to list; all by default.")
@click.option("--names", default="", help="What to call them instead, in order, joined by +.")
def main(folder: Path, ending: str, names: str) -> None:
    """Print one line a picture: its name, its file, its bytes, and its two digests."""
    files = [path for path in picture_files(folder) if path.name.endswith(ending)]
    photos, skipped = scan(folder.name, files)
    if skipped:
        raise click.ClickException(f"{len(skipped)} files cannot be read, such as {skipped[0]}")
    stems = names.split("+") if names else [photo.path.stem for photo in photos]
    for stem, photo in zip(stems, photos, strict=True):
        contents = photo.path.read_bytes()
        sha256 = hashlib.sha256(contents).hexdigest()
        cells = (f"{stem}{photo.path.suffix}", photo.path.name)
        words = ", ".join(f'"{cell}"' for cell in cells)
        click.echo(f'  [{words}, {len(contents)}, "{sha256}", "{photo.digest}"],')


if __name__ == "__main__":
    main()
