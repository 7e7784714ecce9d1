"""Which processors this process may use, and which of its threads go first."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_LOWEST_PRIORITY = 19


def available_cores() -> int:
    """How many processors this process may use, beside others that `torchrun` has started."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def take_own_cores(number: int, processes: int, pid: int = 0) -> None:
    """Keep a process, and every thread it starts from now on, to its share of the processors.

    Processes that wait for each other at every step lose milliseconds where the system moves them
    about, and those that do not wait get into each other's way. Only Linux can be told so.

    Args:
        number: which of the processes it is, from 0.
        processes: how many share the processors.
        pid: of the process; 0 for this one.
    """
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(pid), key=_place)
        os.sched_setaffinity(pid, share_of_cores(cores, number, processes))


def share_of_cores(cores: Sequence[int], number: int, processes: int) -> Sequence[int]:
    """A run of neighbouring processors for each process, or one in turn where there are too few.

    >>> [share_of_cores([4, 5, 6], number, 2) for number in range(2)]
    [[4], [5, 6]]
    """
    if processes > len(cores):
        return [cores[number % len(cores)]]
    first, behind = (len(cores) * one // processes for one in (number, number + 1))
    return cores[first:behind]


def _place(core: int) -> tuple[int, ...]:
    """Where a processor sits: neighbours share a physical core, then a package."""
    folder = Path(f"/sys/devices/system/cpu/cpu{core}/topology")
    names = ("physical_package_id", "core_id")
    known = [folder / name for name in names if (folder / name).is_file()]
    return (*(int(file.read_text()) for file in known), core)


def give_way(threads: str) -> None:
    """Let those threads of this process that have a name run only when the others wait, on Linux.

    gloo's own thread asks for news without pause while another one holds the lock on a connection.
    At the same priority it takes the processor from the very thread that it waits for, for as long
    as the scheduler lets it, which is about 4 ms.
    """
    for folder in Path("/proc/self/task").glob("*"):
        # A thread may have ended since it was listed.
        with suppress(FileNotFoundError, ProcessLookupError):
            if (folder / "comm").read_text().strip() == threads:
                os.setpriority(os.PRIO_PROCESS, int(folder.name), _LOWEST_PRIORITY)
