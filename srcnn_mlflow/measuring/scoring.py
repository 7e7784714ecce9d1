"""One picture under any protocol: its planes, its error and its SSIM."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from srcnn_mlflow.measuring.metrics import PEAK, SSIM_WINDOW, decibels, structural
from srcnn_mlflow.measuring.protocols import (
    MAKING,
    MEASURING,
    OF_PSNR,
    OF_SSIM,
    OURS,
    PLANES,
    TARGET,
    Protocol,
)
from srcnn_mlflow.pictures import imaging
from srcnn_mlflow.pictures.imaging import FloatPlane
from srcnn_mlflow.pictures.kernels import FloatPlanes, resize

# uint8 of shape (height, width) or (height, width, 3).
Eight = NDArray[np.uint8]
# Makes what bicubic has enlarged, float32 in 0..255, sharper: a plane, (height, width); or, of
# networks on colours, also red, green and blue, (3, height, width).
Sharpen = Callable[[FloatPlane], FloatPlane]


class Subject(Enum):
    """What is looked at."""

    ORIGINAL = "original"
    RESULT = "result"
    BICUBIC = "bicubic"
    NETWORK = "network"


@dataclass(frozen=True)
class Mark:
    """A picture's score.

    Attributes:
        psnr: in dB.
        ssim: None where the protocol has none.
        mse: in squared grey levels.
        levels: how many were compared.
        peak: of PSNR, in grey levels.
    """

    psnr: float
    ssim: float | None
    mse: float
    levels: int
    peak: float


@dataclass(frozen=True)
class Average:
    """The score of several pictures: PSNR in dB, and SSIM where the protocol has it."""

    psnr: float
    ssim: float | None


def average(marks: Sequence[Mark | None], protocol: Protocol) -> Average | None:
    """Average over pictures as a protocol does; None where it cannot measure one of them."""
    known = [mark for mark in marks if mark is not None]
    if len(known) < len(marks) or not known:
        return None
    if protocol.average == "pictures":
        psnr = float(np.mean([mark.psnr for mark in known]))
    else:
        error = sum(mark.mse * mark.levels for mark in known) / sum(mark.levels for mark in known)
        psnr = decibels(error, max(mark.peak for mark in known))
    ssims = [mark.ssim for mark in known if mark.ssim is not None]
    return Average(psnr, float(np.mean(ssims)) if len(ssims) == len(known) else None)


class Bench:
    """A picture on which protocols are tried, each plane and each number made once."""

    def __init__(
        self,
        original: Eight,
        scale: int,
        result: Eight | None = None,
        result_is_luma: bool = False,
        sharpen: Sharpen | None = None,
        on_colours: bool = False,
    ) -> None:
        """Take a picture.

        Args:
            original: in colour or grey.
            scale: 2, 3 or 4.
            result: of the size of the cropped original.
            result_is_luma: the result is the luma of a colour picture, without its colour.
            sharpen: a network.
            on_colours: it works on red, green and blue, and not on luma alone.
        """
        self._original, self._scale = original, scale
        self._result, self._result_is_luma = result, result_is_luma
        self._sharpen, self._on_colours = sharpen, on_colours
        # Planes are large, and few are needed at a time; numbers are all kept.
        self._target = lru_cache(2)(self._make_target)
        self._made = lru_cache(2)(self._make)
        self._planes = lru_cache(3)(self._make_planes)
        self._error = cache(self._measure_error)
        self._similarity = cache(self._measure_similarity)

    def mark(self, subject: Subject, protocol: Protocol) -> Mark | None:
        """Score the result, or what is made anew as the protocol makes it.

        Returns:
            None where the protocol asks for what the result does not hold, or leaves no room for
            a window of SSIM.
        """
        if subject is Subject.RESULT:
            protocol = protocol.only(MEASURING)
            in_luma = (protocol.channels, protocol.luma) == ("luma", OURS.luma)
            if self._result_is_luma and not in_luma:
                return None
        height, width = self._target(protocol.only(TARGET)).shape[:2]
        if min(height, width) - 2 * protocol.pixels_left_out(self._scale) < SSIM_WINDOW:
            return None
        error, levels, peak = self._error(subject, protocol.only((*OF_PSNR, *MAKING)))
        ssim = None
        if protocol.ssim:
            ssim = self._similarity(subject, protocol.only((*OF_SSIM, *MAKING)))
        return Mark(decibels(error, peak), ssim, error, levels, peak)

    def _measure_error(self, subject: Subject, protocol: Protocol) -> tuple[float, int, float]:
        target, made = self._compared(subject, protocol)
        peak = PEAK if protocol.peak == "255" else float(np.ptp(target))
        return float(np.mean(np.square(made - target))), target.size, peak

    def _measure_similarity(self, subject: Subject, protocol: Protocol) -> float:
        target, made = self._compared(subject, protocol)
        peak = PEAK
        if protocol.ssim_peak == "range":
            peak = max(float(np.ptp(target)), float(np.ptp(made)))
        values = [
            structural(
                one,
                other,
                peak=peak,
                gaussian=protocol.window == "gaussian",
                sample_covariance=protocol.covariance == "sample",
                mirror=protocol.edges == "mirror",
            )
            for one, other in zip(_bands(target), _bands(made), strict=True)
        ]
        return float(np.mean(values))

    def _compared(self, subject: Subject, protocol: Protocol) -> tuple[FloatPlanes, FloatPlanes]:
        """What is measured of the original and of the subject, inside the border."""
        border = protocol.pixels_left_out(self._scale)
        target = self._planes(Subject.ORIGINAL, protocol.only(PLANES))
        made = self._planes(subject, protocol.only((*PLANES, *MAKING)))
        return _inside(target, border), _inside(made, border)

    def _make_planes(self, subject: Subject, protocol: Protocol) -> FloatPlanes:
        target = self._target(protocol.only(TARGET))
        if subject is Subject.ORIGINAL:
            return measured_planes(target, protocol)
        if subject is Subject.RESULT:
            assert self._result is not None
            result = self._result[: target.shape[0], : target.shape[1]]
            if self._result_is_luma:
                return result.astype(np.float64)
            return measured_planes(result, protocol)
        in_colour = target.ndim == 3 or protocol.grey == "rgb"
        if subject is Subject.NETWORK and self._on_colours and in_colour:
            return self._sharpened_colours(protocol)
        large = self._made(protocol.only((*PLANES, *MAKING)))
        if subject is Subject.NETWORK:
            assert self._sharpen is not None
            large = _sharpened(large, protocol, self._sharpen)
        elif protocol.resized == "picture":
            large = measured_planes(large, protocol)
        return _eight_bit(large) if protocol.rounded else large

    def _sharpened_colours(self, protocol: Protocol) -> FloatPlanes:
        """What is measured of a network on colours, which sees these whatever is measured."""
        assert self._sharpen is not None
        of_picture = replace(protocol, resized="picture")
        large = self._made(of_picture.only((*PLANES, *MAKING)))
        planes = np.ascontiguousarray(np.moveaxis(large, 2, 0), np.float32)
        sharp = np.moveaxis(self._sharpen(planes), 0, 2).astype(np.float64)
        made = _eight_bit(sharp).astype(np.uint8) if protocol.rounded else sharp
        return measured_planes(made, protocol)

    def _make(self, protocol: Protocol) -> FloatPlanes:
        """Bicubic, down and up again."""
        source: NDArray[Any] = self._target(protocol.only(TARGET))
        if protocol.resized == "planes":
            source = self._planes(Subject.ORIGINAL, protocol.only(PLANES))
        elif protocol.grey == "rgb":
            source = _in_colour(source)
        height, width = source.shape[:2]
        each = protocol.kept == "each-direction"
        sizes = (height // self._scale, width // self._scale), (height, width)
        small = resize(source, *sizes[0], protocol.kernel, each)
        if protocol.kept in ("small", "both"):
            small = _eight_bit(small)
        large = np.clip(resize(small, *sizes[1], protocol.kernel, each), 0, 255)
        return _eight_bit(large) if protocol.kept == "both" else large

    def _make_target(self, protocol: Protocol) -> Eight:
        """The original, cropped or resized to a multiple."""
        multiple = self._scale if protocol.multiple == "scale" else int(protocol.multiple)
        height, width = (side - side % multiple for side in self._original.shape[:2])
        if protocol.originals == "resized":
            image = Image.fromarray(self._original)
            return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))
        return self._original[:height, :width]


def measured_planes(pixels: NDArray[Any], protocol: Protocol) -> FloatPlanes:
    """What a protocol looks at in a picture.

    Args:
        pixels: levels 0..255 of shape (height, width) or (height, width, 3).
        protocol: says what.

    Returns:
        float64 of shape (height, width), or (height, width, 3) for red, green and blue.
    """
    if protocol.channels == "rgb" or (pixels.ndim == 2 and protocol.grey == "itself"):
        return pixels.astype(np.float64)
    colour = _in_colour(pixels)
    if protocol.rounded and protocol.luma == OURS.luma and colour.dtype == np.uint8:
        # In whole numbers, as everywhere in this project.
        return imaging.luma(Image.fromarray(colour)).astype(np.float64)
    plane: FloatPlanes = colour @ np.array(protocol.luma.weights) + protocol.luma.black
    return _eight_bit(plane) if protocol.rounded else plane


def _sharpened(large: FloatPlanes, protocol: Protocol, sharpen: Sharpen) -> FloatPlanes:
    """Run a network over what bicubic has enlarged, as the protocol measures it.

    A network works on luma alone; in colour, what it changes there is added to red, green and blue
    alike, as `upscale` does.
    """
    luma = measured_planes(large, replace(protocol, channels="luma", rounded=False))
    if protocol.resized == "planes" and protocol.channels == "luma":
        luma = large
    sharp = sharpen(luma.astype(np.float32)).astype(np.float64)
    if large.ndim == 2 or protocol.channels == "luma":
        return sharp
    return np.clip(large + (sharp - luma)[..., None] * imaging.RGB_PER_LUMA, 0, 255)


def _in_colour(pixels: NDArray[Any]) -> NDArray[Any]:
    return np.stack([pixels] * 3, axis=-1) if pixels.ndim == 2 else pixels


def _eight_bit(planes: FloatPlanes) -> FloatPlanes:
    return np.clip(np.rint(planes), 0, 255)


def _inside(planes: FloatPlanes, border: int) -> FloatPlanes:
    height, width = planes.shape[:2]
    return planes[border : height - border, border : width - border]


def _bands(planes: FloatPlanes) -> list[FloatPlanes]:
    return [planes] if planes.ndim == 2 else list(np.moveaxis(planes, 2, 0))
