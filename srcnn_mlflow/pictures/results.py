"""Which file of a program's results belongs to which original, by their names."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from srcnn_mlflow.machine.errors import ImageError
from srcnn_mlflow.machine.text import printable
from srcnn_mlflow.pictures.picture_files import FolderFiles, list_files

# What programs, and the archives of sets, put behind a picture's name.
_SUFFIX = re.compile(
    r"(?P<name>.+?)(?:[-_. ]?x[234]|[-_. ](?:srf[-_]?[234]|sr|hr|lr|gt|srcnn|bicubic|out|output|"
    r"result|[234]x))"
)


@dataclass(frozen=True)
class ResultPair:
    """A result and the original that it is held against."""

    original: Path
    result: Path


@dataclass(frozen=True)
class Matched:
    """What was found.

    Attributes:
        pairs: in the order of the originals.
        left_out: one sentence for every file that is in no pair.
    """

    pairs: list[ResultPair]
    left_out: list[str]


def match_results(results: Path, originals: Path) -> Matched:
    """Find the original of every result.

    Names are compared without their endings, and without what programs put behind them: `_x2`,
    `-x2`, `x2`, `_SR`, `_HR`, `_SRF_2_HR`, `_srcnn`, `_bicubic`, `_out` and the like, or, where
    that finds nothing, anything behind `_`, `-`, a dot or a blank. Folders in either are looked
    into; of two originals of one name, that of the same folder counts.

    Raises:
        ImageError: one of both is no folder, they are the same, or one holds no picture.
    """
    found = _pictures("results", results, without=originals)
    known = _pictures("originals", originals, without=results)
    if results.samefile(originals):
        raise ImageError(
            f"results and originals are the same folder, {results}; put the results into one of "
            "their own"
        )
    names = _Names(originals, known.pictures)
    taken: dict[Path, list[Path]] = defaultdict(list)
    left_out = []
    for path in found.pictures:
        owners = names.owners(path.relative_to(results))
        if len(owners) == 1:
            taken[owners[0]].append(path)
        elif owners:
            left_out.append(
                f"{_shown(path, results)} may belong to {_shown(owners[0], originals)} or "
                f"{_shown(owners[1], originals)}; rename one"
            )
        else:
            left_out.append(f"{_shown(path, results)} has no original of its name")
    left_out += _untaken(known.pictures, taken, results, originals)
    pairs = [ResultPair(one, taken[one][0]) for one in known.pictures if len(taken[one]) == 1]
    return Matched(pairs, left_out)


def _pictures(what: str, folder: Path, without: Path) -> FolderFiles:
    if not folder.is_dir():
        state = "is no folder" if folder.exists() else "does not exist"
        raise ImageError(f"{what} {folder} {state}; give a folder of pictures")
    inside = without.is_dir() and without.resolve() != folder.resolve()
    files = list_files(folder, without=(without,) if inside else ())
    if not files.pictures:
        raise ImageError(
            f"{what} {folder} holds no picture that is read, such as a PNG, JPEG, BMP, TIFF or "
            "WebP file"
        )
    return files


def _untaken(
    originals: Iterable[Path], taken: Mapping[Path, Sequence[Path]], folder: Path, place: Path
) -> Iterator[str]:
    for original in originals:
        results = taken.get(original, ())
        if not results:
            yield f"{_shown(original, place)} has no result"
        elif len(results) > 1:
            names = ", ".join(_shown(one, folder) for one in results)
            yield (
                f"{_shown(original, place)} has {len(results)} results, {names}; give each "
                "program's a folder of its own"
            )


class _Names:
    """Originals by what results may call them."""

    def __init__(self, folder: Path, originals: Sequence[Path]) -> None:
        self._folder = folder
        self._exact: dict[str, list[Path]] = defaultdict(list)
        self._bare: dict[str, list[Path]] = defaultdict(list)
        for path in originals:
            self._exact[_key(path.stem)].append(path)
            # Where a.png and a.jpg lie side by side, their results are called by the whole name.
            self._exact[_key(path.name)].append(path)
            self._bare[_stripped(_key(path.stem))[-1]].append(path)

    def owners(self, result: Path) -> list[Path]:
        """The originals that a result may belong to: one, where its name is clear."""
        candidates = _stripped(_key(result.stem))
        found = next((self._exact[one] for one in candidates if one in self._exact), [])
        found = found or self._bare.get(candidates[-1], []) or self._beginning(candidates[0])
        beside = [one for one in found if one.parent.relative_to(self._folder) == result.parent]
        return beside if len(beside) == 1 else found

    def _beginning(self, name: str) -> list[Path]:
        """Those whose name the result's begins with; the longest counts."""
        ends = [place for place in range(len(name) - 1, 0, -1) if name[place] in "-_. "]
        return next((self._exact[name[:end]] for end in ends if name[:end] in self._exact), [])


def _stripped(name: str) -> list[str]:
    """A name, and what is left of it with one suffix fewer, until there is none."""
    names = [name]
    while found := _SUFFIX.fullmatch(names[-1]):
        names.append(found["name"])
    return names


def _key(name: str) -> str:
    """A name as file systems compare it that do not tell capitals or Unicode forms apart."""
    return unicodedata.normalize("NFC", name).casefold()


def _shown(path: Path, folder: Path) -> str:
    return printable(str(path.relative_to(folder)))
