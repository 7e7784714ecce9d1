"""How the samples of a TIFF file lie, and which decoder can be trusted with them.

Pillow misreads some layouts without an error, and knows no more than 8 bits of colour. What each
decoder makes of a grid of layouts is held against a second reader by the tests.
"""

from dataclasses import dataclass
from typing import Any, BinaryIO

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from srcnn_mlflow.machine.errors import ImageError

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# TIFF 6.0: tags, and what their values mean.
_WIDTH, _LENGTH, _BITS, _PHOTOMETRIC = 256, 257, 258, 262
_SAMPLES, _PLANAR, _EXTRA_SAMPLES, _SAMPLE_FORMAT = 277, 284, 338, 339
_DEPTH, _DNG_VERSION = 32997, 50706
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB = 0, 1, 2, 3, 5, 6, 8
_SEPARATE = 2
_ASSOCIATED, _UNASSOCIATED = 1, 2
_COLOURS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3}
# Samples that are not unsigned numbers, and not of an unknown kind.
_FORMATS = {
    2: "signed {0}-bit integers",
    3: "{0}-bit floating point numbers",
    5: "complex numbers",
    6: "complex numbers",
}
_KINDS = {_CMYK: "CMYK", _YCBCR: "luma and chroma", _LAB: "CIE L*a*b*", _PALETTE: "a palette"}


@dataclass(frozen=True)
class TiffLayout:
    """The samples of a TIFF file's first page, as its tags claim them.

    Attributes:
        width: in pixels.
        height: in pixels.
        bits: a sample.
        photometric: what a sample means (TIFF 6.0, tag 262).
        samples: a pixel.
        separate: whether each sample has a plane of its own.
        extra: what the samples beyond those of colour are (tag 338).
        more_pages: whether other pages follow.
    """

    width: int
    height: int
    bits: int
    photometric: int
    samples: int
    separate: bool
    extra: tuple[int, ...]
    more_pages: bool

    @property
    def grey(self) -> bool:
        """Whether its samples are levels of grey."""
        return _COLOURS.get(self.photometric) == 1

    @property
    def by_pillow(self) -> bool:
        """Whether Pillow decodes it rightly; otherwise it is `decode_tiff`'s."""
        if self.photometric not in _COLOURS or self.bits not in (8, 16):
            return True
        inverted = self.photometric == _WHITE_IS_ZERO and (self.extra or self.bits == 16)
        return self.bits == 8 and not self.separate and len(self.extra) <= 1 and not inverted


def read_layout(file: BinaryIO, name: str) -> TiffLayout:
    """Read how the first page of a TIFF file lies.

    Args:
        file: at any place.
        name: of the picture, for messages.

    Raises:
        ImageError: its samples have no meaning in 8 or 16 bits, or no decoder reads them rightly.
        Exception: of Pillow's, where the file is damaged.
    """
    file.seek(0)
    header = file.read(8)
    if header[:4] in SIGNATURES[2:]:
        header += file.read(8)
    tags = ImageFileDirectory_v2(header)
    file.seek(tags.next)
    tags.load(file)
    layout = _layout(tags)
    reason = _refusal(layout, tags)
    if reason:
        raise ImageError(f"{name} is a TIFF file that {reason}")
    return layout


def _layout(tags: ImageFileDirectory_v2) -> TiffLayout:
    photometric, samples = int(tags.get(_PHOTOMETRIC, 0)), int(tags.get(_SAMPLES, 1))
    known = {**_COLOURS, _PALETTE: 1, _CMYK: 4, _YCBCR: 3, _LAB: 3}.get(photometric, samples)
    extra = tags.get(_EXTRA_SAMPLES, ())
    extra = tuple(extra) if isinstance(extra, tuple) else (extra,)
    return TiffLayout(
        int(tags[_WIDTH]),
        int(tags[_LENGTH]),
        int(max(tags.get(_BITS, (1,)))),
        photometric,
        samples,
        tags.get(_PLANAR, 1) == _SEPARATE and samples > 1,
        # What a file does not say of its surplus samples is not known.
        (extra + (0,) * samples)[: max(0, samples - known)],
        bool(tags.next),
    )


