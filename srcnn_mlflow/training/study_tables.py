"""What a study trains: tables of settings, a file each (`studies/*.toml`), or a person's own.

A file has a sentence about it, what all its settings share (`common`), and its settings: each a
name, what it has instead of what a training has anyway, and what a paper states for it, with the
source.
"""

import math
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from srcnn_mlflow.machine.callers_folder import given_source
from srcnn_mlflow.machine.errors import StudyTableError
from srcnn_mlflow.machine.text import printable
from srcnn_mlflow.network.architecture import SCALES

# Turns what a file says of a setting of `train`, as a text, into its value; raises
# StudyTableError.
TakeValue = Callable[[str, str], Any]

_KEYS = ("about", "common", "setting")
_SUFFIX = ".toml"
# Of a setting's name: it stands in tables, figures, messages and names of metrics.
_NAME = re.compile(r"\w[\w .+@:=-]{0,39}")
_LARGEST_FILE = 1_000_000


@dataclass(frozen=True)
class Published:
    """What a paper states for a setting.

    Attributes:
        source: the paper, and what differs from this study.
        psnr: averages on luma in dB, by data set and scale.
    """

    source: str
    psnr: Mapping[tuple[str, int], float]


@dataclass(frozen=True)
class StudySetting:
    """A line of a study's table.

    Attributes:
        name: as the table shows it.
        values: settings of `train` by name, where they are not what it has anyway.
        published: what a paper states for it, if any does.
    """

    name: str
    values: Mapping[str, Any]
    published: Published | None = None


@dataclass(frozen=True)
class StudyTable:
    """What a study trains.

    Attributes:
        name: of the study.
        about: what it asks, in a sentence or two.
        settings: at least one; the others are compared with the first.
        file: where it was read, if it does not come with the package.
    """

    name: str
    about: str
    settings: tuple[StudySetting, ...]
    file: Path | None = field(default=None, compare=False)

    def __str__(self) -> str:
        """As it is asked for."""
        return self.name if self.file is None else str(self.file)


@cache
def study_names() -> tuple[str, ...]:
    """The studies that come with the package."""
    found = files(__package__).joinpath("studies").iterdir()
    return tuple(sorted(one.name.removesuffix(_SUFFIX) for one in found if _SUFFIX in one.name))


def find_study(asked: str, take_value: TakeValue) -> StudyTable:
    """Read a study that comes with the package, or a person's own.

    Args:
        asked: its name, or a file.
        take_value: what a setting of `train` may be.

    Raises:
        StudyTableError: there is none, it cannot be read, or it says what no training can be given.
    """
    if asked in study_names():
        text = files(__package__).joinpath(f"studies/{asked}{_SUFFIX}").read_text(encoding="utf-8")
        return _parse(asked, text, None, take_value)
    try:
        path = given_source(asked)
        text = _read(asked, path)
    except OSError as error:
        raise StudyTableError(f"cannot read {printable(asked)}: {error.strerror}") from None
    return _parse(path.name.removesuffix(_SUFFIX), text, path, take_value)


def _read(asked: str, path: Path) -> str:
    """The text of a file.

    Raises:
        StudyTableError: there is none, or it is none.
        OSError: the system does not give it.
    """
    known = ", ".join(study_names())
    if not path.exists():
        if asked.endswith(_SUFFIX) or "/" in asked:
            raise StudyTableError(f"there is no file {path}; give one, or {known}")
        nearest = "".join(
            f", but {one}" for one in get_close_matches(asked.lower(), study_names(), n=1)
        )
        raise StudyTableError(f"there is no study {asked!r}{nearest}; give {known}, or a file")
    if not path.is_file():
        raise StudyTableError(f"{path} is no file; give one, or {known}")
    if path.stat().st_size > _LARGEST_FILE:
        raise StudyTableError(f"{path} is too large for a study, which has some lines")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise StudyTableError(f"{path} is no text in UTF-8, and so no study") from None


