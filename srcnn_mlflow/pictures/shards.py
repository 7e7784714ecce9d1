"""A large set in several prepared files, each of a bounded size."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from srcnn_mlflow.pictures.datasets import Split
from srcnn_mlflow.pictures.photos import Photo, digest
from srcnn_mlflow.pictures.store_file import StoreSettings

# What the planes of a file take at most, where it has more than one picture.
SHARD_BYTES = 1 << 28
# What is prepared into one file, to train and to validate on; either may be empty.
Part = tuple[Split, Split]


def divide(train: Split, valid: Split, settings: StoreSettings) -> tuple[Part, ...]:
    """Part a set into what each prepared file of it holds.

    A set that fits one file has one. Of others, files have either training or validation pictures,
    neighbours in the order of the set. Where a file ends is decided by the pictures there: pictures
    that are added later leave the files that they do not fall into as they are.

    Args:
        train: the training pictures.
        valid: the validation pictures.
        settings: scale and planes; materialized patches are always in one file.
    """
    together = sum(_bytes(photo, settings) for photo in (*train.photos, *valid.photos))
    if settings.materialize or together <= SHARD_BYTES:
        return ((train, valid),)
    no_train, no_valid = _only(train, ()), _only(valid, ())
    return (
        *((_only(train, run), no_valid) for run in _runs(train.photos, settings)),
        *((no_train, _only(valid, run)) for run in _runs(valid.photos, settings)),
    )


def _runs(photos: Sequence[Photo], settings: StoreSettings) -> Iterator[tuple[Photo, ...]]:
    run: list[Photo] = []
    size = 0
    for photo in photos:
        own = _bytes(photo, settings)
        if run and size + own > SHARD_BYTES:
            yield tuple(run)
            run, size = [], 0
        run.append(photo)
        size += own
        # Beyond half of the size, a quarter more on average.
        ends = int(photo.digest[:8], 16) * SHARD_BYTES < own << 34
        if size > SHARD_BYTES // 2 and ends:
            yield tuple(run)
            run, size = [], 0
    if run:
        yield tuple(run)


def _bytes(photo: Photo, settings: StoreSettings) -> int:
    """What a picture's planes take, before they are cropped to multiples of the scale."""
    return 2 * settings.planes * photo.width * photo.height


def _only(split: Split, photos: tuple[Photo, ...]) -> Split:
    return replace(split, photos=photos, digest=digest(photos))
