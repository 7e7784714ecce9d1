"""What each choice of a protocol is worth: one at a time, and step by step to another's."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from srcnn_mlflow.measuring.protocols import (
    BT601_OF_YJN870,
    MAKING,
    MEASURING,
    OURS,
    Luma,
    Protocol,
)
from srcnn_mlflow.measuring.scoring import Average, Bench, Mark, Subject, average
from srcnn_mlflow.pictures.kernels import MATLAB, OPENCV, PILLOW

_LUMA_OF_JPEG = Luma((0.299, 0.587, 0.114), 0.0)

# In words, each value that is not this project's.
_WORDS: Mapping[tuple[str, Any], str] = {
    ("originals", "resized"): "originals resized, not cropped",
    ("multiple", "12"): "sides cropped to multiples of 12",
    ("channels", "rgb"): "red, green and blue, not luma",
    ("luma", Luma(BT601_OF_YJN870, 16.0)): "luma by 64.738, 129.057, 25.064 of 256",
    ("luma", _LUMA_OF_JPEG): "luma by 0.299, 0.587, 0.114 over 0..255, as in JPEG",
    ("grey", "rgb"): "grey turned into red, green and blue",
    ("rounded", False): "not rounded to 8 bits",
    ("border", "none"): "no border left out",
    ("border", "scale+6"): "a border of the scale and 6 left out",
    ("peak", "range"): "peak: the range of the original",
    ("average", "pixels"): "decibels of the mean error of all pixels",
    ("ssim", False): "no SSIM",
    ("window", "flat"): "SSIM in flat windows of 7x7",
    ("covariance", "sample"): "SSIM with sample covariance",
    ("edges", "mirror"): "SSIM with mirrored edges",
    ("ssim_peak", "range"): "peak of SSIM: the range of both",
    ("resized", "picture"): "bicubic of the colour picture, not of luma",
    ("kernel", MATLAB): "bicubic of MATLAB (mirrored edges)",
    ("kernel", OPENCV): "bicubic of OpenCV (a = -0.75, no antialias)",
    ("kernel", replace(PILLOW, antialias=False)): "bicubic without antialias",
    ("kernel", replace(PILLOW, sharpness=-0.75)): "bicubic with a = -0.75",
    ("kept", "nothing"): "small picture not rounded to 8 bits",
    ("kept", "both"): "small and large picture rounded to 8 bits",
    ("kept", "each-direction"): "both rounded to 8 bits after each direction, as Pillow does",
}


@dataclass(frozen=True)
class Step:
    """What a choice adds to a score.

    Attributes:
        choice: in words.
        psnr: in dB; None where it cannot be measured.
        ssim: the same; None also where one of both protocols has none.
    """

    choice: str
    psnr: float | None
    ssim: float | None


@dataclass(frozen=True)
class Way:
    """From this project's protocol to another, a choice after the other.

    Attributes:
        start: the score under this project's.
        steps: in their order; they sum to the distance.
        end: the score under the other.
    """

    start: Average
    steps: tuple[Step, ...]
    end: Average

    @property
    def sum(self) -> Step:
        """The whole distance."""
        return step_between("in sum", self.start, self.end)


class Tally:
    """The scores of a set of pictures under every protocol that was asked for."""

    def __init__(
        self, subject: Subject, protocols: Sequence[Protocol], *, one_at_a_time: bool = True
    ) -> None:
        """Take what to score.

        Args:
            subject: whose pictures.
            protocols: under which, and under all on the way to them from this project's.
            one_at_a_time: also under this project's with a single choice changed.
        """
        self.subject = subject
        wanted = [one for end in protocols for one in _on_the_way(end, self.fields)]
        if one_at_a_time:
            wanted += [replace(OURS, **{name: value}) for name, value in self._choices()]
        # Those of the same planes follow each other, so that these need not be made again.
        unique = {self._reduced(one): None for one in (OURS, *protocols, *wanted)}
        self._marks: dict[Protocol, list[Mark | None]] = {
            one: [] for one in sorted(unique, key=_planes_first)
        }

    @property
    def fields(self) -> tuple[str, ...]:
        """The choices that there are: of a finished result, how it was made is none."""
        return MEASURING if self.subject is Subject.RESULT else (*MEASURING, *MAKING)

    def add(self, bench: Bench) -> None:
        """Score a picture under every protocol."""
        self.take(self.score(bench))

    def score(self, bench: Bench) -> list[Mark | None]:
        """A picture's scores under every protocol, for `take`; may run in several threads."""
        return [bench.mark(self.subject, protocol) for protocol in self._marks]

    def take(self, scores: Sequence[Mark | None]) -> None:
        """Add what `score` has given of a picture."""
        for marks, mark in zip(self._marks.values(), scores, strict=True):
            marks.append(mark)

    def average(self, protocol: Protocol) -> Average | None:
        """The score under a protocol; None where it cannot be measured on every picture."""
        reduced = self._reduced(protocol)
        return average(self._marks[reduced], reduced)

    def marks(self, protocol: Protocol) -> list[Mark | None]:
        """The scores under a protocol, picture by picture."""
        return self._marks[self._reduced(protocol)]

    def one_at_a_time(self) -> list[Step]:
        """What each choice is worth by itself, from this project's protocol."""
        start = self.average(OURS)
        changed = ((name, value, replace(OURS, **{name: value})) for name, value in self._choices())
        return [
            step_between(_WORDS[name, value], start, self.average(one))
            for name, value, one in changed
        ]

    def way(self, end: Protocol) -> Way | None:
        """The way to another protocol; None where this project's or that cannot be measured."""
        stations = _on_the_way(end, self.fields)
        averages = [self.average(one) for one in stations]
        start, last = averages[0], self.average(end)
        if start is None or last is None:
            return None
        named = [
            ", ".join(in_words(after, before, self.fields)) for before, after in pairwise(stations)
        ]
        steps = zip(named, pairwise(averages), strict=True)
        return Way(start, tuple(step_between(words, *both) for words, both in steps), last)

    def _choices(self) -> Iterator[tuple[str, Any]]:
        for name, value in _WORDS:
            if name in self.fields and name != "ssim":
                yield name, value

    def _reduced(self, protocol: Protocol) -> Protocol:
        return protocol.only(self.fields)


def step_between(choice: str, start: Average | None, end: Average | None) -> Step:
    """The distance from a score to another; none in dB where one has no error at all."""
    if start is None or end is None:
        return Step(choice, None, None)
    psnr = end.psnr - start.psnr
    ssim = None if start.ssim is None or end.ssim is None else end.ssim - start.ssim
    return Step(choice, psnr if math.isfinite(psnr) else None, ssim)


def in_words(protocol: Protocol, start: Protocol, fields: tuple[str, ...]) -> list[str]:
    """In what a protocol differs from another, in words."""
    return [
        _WORDS[name, getattr(protocol, name)]
        for name in fields
        if getattr(protocol, name) != getattr(start, name)
    ]


def _on_the_way(end: Protocol, fields: tuple[str, ...]) -> list[Protocol]:
    """From this project's protocol to another, a field at a time."""
    stations = [OURS]
    for name in fields:
        # That another has no SSIM changes nothing of what is measured.
        if name != "ssim" and getattr(end, name) != getattr(OURS, name):
            stations.append(replace(stations[-1], **{name: getattr(end, name)}))
    return stations


def _planes_first(protocol: Protocol) -> str:
    return repr([getattr(protocol, name) for name in (*MAKING, *MEASURING)])
