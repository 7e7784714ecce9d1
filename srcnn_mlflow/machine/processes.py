"""Which process a run belongs to, and whether that still lives."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

import psutil

# Clocks are read in other units by other programs; no two processes of one number are so near.
_SAME_START = 1.0


@dataclass(frozen=True)
class ProcessSign:
    """A process, told apart from a later one that has its number again.

    Attributes:
        host: the machine's name.
        number: the process id.
        start: when it began, in seconds since 1970.
    """

    host: str
    number: int
    start: float

    @classmethod
    def own(cls) -> "ProcessSign":
        """The process that asks."""
        return cls(socket.gethostname(), os.getpid(), psutil.Process().create_time())

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> "ProcessSign | None":
        """The inverse of `tags`; None where they are missing or damaged."""
        try:
            return cls(tags["host"], int(tags["process_id"]), float(tags["process_start"]))
        except (KeyError, ValueError):
            return None

    def tags(self) -> dict[str, str]:
        """As a run holds it."""
        return {
            "host": self.host,
            "process_id": str(self.number),
            "process_start": f"{self.start:.2f}",
        }

    def is_alive_here(self) -> bool:
        """Whether it is a living process of this machine."""
        if self.host != socket.gethostname():
            return False
        try:
            process = psutil.Process(self.number)
            if abs(process.create_time() - self.start) > _SAME_START:
                return False
            return bool(process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    def is_dead_here(self) -> bool:
        """Whether it was a process of this machine, and has ended."""
        return self.host == socket.gethostname() and not self.is_alive_here()
