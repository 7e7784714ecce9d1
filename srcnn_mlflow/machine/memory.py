"""What becomes of memory that a process has freed, where glibc manages it."""

import ctypes
import os

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGE_BUFFER, _NO_BUFFER = 256 * 1024, 2**30
_NEVER = -1


def return_large_buffers() -> None:
    """Let freed memory of large buffers go back to the system at once, where glibc manages it.

    Otherwise glibc raises its threshold with the largest buffer it has seen (mallopt(3),
    M_MMAP_THRESHOLD), and a server keeps what one large request has taken.
    """
    _set_allocator(_M_MMAP_THRESHOLD, _LARGE_BUFFER)


def keep_large_buffers() -> None:
    """Let freed memory stay with this process, where glibc manages it.

    Otherwise what a training step frees goes back to the system (mallopt(3), M_TRIM_THRESHOLD),
    which hands out and clears thousands of pages for the next step: a sixth of the time, where a
    layer's output takes some megabytes.
    """
    if _set_allocator(_M_MMAP_THRESHOLD, _NO_BUFFER):
        _set_allocator(_M_TRIM_THRESHOLD, _NEVER)


def _set_allocator(option: int, value: int) -> bool:
    """Whether there is glibc's allocator, and it takes the value."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    return mallopt is not None and mallopt(option, value) == 1