def _refusal(layout: TiffLayout, tags: ImageFileDirectory_v2) -> str:
    """Why a layout is not read; empty where it is."""
    again = "save it as RGB or grey with 8 or 16 bits a channel"
    formats = [kind for kind in tags.get(_SAMPLE_FORMAT, ()) if kind in _FORMATS]
    if formats:
        return f"holds {_FORMATS[formats[0]].format(layout.bits)}; {again}"
    if len(set(tags.get(_BITS, (1,)))) > 1:
        return f"holds samples of differing depth; {again}"
    if _DNG_VERSION in tags:
        return "is a camera's raw data; develop it first"
    if tags.get(_DEPTH, 1) != 1:
        return f"holds a volume, not a picture; {again}"
    if layout.photometric not in {*_COLOURS, *_KINDS}:
        return f"holds pixels of another meaning (photometric {layout.photometric}); {again}"
    if layout.bits > 16:
        return f"holds {layout.bits}-bit integers; {again}"
    if layout.photometric in _COLOURS:
        if layout.photometric == _WHITE_IS_ZERO and _ASSOCIATED in layout.extra:
            return f"holds ink of which its transparency is a part; {again}"
        if layout.samples < _COLOURS[layout.photometric]:
            return f"has {layout.samples} of 3 colours; {again}"
        if layout.bits in (8, 16) or (layout.samples == 1 and layout.bits in (1, 2, 4, 12)):
            return ""
        return f"holds samples of {layout.bits} bits; {again}"
    deep = layout.bits > 8 and (layout.photometric != _CMYK or layout.separate)
    if deep or (layout.photometric == _CMYK and set(layout.extra) & {_ASSOCIATED, _UNASSOCIATED}):
        transparent = " with transparency" if layout.extra else ""
        kind = _KINDS[layout.photometric]
        return f"holds {kind} in {layout.bits} bits{transparent}; {again}"
    return ""


def decode_tiff(contents: bytes, layout: TiffLayout) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Decode the first page of grey or RGB samples of 8 or 16 bits.

    Args:
        contents: a TIFF file.
        layout: of it.

    Returns:
        uint8 or uint16 of shape (height, width, 1 to 4): black is 0, alpha is not multiplied in,
        and samples of no known meaning are left out.

    Raises:
        ValueError: it is damaged.
    """
    samples = imagecodecs.tiff_decode(contents)
    if layout.separate:
        samples = np.moveaxis(samples, 0, -1)
    samples = samples.reshape((*samples.shape[:2], -1))
    if samples.shape != (layout.height, layout.width, layout.samples):
        raise ValueError("its samples are not as many as its header says")
    if samples.dtype != (np.uint8 if layout.bits == 8 else np.uint16):
        raise ValueError("its samples are not as deep as its header says")
    colours = samples[..., : _COLOURS[layout.photometric]]
    if layout.photometric == _WHITE_IS_ZERO:
        colours = np.iinfo(samples.dtype).max - colours
    for number, kind in enumerate(layout.extra):
        if kind in (_ASSOCIATED, _UNASSOCIATED):
            alpha = samples[..., colours.shape[-1] + number, None]
            if kind == _ASSOCIATED:
                colours = _unmultiplied(colours, alpha)
            return np.concatenate([colours, alpha], axis=-1)
    return np.ascontiguousarray(colours)


def _unmultiplied(colours: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """Divide colours by their alpha, rounded; what is fully transparent becomes black."""
    white = np.iinfo(colours.dtype).max
    whole = colours.astype(np.uint32) * white + alpha // 2
    levels = np.minimum(whole // np.maximum(alpha, 1), white) * (alpha > 0)
    unmultiplied: NDArray[Any] = levels.astype(colours.dtype)
    return unmultiplied
