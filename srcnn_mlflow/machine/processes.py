"""Which process a run belongs to, and whether that still lives."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

# The tag of a run that tells its process.
TAG = "process"
# Clocks are read in other units by other programs; no two processes of one number are so near.
_SAME_START = 1.0


@dataclass(frozen=True)
class ProcessSign:
    """A process, told apart from a later one that has its number again.

    Attributes:
        host: the machine's name.
        number: the process id.
        start: when it began, in seconds since 1970 by the clock of then.
        ticks: which boot of the machine it began in, and when, as the kernel counts, which no
            change of the clock touches; None where the system does not say.
    """

    host: str
    number: int
    start: float
    ticks: str | None = None

    @classmethod
    def own(cls) -> "ProcessSign":
        """The process that asks."""
        number = os.getpid()
        return cls(socket.gethostname(), number, psutil.Process().create_time(), _ticks(number))

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> "ProcessSign | None":
        """The inverse of `tag` and of `tags`; None where they are missing or damaged."""
        try:
            if TAG in tags:
                return cls._from_words(*tags[TAG].split(maxsplit=3))
            return cls._from_words(
                *(tags["host"], tags["process_id"], tags["process_start"]),
                tags.get("process_ticks"),
            )
        except (KeyError, TypeError, ValueError):
            return None

    @classmethod
    def _from_words(
        cls, host: str, number: str, start: str, ticks: str | None = None
    ) -> "ProcessSign":
        return cls(host, int(number), float(start), ticks)

    def tag(self) -> dict[str, str]:
        """As a run holds it, in one tag that a person can pass over."""
        return {TAG: f"{self.host} {self.number} {self.start:.2f} {self.ticks or ''}".rstrip()}

    def tags(self) -> dict[str, str]:
        """As locks, studies and runs of former versions hold it."""
        return {
            "host": self.host,
            "process_id": str(self.number),
            "process_start": f"{self.start:.2f}",
            **({} if self.ticks is None else {"process_ticks": self.ticks}),
        }

    def is_alive_here(self) -> bool:
        """Whether it is a living process of this machine."""
        if self.host != socket.gethostname():
            return False
        try:
            process = psutil.Process(self.number)
            return self._is(process) and bool(process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    def _is(self, process: psutil.Process) -> bool:
        """Whether a process that has this number is this process."""
        if self.ticks is not None:
            return _ticks(self.number) == self.ticks
        return bool(abs(process.create_time() - self.start) <= _SAME_START)

    def is_dead_here(self) -> bool:
        """Whether it was a process of this machine, and has ended."""
        return self.host == socket.gethostname() and not self.is_alive_here()


def _ticks(number: int) -> str | None:
    """When a living process began, as Linux counts; None on other systems, and for a dead one."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
        about = Path(f"/proc/{number}/stat").read_text(errors="replace")
    except OSError:
        return None
    # The program's name, in brackets, may hold anything; the start is the 22nd field.
    return f"{boot.strip()} {about.rpartition(')')[2].split()[19]}"
