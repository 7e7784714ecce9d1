"""What happens to one picture of `upscale`: it is read, enlarged, and written."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from srcnn_mlflow import __version__
from srcnn_mlflow.commands.upscale_targets import beside
from srcnn_mlflow.machine.atomic_write import atomic_write
from srcnn_mlflow.machine.errors import ImageError
from srcnn_mlflow.machine.text import printable
from srcnn_mlflow.network.upscaler import Upscaler
from srcnn_mlflow.pictures.decoding import identity_of, open_picture
from srcnn_mlflow.pictures.encoding import check_size, fit, write_picture
from srcnn_mlflow.pictures.formats import PNG, PictureFormat, format_for
from srcnn_mlflow.pictures.imaging import enlarge
from srcnn_mlflow.pictures.metadata import enlarged, with_identity
from srcnn_mlflow.pictures.picture import Picture

# zlib's own default.
PNG_LEVEL = 6


@dataclass(frozen=True)
class Wanted:
    """How results are written.

    Attributes:
        form: their format, one of FORMAT_NAMES.
        quality: of formats that lose something, 1 to 100; None for the usual one of each.
        skip_done: leave out what a former call has made of the same file in the same way.
    """

    form: str = PNG.name
    quality: int | None = None
    skip_done: bool = False


@dataclass(frozen=True)
class Method:
    """What a picture is enlarged by.

    Attributes:
        said: how results name it.
        digest: differs where results do.
    """

    said: str
    digest: str

    @classmethod
    def of_network(cls, network: Path, label: str, precision: str) -> "Method":
        """A network's file, what it is called, and what it is computed in."""
        return cls(f"srcnn-mlflow {__version__}, {label}", f"{_digest(network)} {precision}")


BICUBIC = Method("bicubic interpolation", "bicubic")


@dataclass(frozen=True)
class _Result:
    """One file that a picture becomes, and the id of what is in it."""

    path: Path
    method: Method
    identity: str


@dataclass(frozen=True)
class _Picture:
    """A picture between two steps.

    Attributes:
        source: its file.
        form: what it is going to be written as.
        results: the files that it becomes.
        pictures: the one that was read, or one for each result; empty where all are done.
    """

    source: Path
    form: PictureFormat
    results: Sequence[_Result]
    pictures: Sequence[Picture] = ()


@dataclass(frozen=True)
class Outcome:
    """What became of a picture.

    Attributes:
        files: its results.
        size: of each, width and height in pixels.
        notes: what of the original is lost, a short clause each.
        done_before: whether a former call has made them.
    """

    files: list[Path]
    size: tuple[int, int]
    notes: tuple[str, ...] = ()
    done_before: bool = False


class Steps:
    """The three steps, each of which may run in a thread of its own."""

    def __init__(
        self, upscaler: Upscaler, methods: Sequence[Method], wanted: Wanted, largest: int
    ) -> None:
        """Take what is the same for all pictures.

        Args:
            upscaler: enlarges them.
            methods: the upscaler's, and BICUBIC where that is wanted beside it.
            wanted: how results are written.
            largest: pixels of a picture that is taken.
        """
        self._upscaler, self._methods = upscaler, methods
        self._wanted, self._largest = wanted, largest

    def read(self, pair: tuple[Path, Path]) -> _Picture:
        """Decode a picture, unless its results are there already.

        Args:
            pair: it, and the file that it becomes.

        Raises:
            ImageError: it is not to be used, or too large for the format.
        """
        source, target = pair
        # Pipes and devices are told by whatever opens them, and never end.
        contents = _digest(source) if source.is_file() else ""
        form = format_for(self._wanted.form, source)
        results = [
            _Result(path, method, self._identity(contents, form, method))
            for path, method in zip((target, beside(target)), self._methods, strict=False)
        ]
        if self._wanted.skip_done and all(identity_of(one.path) == one.identity for one in results):
            return _Picture(source, form, results)
        picture = open_picture(source, self._largest)
        scale = self._upscaler.scale
        with _of(source):
            check_size(picture.width * scale, picture.height * scale, form)
        return _Picture(source, form, results, [picture])

    def compute(self, read: _Picture) -> _Picture:
        """Enlarge it."""
        if not read.pictures:
            return read
        (picture,) = read.pictures
        scale = self._upscaler.scale
        pictures = [
            enlarge(picture, scale)
            if result.method is BICUBIC
            else self._upscaler.upscale_picture(picture)
            for result in read.results
        ]
        return replace(read, pictures=[replace(one, notes=picture.notes) for one in pictures])

    def write(self, computed: _Picture) -> Outcome:
        """Write its files, each of which is whole or not there.

        Raises:
            ImageError: the format does not hold it.
            WriteError: the system refused.
        """
        files = [result.path for result in computed.results]
        if not computed.pictures:
            with Image.open(files[0]) as image:
                return Outcome(files, image.size, done_before=True)
        notes: tuple[str, ...] = ()
        for picture, result in zip(computed.pictures, computed.results, strict=True):
            with _of(computed.source):
                fitting, lost = fit(picture, computed.form)
                self._save(fitting, result, computed.form)
            notes = (*picture.notes, *lost)
        return Outcome(files, (fitting.width, fitting.height), notes)

    def _save(self, picture: Picture, result: _Result, form: PictureFormat) -> None:
        size, scale = (picture.width, picture.height), self._upscaler.scale
        said = enlarged(picture.metadata, scale, *size, result.method.said)
        named = replace(picture, metadata=with_identity(said, result.identity))
        with atomic_write(result.path) as partial, partial.open("wb") as file:
            write_picture(named, file, form, self._wanted.quality, PNG_LEVEL)
            # A file that has its name has its pixels, even where the power fails.
            file.flush()
            os.fsync(file.fileno())

    def _identity(self, contents: str, form: PictureFormat, method: Method) -> str:
        quality = form.quality and (self._wanted.quality or form.quality)
        made_from = (contents, method.digest, self._upscaler.scale, form.name, quality)
        return hashlib.sha256(repr(made_from).encode()).hexdigest()[:32]


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ImageError(f"{printable(path.name)} cannot be read: {error.strerror}") from error


@contextmanager
def _of(source: Path) -> Iterator[None]:
    """Name the picture that an error is about."""
    try:
        yield
    except ImageError as error:
        raise ImageError(f"{printable(source.name)} {error}") from error
