"""Which enlarged file each picture becomes, and what is left out."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from srcnn_mlflow.machine.callers_folder import given_source
from srcnn_mlflow.machine.errors import ImageError
from srcnn_mlflow.machine.text import printable
from srcnn_mlflow.pictures.formats import FORMATS, PNG, SAME, ending_for, format_for
from srcnn_mlflow.pictures.picture_files import SUFFIXES, list_files, split_joined

# How results are called.
_ENDINGS = "|".join(ending for one in FORMATS.values() for ending in one.endings)
_RESULT = re.compile(rf"(?P<of>.+)-x[234](-bicubic)?(?i:{_ENDINGS.replace('.', '[.]')})")
_PAGE = re.compile(r"comparison-x[234]\.html")


@dataclass(frozen=True)
class Targets:
    """What is to be written.

    Attributes:
        pairs: each picture with the file that it becomes.
        left_out: one sentence for every file that is not taken.
    """

    pairs: list[tuple[Path, Path]]
    left_out: list[str]


@dataclass(frozen=True)
class _Source:
    """One picture, and the folder for its result."""

    path: Path
    folder: Path


def plan_targets(
    inputs: Sequence[str], output: Path, scale: int, compare: bool, form: str = PNG.name
) -> Targets:
    """Decide which file each picture becomes.

    Folders are taken with all folders in them, which the output repeats.

    Args:
        inputs: pictures and folders; several in one may be joined by `+`.
        output: a folder, or, for one picture, a file with the format's ending.
        scale: part of the names of results.
        compare: whether bicubic's enlargement is written beside each.
        form: one of FORMAT_NAMES.

    Raises:
        ImageError: an input is not there, there is no picture at all, one would be replaced by
            its enlargement, or two would become the same file.
    """
    given = [path for text in inputs for path in _taken_apart(text)]
    if len(given) == 1 and given[0].is_file() and output.suffix.lower() in SUFFIXES:
        _check_ending(output, given[0], form)
        targets = Targets([(given[0], output)], [])
    else:
        if output.is_file():
            raise ImageError(
                f"output {output} is a file; give a folder, or for one picture a name that ends "
                f"in {ending_for(form, output)}"
            )
        targets = _in_folder(given, output, scale, form)
    _check(targets.pairs, compare)
    return targets


def beside(target: Path) -> Path:
    """Where bicubic's enlargement goes."""
    return target.with_name(f"{target.stem}-bicubic{target.suffix}")


def page_of(targets: Targets, output: Path, scale: int) -> Path:
    """Where the page goes that shows results beside bicubic's."""
    if [target for _, target in targets.pairs] == [output]:
        return output.with_name(f"{output.stem}-comparison.html")
    return output / f"comparison-x{scale}.html"


def _check_ending(output: Path, source: Path, form: str) -> None:
    chosen = format_for(form, source)
    if output.suffix.lower() in chosen.endings:
        return
    meant = [one for one in FORMATS.values() if output.suffix.lower() in one.endings]
    other = f", format={meant[0].name}" if meant and form != SAME else ""
    raise ImageError(
        f"output {output} would be a {chosen.title} file; give a name that ends in "
        f"{chosen.endings[0]}{other}, or a folder"
    )


def _taken_apart(text: str) -> list[Path]:
    names = split_joined(text, lambda name: given_source(name).exists())
    if not all(names):
        raise ImageError(
            f"input {text!r} has an empty part; join pictures and folders by single + signs"
        )
    return [given_source(name) for name in names]


def _in_folder(given: Sequence[Path], output: Path, scale: int, form: str) -> Targets:
    sources: list[_Source] = []
    left_out: list[str] = []
    for path in given:
        if path.is_file():
            sources.append(_Source(path, output))
        elif path.is_dir():
            # Of several folders, each keeps its own name.
            place = output if len(given) == 1 else output / path.resolve().name
            found, others = _of_folder(path, output, place)
            sources += found
            left_out += others
        else:
            what = "is neither a file nor a folder" if path.exists() else "does not exist"
            raise ImageError(f"input {path} {what}; give a picture or a folder of pictures")
    if not sources:
        held = f": {'; '.join(left_out[:3])}" if left_out else ""
        raise ImageError(
            f"{' and '.join(map(str, given))} holds no picture that is read, such as a PNG, JPEG, "
            f"BMP, TIFF or WebP file{held}"
        )
    return Targets(_paired(sources, scale, form), left_out)


def _of_folder(folder: Path, output: Path, place: Path) -> tuple[list[_Source], list[str]]:
    into_itself = output.is_dir() and output.samefile(folder)
    files = list_files(folder, without=() if into_itself else (output,))
    left_out = [
        f"{printable(str(path.relative_to(folder)))} is no picture, by its name"
        for path in files.others
        if not (into_itself and _PAGE.fullmatch(path.name))
    ]
    pictures = files.pictures
    if into_itself:
        pictures, results = _without_results(pictures)
        left_out += [
            f"{printable(str(path.relative_to(folder)))} was made of another picture of its folder"
            for path in results
        ]
    elif output.is_dir() and output.resolve().is_relative_to(folder.resolve()):
        left_out.append(f"{output} lies in {folder}, and is where results go")
    return [_Source(path, place / path.relative_to(folder).parent) for path in pictures], left_out


def _without_results(pictures: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Tell what an earlier call has made of other pictures of the same folder."""
    names = {path.with_name(name) for path in pictures for name in (path.stem, path.name)}
    originals: list[Path] = []
    results: list[Path] = []
    for path in pictures:
        made = _RESULT.fullmatch(path.name)
        is_result = made is not None and path.with_name(made["of"]) in names
        (results if is_result else originals).append(path)
    return originals, results


def _paired(sources: Sequence[_Source], scale: int, form: str) -> list[tuple[Path, Path]]:
    # Where a.png and a.jpg lie side by side, the endings tell their results apart; what is left
    # of a.png.jpg without its own must not be taken for one of them.
    taken = Counter(key for source in sources for key in _keys(source))
    pairs = []
    for source in sources:
        alone = taken[_key(source.folder, source.path.stem)] == 1
        name = source.path.stem if alone else source.path.name
        ending = ending_for(form, source.path)
        pairs.append((source.path, source.folder / f"{name}-x{scale}{ending}"))
    return pairs


def _keys(source: _Source) -> Iterator[tuple[Path, str]]:
    yield _key(source.folder, source.path.stem)
    yield _key(source.folder, source.path.name)


def _key(folder: Path, name: str) -> tuple[Path, str]:
    """A name as file systems compare it that do not tell capitals or Unicode forms apart."""
    return folder, unicodedata.normalize("NFC", name).casefold()


def _check(pairs: Sequence[tuple[Path, Path]], compare: bool) -> None:
    """Make sure that no original is replaced, whatever its path is spelled like.

    Raises:
        ImageError: a result would replace one, or another result.
    """
    sources = {_identity(source): source for source, _ in pairs}
    made: dict[Path, Path] = {}
    for source, target in pairs:
        for written in (target, beside(target)) if compare else (target,):
            identity = _identity(written)
            if identity is not None and identity in sources:
                raise ImageError(
                    f"output {written} is the input {sources[identity]} itself, which it would "
                    "replace; give another name or folder"
                )
            if made.setdefault(written, source) != source:
                raise ImageError(
                    f"{made[written]} and {source} would both become {written}; rename one, or "
                    "give them to two calls with an output each"
                )


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file a path leads to, through links and other spellings; None for none."""
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_dev, about.st_ino
