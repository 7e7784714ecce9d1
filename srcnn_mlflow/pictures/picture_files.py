"""Which files of a folder are pictures, by their names."""

from pathlib import Path

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})


def picture_files(folder: Path) -> list[Path]:
    """List what a folder's endings call pictures, in order; hidden files are left out.

    Whatever is no picture after all, such as a broken link, is left for `open_image` to name.
    """
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    )