def _parse(name: str, text: str, file: Path | None, take_value: TakeValue) -> StudyTable:
    who = f"study {printable(name)}" if file is None else str(file)
    try:
        read = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise StudyTableError(f"{who} is no TOML: {error}") from None
    for key in read:
        if key not in _KEYS:
            raise StudyTableError(f"{who}: {key!r} is not one of {', '.join(_KEYS)}")
    about, common = read.get("about", ""), read.get("common", {})
    listed = read.get("setting", [])
    if not isinstance(about, str) or not isinstance(common, dict):
        raise StudyTableError(f"{who}: about has to be a sentence, and common a table")
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise StudyTableError(f"{who}: write each setting below a line [[setting]]")
    if not listed:
        raise StudyTableError(
            f"{who} has no setting; write at least one below a line [[setting]], with its name"
        )
    settings = tuple(_setting(who, one, common, take_value) for one in listed)
    _check_names(who, settings)
    return StudyTable(name, _line(about), settings, file)


def _setting(
    who: str, read: Mapping[str, Any], common: Mapping[str, Any], take_value: TakeValue
) -> StudySetting:
    name = read.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise StudyTableError(
            f"{who}: a setting's name {_shown(name)} is none; give up to 40 letters, digits, "
            "spaces and . - _ + @ : =, a letter or digit first"
        )
    published = read.get("published")
    own = {key: value for key, value in read.items() if key not in ("name", "published")}
    where = f"{who}, {name}"
    values = {
        key: _value(where, key, value, take_value) for key, value in {**common, **own}.items()
    }
    return StudySetting(name, values, None if published is None else _published(where, published))


def _value(who: str, key: str, value: Any, take_value: TakeValue) -> Any:
    if not isinstance(value, str | int | float):
        raise StudyTableError(f"{who}: {key} is {_shown(value)}, where one value is needed")
    text = str(value).lower() if isinstance(value, bool) else str(value)
    try:
        return take_value(key, text)
    except StudyTableError as error:
        raise StudyTableError(f"{who}: {error}") from None


def _published(who: str, read: Any) -> Published:
    """What a file states as published: `source`, and by data set `{ x3 = 32.39 }`."""
    if not isinstance(read, dict) or not isinstance(read.get("source"), str) or len(read) < 2:
        raise StudyTableError(
            f"{who}: published needs a source, and averages such as set5 = {{ x3 = 32.39 }}"
        )
    known = {f"x{scale}": scale for scale in SCALES}
    psnr: dict[tuple[str, int], float] = {}
    for dataset, averages in read.items():
        if dataset == "source":
            continue
        if not isinstance(averages, dict):
            raise StudyTableError(f"{who}: {dataset} needs averages by scale, as {{ x3 = 32.39 }}")
        for scale, value in averages.items():
            usable = isinstance(value, int | float) and not isinstance(value, bool)
            if scale not in known or not usable or not 0 < value < math.inf:
                raise StudyTableError(
                    f"{who}: published {dataset} {scale} is {_shown(value)}; give decibels by "
                    f"{', '.join(known)}"
                )
            psnr[dataset, known[scale]] = float(value)
    return Published(_line(read["source"]), psnr)


def _check_names(who: str, settings: tuple[StudySetting, ...]) -> None:
    seen: dict[str, str] = {}
    for setting in settings:
        plain = plain_name(setting.name)
        if plain in seen:
            raise StudyTableError(
                f"{who}: the settings {seen[plain]!r} and {setting.name!r} have one name, or are "
                "told apart by signs alone; give them others"
            )
        seen[plain] = setting.name


def plain_name(name: str) -> str:
    """A setting's name as that of a metric may be.

    >>> plain_name("t91+bsd200@shrunk")
    't91-bsd200-shrunk'
    """
    return re.sub(r"[^\w.-]", "-", name)


def _line(text: str) -> str:
    """A sentence in one line, whatever a person has written into the file."""
    return printable(" ".join(text.split()))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}\N{HORIZONTAL ELLIPSIS}"
