"""Room on disks."""

import shutil
from pathlib import Path


def free_bytes(folder: Path) -> int:
    """Room on the disk of a folder, which need not exist yet."""
    whole = folder.absolute()
    existing = next(one for one in (whole, *whole.parents) if one.exists())
    return shutil.disk_usage(existing).free


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; links count for nothing."""
    if path.is_symlink():
        return 0
    if path.is_dir():
        return sum(size_of(one) for one in path.iterdir())
    return path.stat().st_size if path.exists() else 0


def readable_size(count: int) -> str:
    """A number of bytes, as a person reads it."""
    return f"{count / 1e6:,.1f} MB" if count >= 1e6 else f"{count / 1e3:,.0f} kB"
