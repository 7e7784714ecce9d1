"""How much memory there is, and what becomes of what a process frees where glibc manages it."""

import ctypes
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

# Where Linux says what a container may use and uses (cgroup-v2(7)).
_LIMIT, _USED = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGE_BUFFER, _NO_BUFFER = 256 * 1024, 2**30
_NEVER = -1


def spare_bytes() -> int:
    """Memory that nothing needs, of this machine, or of the container that this process is in."""
    spare = int(psutil.virtual_memory().available)
    # There is none, or it has no limit.
    with suppress(OSError, ValueError):
        spare = min(spare, int(_LIMIT.read_text()) - int(_USED.read_text()))
    return max(0, spare)


def return_large_buffers() -> None:
    """Let freed memory of large buffers go back to the system at once, where glibc manages it.

    Otherwise glibc raises its threshold with the largest buffer it has seen (mallopt(3),
    M_MMAP_THRESHOLD), and a server keeps what one large request has taken.
    """
    _set_allocator(_M_MMAP_THRESHOLD, _LARGE_BUFFER)


def keep_large_buffers() -> None:
    """Let memory that is freed from now on stay with this process, where glibc manages it.

    What is free already goes back first. Otherwise what a training step frees goes back to the
    system (mallopt(3), M_TRIM_THRESHOLD), which hands out and clears thousands of pages for the
    next step: a sixth of the time, where a layer's output takes some megabytes.
    """
    trim = _of_allocator("malloc_trim")
    if trim is not None:
        trim(0)
    if _set_allocator(_M_MMAP_THRESHOLD, _NO_BUFFER):
        _set_allocator(_M_TRIM_THRESHOLD, _NEVER)


def _set_allocator(option: int, value: int) -> bool:
    """Whether there is glibc's allocator, and it takes the value."""
    mallopt = _of_allocator("mallopt")
    return mallopt is not None and mallopt(option, value) == 1


def _of_allocator(name: str) -> Any:
    """A function of the C library's allocator; None where it has none of that name."""
    return getattr(ctypes.CDLL(None), name, None) if os.name == "posix" else None
