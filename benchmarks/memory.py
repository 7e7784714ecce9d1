"""Memory of a process and all that it has started; it needs Linux."""

import psutil


def proportional_bytes(process: int) -> int:
    """What only these processes use, and their share of what they share with others."""
    return sum(_read(one, "pss") for one in _family(process))


def resident_bytes(process: int) -> int:
    """What these processes hold in memory; what they share counts for each."""
    return sum(_read(one, "rss") for one in _family(process))


def _family(process: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(process)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _read(process: psutil.Process, field: str) -> int:
    try:
        return int(getattr(process.memory_full_info(), field))
    except psutil.NoSuchProcess:  # it has just ended
        return 0
