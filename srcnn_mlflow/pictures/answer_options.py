"""What a request may ask of a served model beside its pictures: the `params` of its signature."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from srcnn_mlflow.pictures.formats import FORMATS, PNG, PictureFormat

RAISE, TELL = "raise", "tell"
# Of the signature, with their defaults; quality 0 is the usual one of a format.
PARAMS = {"format": PNG.name, "quality": 0, "on_error": RAISE}


@dataclass(frozen=True)
class AnswerOptions:
    """How a request is answered.

    Attributes:
        form: of the answer's pictures.
        quality: of formats that lose something, 1 to 100; None for the usual one.
        tell: whether a picture that cannot be used is a row with its reason.
    """

    form: PictureFormat = PNG
    quality: int | None = None
    tell: bool = False


def read_options(params: Mapping[str, Any] | None) -> AnswerOptions:
    """Take the params of a request; each that is left out has its default.

    Raises:
        ValueError: one is unknown or of no use, in a sentence.
    """
    given = {**PARAMS, **(params or {})}
    form, quality, on_error = (given[name] for name in PARAMS)
    if not isinstance(form, str) or form not in FORMATS:
        raise ValueError(f"format is none of {', '.join(FORMATS)}; give one of them")
    if isinstance(quality, bool) or not isinstance(quality, int) or not 0 <= quality <= 100:
        raise ValueError("quality is no whole number from 1 to 100; give one, or leave it out")
    if on_error not in (RAISE, TELL):
        raise ValueError(f"on_error is neither {RAISE} nor {TELL}; give one of them")
    chosen = FORMATS[form]
    if quality and chosen.quality is None:
        raise ValueError(f"quality is {quality}, and {form} loses nothing; leave it out")
    return AnswerOptions(chosen, quality or None, on_error == TELL)
