"""What the splits of a data set may not share, and what a person should know that they share."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

from srcnn_mlflow.machine.errors import DatasetError
from srcnn_mlflow.pictures.likeness import find_alike
from srcnn_mlflow.pictures.photos import Photo

# Splits by name, in the order in which they are used.
Splits = Mapping[str, Sequence[Photo]]

_MOST_NAMED = 5


def refuse_same(name: str, splits: Splits) -> None:
    """Make sure that no picture stands in two splits, in whatever mode, format or depth.

    Args:
        name: of the data set, for messages.
        splits: its photographs.

    Raises:
        DatasetError: one does.
    """
    seen: dict[str, tuple[str, Photo]] = {}
    for split, photos in splits.items():
        for photo in photos:
            other_split, other = seen.setdefault(photo.identity, (split, photo))
            if other_split != split:
                raise DatasetError(
                    f"data set {name} has the same pixels in two splits: {other.path} in "
                    f"{other_split} and {photo.path} in {split}; remove one of them"
                )


def once(photos: Iterable[Photo]) -> tuple[Photo, ...]:
    """Leave out what shows the same pixels as a photograph before it."""
    first: dict[str, Photo] = {}
    for photo in photos:
        first.setdefault(photo.identity, photo)
    return tuple(first.values())


def tell_doubles(splits: Splits, measured: Sequence[str]) -> Iterator[str]:
    """One sentence for every split with pictures that stand in it twice.

    Args:
        splits: photographs.
        measured: the splits in which such a picture counts once.
    """
    for split, photos in splits.items():
        first = {photo.identity: photo for photo in reversed(photos)}
        doubles = [
            f"{photo.name} is {first[photo.identity].name}"
            for photo in photos
            if photo is not first[photo.identity]
        ]
        if doubles:
            effect = "counts once" if split in measured else "weighs twice in training"
            yield f"the same picture twice in {split}, which {effect}: {_some(doubles)}"


def tell_alike(splits: Splits) -> Iterator[str]:
    """One sentence for every two splits with pictures that look alike."""
    for (one, ones), (other, others) in combinations(splits.items(), 2):
        pairs = list(pairs_alike(ones, others))
        if pairs:
            names = _some([f"{second.name} and {first.name}" for first, second in pairs])
            yield (
                f"pictures of {other} look like pictures of {one}: {names}; where one is a copy of "
                "the other (compressed, resized, mirrored, turned or cropped), remove it"
            )


def pairs_alike(ones: Sequence[Photo], others: Sequence[Photo]) -> Iterator[tuple[Photo, Photo]]:
    """Go through the pairs of photographs that show the same, though their pixels differ."""
    hashes = ([photo.likeness for photo in photos] for photos in (ones, others))
    for place, other_place in find_alike(*hashes):
        yield ones[place], others[other_place]


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
