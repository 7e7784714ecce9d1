"""A result and its original as pixels that can be held against each other, or why they cannot."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from srcnn_mlflow.machine.errors import ImageError
from srcnn_mlflow.machine.text import printable
from srcnn_mlflow.pictures.decoding import open_picture
from srcnn_mlflow.pictures.imaging import Plane, flatten, luma
from srcnn_mlflow.pictures.picture import Picture
from srcnn_mlflow.pictures.results import ResultPair

# To these multiples, archives of test sets crop their originals.
_ARCHIVE_MULTIPLE = 12


@dataclass(frozen=True)
class Compared:
    """A result and its original.

    Attributes:
        name: of the original.
        original: uint8 of shape (height, width) for grey, or (height, width, 3).
        result: the same, of the size of the original cropped to multiples of the scale.
        result_is_luma: the result is the luma of a colour picture, without its colour.
        notes: what was done to make them comparable, one sentence each.
    """

    name: str
    original: Plane
    result: Plane
    result_is_luma: bool
    notes: tuple[str, ...]


def read_compared(pair: ResultPair, scale: int) -> Compared:
    """Read a result and its original.

    Raises:
        ImageError: one cannot be read, or their sizes or colours do not belong together.
    """
    original, result = open_picture(pair.original), open_picture(pair.result)
    name, of_result = printable(pair.original.name), printable(pair.result.name)
    target, made = _pixels(original), _pixels(result)
    made = _fitted(name, target, of_result, made, scale)
    notes = [
        *_notes(name, original),
        *_notes(of_result, result),
        *_depths(of_result, result, name, original),
    ]
    is_luma = False
    if target.ndim == 2 and made.ndim == 3:
        made = _grey_of_colour(name, of_result, made)
        notes.append(
            f"{of_result} holds grey as red, green and blue; {name} is grey, and so it is taken"
        )
    elif target.ndim == 3 and made.ndim == 2:
        is_luma = _is_luma(name, target, of_result, made)
        if is_luma:
            notes.append(
                f"{of_result} is grey and {name} in colour: it is taken for luma, 16..235, and "
                "what needs its colour cannot be measured"
            )
        else:
            made = np.stack([made] * 3, axis=-1)
    return Compared(name, target, made, is_luma, tuple(notes))


def _pixels(picture: Picture) -> Plane:
    return np.asarray(flatten(picture.image()))


def _notes(name: str, picture: Picture) -> list[str]:
    transparent = (
        picture.bands > picture.colours and int(picture.pixels[..., -1].min()) < picture.white
    )
    laid = ["it is transparent, and laid on white"] if transparent else []
    return [f"of {name}, {note}" for note in (*picture.notes, *laid)]


def _depths(of_result: str, result: Picture, name: str, original: Picture) -> list[str]:
    """Say which of both is 16 bits deep."""
    deep = [one for one, picture in ((of_result, result), (name, original)) if picture.white > 255]
    if not deep:
        return []
    if len(deep) == 2:
        return [f"{of_result} and {name} have 16 bits a channel, and are rounded to 8"]
    other = name if deep[0] == of_result else of_result
    return [f"{deep[0]} has 16 bits a channel and {other} 8: it is rounded to 8"]


def _fitted(name: str, target: Plane, of_result: str, made: Plane, scale: int) -> Plane:
    """Crop a result that is as large as its original, which may be no multiple of the scale.

    Raises:
        ImageError: it has another size.
    """
    height, width = target.shape[:2]
    cropped = height - height % scale, width - width % scale
    if made.shape[:2] in (cropped, (height, width)):
        return made[: cropped[0], : cropped[1]]
    rows, columns = made.shape[:2]
    raise ImageError(
        f"{of_result} is {columns}x{rows}, {_by_how_much(columns - cropped[1], rows - cropped[0])} "
        f"{name} cropped to multiples of {scale} ({cropped[1]}x{cropped[0]}): "
        f"{_likely_cause((rows, columns), (height, width), scale)}"
    )


def _by_how_much(wider: int, higher: int) -> str:
    parts = [
        f"{abs(by)} pixel{'s' if abs(by) > 1 else ''} {more if by > 0 else less}"
        for by, more, less in ((wider, "wider", "narrower"), (higher, "higher", "lower"))
        if by
    ]
    return f"{' and '.join(parts)} than"


def _likely_cause(result: tuple[int, int], original: tuple[int, int], scale: int) -> str:
    """Why a result has a size of its own, and what to do."""
    cropped = tuple(side - side % scale for side in original)
    archived = tuple(side - side % _ARCHIVE_MULTIPLE for side in original)
    if result == archived:
        return (
            f"its original seems cropped to multiples of {_ARCHIVE_MULTIPLE}, as those called "
            "GTmod12 are; give these as originals"
        )
    if result == tuple(side // scale for side in original):
        return "it seems to be the small picture itself, which is not enlarged yet"
    if result == tuple(-(-side // scale) * scale for side in original):
        return (
            "its original seems not cropped before it was made small; crop it to multiples of "
            f"{scale} first"
        )
    for other in (2, 3, 4):
        if other != scale and result == tuple(side // scale * other for side in original):
            return f"it seems enlarged by {other} where scale is {scale}"
        if other != scale and result == tuple(side - side % other for side in original):
            return f"it seems made for scale {other}; give scale={other}"
    narrower = {whole - side for whole, side in zip(cropped, result, strict=True)}
    if len(narrower) == 1 and 0 < (frame := narrower.pop()) <= 64 and frame % 2 == 0:
        return (
            f"its edges seem cut off, {frame // 2} pixels each, as networks without padding do; "
            "give originals that are cut alike"
        )
    return "its original seems resized, or another picture; give the originals it was made of"


def _grey_of_colour(name: str, of_result: str, made: Plane) -> Plane:
    if not (made == made[..., :1]).all():
        raise ImageError(
            f"{of_result} is in colour and its original {name} grey; give the result in grey"
        )
    return np.ascontiguousarray(made[..., 0])


def _is_luma(name: str, target: Plane, of_result: str, made: Plane) -> bool:
    """Whether a grey result of a colour original is its luma; else the original holds only grey.

    Raises:
        ImageError: it is grey of another kind.
    """
    if (target == target[..., :1]).all():
        return False
    cropped = target[: made.shape[0], : made.shape[1]]
    image = Image.fromarray(cropped)
    as_luma, as_grey = (
        float(np.mean(np.square(made.astype(np.float64) - plane)))
        for plane in (luma(image), np.asarray(image.convert("L")))
    )
    if as_grey < as_luma:
        raise ImageError(
            f"{of_result} is grey over 0..255 and its original {name} in colour; save it in "
            "colour, or as luma over 16..235, or give grey originals"
        )
    return True
