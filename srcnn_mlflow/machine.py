"""What this machine gives us."""

import ctypes
import os
import shutil
from pathlib import Path

_M_MMAP_THRESHOLD = -3
_LARGE_BUFFER = 256 * 1024


def available_cores() -> int:
    """How many processors this process may use, beside others that `torchrun` has started."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def return_large_buffers() -> None:
    """Let freed memory of large buffers go back to the system at once, where glibc manages it.

    Otherwise glibc raises its threshold with the largest buffer it has seen (mallopt(3),
    M_MMAP_THRESHOLD), and a server keeps what one large request has taken.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BUFFER)


def free_bytes(folder: Path) -> int:
    """Room on the disk of a folder, which need not exist yet."""
    whole = folder.absolute()
    existing = next(one for one in (whole, *whole.parents) if one.exists())
    return shutil.disk_usage(existing).free
