"""What this machine gives us."""

import os
import shutil
from pathlib import Path


def available_cores() -> int:
    """How many processors this process may use, beside others that `torchrun` has started."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def free_bytes(folder: Path) -> int:
    """Room on the disk of a folder, which need not exist yet."""
    whole = folder.absolute()
    existing = next(one for one in (whole, *whole.parents) if one.exists())
    return shutil.disk_usage(existing).free
