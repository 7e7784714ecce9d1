"""Networks that come in from outside: a Python file's, or an installed package's, by name."""

import re
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from srcnn_mlflow.machine.errors import ModelError
from srcnn_mlflow.network.architecture import Architecture

# The group of entry points by which a package offers networks.
GROUP = "srcnn_mlflow.networks"
# How a setting reads that the network decides itself, as it is written.
OWN = "own"

_FILE = re.compile(r"(?P<path>.+\.py)(?::(?P<name>\w+))?", re.DOTALL)


@dataclass(frozen=True)
class Origin:
    """Where a network from outside is found.

    Attributes:
        reference: as it is given and logged.
        path: of its file; None for a package's.
        offered: the name of what the file offers; None where it offers one thing only.
        package: a package's entry point; None for a file's.
    """

    reference: str
    path: Path | None = None
    offered: str | None = None
    package: EntryPoint | None = None

    @property
    def label(self) -> str:
        """How a sentence calls it, in short: without the folders."""
        if self.path is None:
            return self.reference
        return self.path.name if self.offered is None else f"{self.path.name}:{self.offered}"


def origin_of(architecture: str) -> Origin | None:
    """Where a network from outside is found; None for a chain of our own, or a name of nothing."""
    file = _FILE.fullmatch(architecture)
    if file is not None:
        return Origin(architecture, Path(file["path"]), file["name"])
    if is_chain(architecture):
        return None
    found = entry_points(group=GROUP)
    return (
        Origin(architecture, package=found[architecture]) if architecture in found.names else None
    )


def is_chain(architecture: str) -> bool:
    """Whether a name is that of a chain."""
    try:
        Architecture(architecture)
    except ModelError:
        return False
    return True


def short_name(architecture: str) -> str:
    """A network's name without the folders of its file."""
    origin = origin_of(architecture)
    return architecture if origin is None else origin.label
