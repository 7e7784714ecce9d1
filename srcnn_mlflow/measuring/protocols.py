"""Protocols by name: every choice that stands between a picture and its score, one field each."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from srcnn_mlflow.pictures.kernels import Kernel

BT601 = (65.481 / 255, 128.553 / 255, 24.966 / 255)

KEYS = Kernel(-0.5, antialias=True, edges="nothing")
MATLAB = Kernel(-0.5, antialias=True, edges="mirror")
OPENCV = Kernel(-0.75, antialias=False, edges="repeat")


@dataclass(frozen=True)
class Protocol:
    """How a result is held against its original, and how small pictures are made of originals.

    The first fields say what is measured, and hold of any result; from `resized` on they say how
    pictures come about, and hold only of what is made anew: bicubic's, or a given network's.

    Attributes:
        originals: whose sides are no multiples of the scale: cropped to them, or resized to them by
            Pillow's bicubic.
        channels: luma alone, or red, green and blue together.
        luma: weights of red, green and blue, in grey levels a level.
        offset: luma of black.
        grey: a grey picture is its own luma, or is turned into red, green and blue first.
        rounded: whether luma, and what a network gives, is rounded to 8 bits before it is compared.
        border: pixels left out along each edge: as many as the scale, none, or as many as the
            scale and 6.
        multiple: of what sides are cropped to multiples: the scale, or 12.
        peak: of PSNR: 255, or the range of the original's own levels.
        average: mean of the pictures' decibels, or decibels of the mean error of all pixels.
        ssim: whether there is any.
        window: of SSIM: Gaussian of 11 pixels and sigma 1.5, or flat of 7 pixels.
        covariance: of SSIM: of a population, or of a sample.
        ssim_edges: where windows reach beyond the edge, they are left out; or the picture is
            mirrored there.
        ssim_peak: 255, or the larger range of both pictures' own levels.
        resized: the planes that are measured, or the colour picture, of which luma is then taken.
        kernel: of bicubic.
        sampling: what is rounded to 8 bits when pictures are made: nothing, the small picture,
            the small one and the large one, or both, after each direction.
    """

    originals: Literal["cropped", "resized"] = "cropped"
    channels: Literal["luma", "rgb"] = "luma"
    luma: tuple[float, float, float] = BT601
    offset: float = 16.0
    grey: Literal["itself", "rgb"] = "itself"
    rounded: bool = True
    border: Literal["scale", "none", "scale+6"] = "scale"
    multiple: Literal["scale", "12"] = "scale"
    peak: Literal["255", "range"] = "255"
    average: Literal["pictures", "pixels"] = "pictures"
    ssim: bool = True
    window: Literal["gaussian", "flat"] = "gaussian"
    covariance: Literal["population", "sample"] = "population"
    ssim_edges: Literal["inside", "mirror"] = "inside"
    ssim_peak: Literal["255", "range"] = "255"
    resized: Literal["planes", "picture"] = "planes"
    kernel: Kernel = KEYS
    sampling: Literal["none", "small", "both", "each-direction"] = "small"

    def border_of(self, scale: int) -> int:
        """Pixels left out along each edge."""
        return {"scale": scale, "none": 0, "scale+6": scale + 6}[self.border]


OURS = Protocol()

_YJN870 = Protocol(
    originals="resized",
    luma=(64.738 / 256, 129.057 / 256, 25.064 / 256),
    grey="rgb",
    rounded=False,
    border="none",
    ssim=False,
    resized="picture",
    sampling="each-direction",
)
_UNROUNDED = Protocol(rounded=False, grey="rgb", resized="picture", kernel=MATLAB)
_RGB = Protocol(channels="rgb")
