"""What a client may compare at one scale: bicubic, the served version, and others of its model."""

from collections.abc import Iterable
from dataclasses import dataclass

from srcnn_mlflow.tracking.version_list import ListedVersion

BICUBIC, SERVED = "bicubic", "served"


@dataclass(frozen=True)
class Choice:
    """One of them.

    Attributes:
        version: how a request asks for it: `bicubic`, `served`, or a number.
        name: for a person who chooses.
        caption: the same in short.
    """

    version: str
    name: str
    caption: str


def choices(
    label: str, number: int | None, alias: str, versions: Iterable[ListedVersion]
) -> list[Choice]:
    """List them; the served one stands behind bicubic.

    Args:
        label: of the served version.
        number: the same; None for the weights that ship.
        alias: by which it is served.
        versions: of the registered model.

    >>> versions = [ListedVersion(2, "9-1-5", ("challenger",)), ListedVersion(1, "", ("champion",))]
    >>> [one.name for one in choices("srcnn-x2/1", 1, "champion", versions)]
    ['Bicubic', 'Version 1 (champion)', 'Version 2 (9-1-5, challenger)']
    """
    served = Choice(SERVED, f"The weights that ship ({label})", label)
    if number is not None:
        # It may be older than those that are listed.
        served = _named(SERVED, ListedVersion(number, "", (alias,)))
    others = []
    for version in versions:
        if version.number == number:
            served = _named(SERVED, version)
        else:
            others.append(_named(str(version.number), version))
    return [Choice(BICUBIC, "Bicubic", "Bicubic"), served, *others]


def _named(asked_by: str, version: ListedVersion) -> Choice:
    about = [version.architecture, *(alias.replace("-", " ") for alias in version.aliases)]
    said = ", ".join(filter(None, about))
    caption = f"Version {version.number}"
    return Choice(asked_by, f"{caption} ({said})" if said else caption, caption)
