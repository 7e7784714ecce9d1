"""`@shrunk`: smaller copies of training pictures, made once and kept.

Small pictures of the web show more and sharper detail a pixel when they are made smaller still;
SRCNN's successors were trained on such copies (FSRCNN: Dong et al., 2016).
"""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from srcnn_mlflow.machine.atomic_write import atomic_write
from srcnn_mlflow.machine.errors import DatasetError
from srcnn_mlflow.machine.places import kept
from srcnn_mlflow.machine.progress import progress
from srcnn_mlflow.pictures.decoding import open_image
from srcnn_mlflow.pictures.imaging import flatten
from srcnn_mlflow.pictures.photos import Keep, Photo, examine

SHRUNK = "@shrunk"
# Below the folder of work.
SHRUNK_FOLDER = "shrunk"
FACTORS = (0.9, 0.8, 0.7, 0.6)


def shrunk_copies(
    name: str, photos: Sequence[Photo], keep: Keep | None = None
) -> tuple[Photo, ...]:
    """Copies of photographs at each of FACTORS of their sides, by antialiased bicubic.

    Args:
        name: of the data set, for messages.
        photos: what to copy.
        keep: given every copy that no earlier command has decoded.

    Raises:
        DatasetError: a copy that was made cannot be read.
        WriteError: there is no room for them.
    """
    paths: list[Path] = []
    for photo in progress(photos, total=len(photos), label=f"shrinking {name}"):
        # By its pixels, so that another picture of the same name has other copies.
        folder = kept(f"{SHRUNK_FOLDER}/{photo.digest[:16]}")
        copies = [folder / f"{photo.path.stem}-{factor}.png" for factor in FACTORS]
        if not all(path.exists() for path in copies):
            image = flatten(open_image(photo.path))
            for path, factor in zip(copies, FACTORS, strict=True):
                with atomic_write(path) as partial:
                    shrink(image, factor).save(partial, "PNG")
        paths += copies
    copied, unread = examine(name, paths, keep)
    if unread:
        raise DatasetError(
            f"{len(unread)} shrunk copies of data set {name} cannot be read, the first because "
            f"{unread[0]}; delete {kept(SHRUNK_FOLDER)}, and they are made again"
        )
    return tuple(copied)


def shrink(image: Image.Image, factor: float) -> Image.Image:
    """A picture at a factor of its sides, by antialiased bicubic."""
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.BICUBIC)
