"""A file for HDF5 to write to, which outlives a full disk."""

import io
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


class Hdf5Output(io.FileIO):
    """Keeps the first failure to itself, and lets everything after it pass unwritten.

    HDF5 cannot close a file whose last writes fail: it tries them again when the process ends,
    which crashes it, and no error that it raises says what the system said.
    """

    _failure: OSError | None = None

    def write(self, content: "memoryview | bytes") -> int:  # type: ignore[override]
        """Write all of it, or remember why not."""
        left = memoryview(content).cast("B")
        length = len(left)
        try:
            while self._failure is None and left:
                left = left[super().write(left) :]
        except OSError as error:
            self._failure = error
        return length

    def truncate(self, size: int | None = None) -> int:
        """Set the file's length, or remember why not."""
        try:
            if self._failure is None:
                return super().truncate(size)
        except OSError as error:
            self._failure = error
        return size or 0

    def check(self) -> None:
        """Raise the failure, if there was one.

        Raises:
            OSError: what the system said.
        """
        if self._failure is not None:
            raise self._failure

    def checked(self, items: Iterable[Item]) -> Iterator[Item]:
        """Give items to write as long as writing goes well."""
        for item in items:
            self.check()
            yield item
