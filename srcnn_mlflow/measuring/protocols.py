"""Protocols by name: every choice that stands between a picture and its score, one field each."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from srcnn_mlflow.pictures.kernels import MATLAB, PILLOW, Kernel

Weights = tuple[float, float, float]

BT601: Weights = (65.481 / 255, 128.553 / 255, 24.966 / 255)
BT601_OF_YJN870: Weights = (64.738 / 256, 129.057 / 256, 25.064 / 256)


@dataclass(frozen=True)
class Luma:
    """How luma is made of red, green and blue.

    Attributes:
        weights: of each, in grey levels a level.
        black: luma of black.
    """

    weights: Weights
    black: float


@dataclass(frozen=True)
class Protocol:
    """How a result is held against its original, and how small pictures are made of originals.

    The first fields say what is measured, and hold of any result; `resized`, `kernel` and `kept`
    say how pictures come about, and hold only of what is made anew: bicubic's, or a network's.

    Attributes:
        originals: those whose sides are no multiples of the scale are cropped to them, or resized
            to them by Pillow's bicubic.
        multiple: that sides are cropped to: the scale, or 12.
        channels: luma alone, or red, green and blue together.
        luma: of colour.
        grey: a grey picture is its own luma, or is turned into red, green and blue first.
        rounded: whether luma, and what a network gives, is rounded to 8 bits.
        border: pixels left out along each edge: the scale, none, or the scale and six.
        peak: of PSNR: 255, or the range of the original's own levels.
        average: mean of the pictures' decibels, or decibels of the mean error of all pixels.
        ssim: whether there is any.
        window: of SSIM: Gaussian of 11 pixels and sigma 1.5, or flat of 7 pixels.
        covariance: of SSIM: of a population, or of a sample.
        edges: where the windows of SSIM reach beyond the picture: left out, or the picture is
            mirrored there.
        ssim_peak: 255, or the larger range of both pictures' own levels.
        resized: the planes that are measured, or the colour picture, of which luma is then taken.
        kernel: of bicubic.
        kept: what is rounded to 8 bits when pictures are made: nothing, the small picture, the
            small and the large one, or both after each direction.
    """

    originals: Literal["cropped", "resized"] = "cropped"
    multiple: Literal["scale", "12"] = "scale"
    channels: Literal["luma", "rgb"] = "luma"
    luma: Luma = Luma(BT601, 16.0)
    grey: Literal["itself", "rgb"] = "itself"
    rounded: bool = True
    border: Literal["scale", "none", "scale+6"] = "scale"
    peak: Literal["255", "range"] = "255"
    average: Literal["pictures", "pixels"] = "pictures"
    ssim: bool = True
    window: Literal["gaussian", "flat"] = "gaussian"
    covariance: Literal["population", "sample"] = "population"
    edges: Literal["inside", "mirror"] = "inside"
    ssim_peak: Literal["255", "range"] = "255"
    resized: Literal["planes", "picture"] = "planes"
    kernel: Kernel = PILLOW
    kept: Literal["nothing", "small", "both", "each-direction"] = "small"

    def only(self, names: tuple[str, ...]) -> "Protocol":
        """The same in these fields, and this project's protocol in all others."""
        return replace(OURS, **{name: getattr(self, name) for name in names})

    def pixels_left_out(self, scale: int) -> int:
        """Width of the border."""
        return {"scale": scale, "none": 0, "scale+6": scale + 6}[self.border]


OURS = Protocol()
TARGET = ("originals", "multiple")
PLANES = (*TARGET, "channels", "luma", "grey", "rounded")
MAKING = ("resized", "kernel", "kept")
MEASURING = tuple(name for name in Protocol.__dataclass_fields__ if name not in MAKING)
OF_PSNR = (*PLANES, "border", "peak")
OF_SSIM = (*PLANES, "border", "ssim", "window", "covariance", "edges", "ssim_peak")

_BASICSR = replace(OURS, rounded=False, grey="rgb", resized="picture", kernel=MATLAB, kept="both")
# Their files hold 8 bits, and grey in three channels scores as grey does.
_BASICSR_RGB = replace(_BASICSR, channels="rgb", rounded=True, grey="itself")

# What this project's own is called.
OWN = "srcnn-mlflow"

NAMED: Mapping[str, Protocol] = {
    OWN: OURS,
    "paper": replace(OURS, kernel=MATLAB, kept="nothing"),
    "yjn870": replace(
        OURS,
        originals="resized",
        luma=Luma(BT601_OF_YJN870, 16.0),
        grey="rgb",
        rounded=False,
        border="none",
        ssim=False,
        resized="picture",
        kept="each-direction",
    ),
    "lornatang": replace(_BASICSR, kept="nothing"),
    "basicsr": _BASICSR,
    "basicsr-rgb": _BASICSR_RGB,
    "mmagic": _BASICSR_RGB,
    "scikit-image": replace(
        OURS, channels="rgb", border="none", window="flat", covariance="sample"
    ),
    "torchmetrics": replace(
        OURS, channels="rgb", border="none", average="pixels", edges="mirror", ssim_peak="range"
    ),
}

# Where each comes from, and what to know of it.
SOURCES: Mapping[str, str] = {
    OWN: "docs/protocol.md of this project.",
    "paper": (
        "Dong et al., TPAMI 2016, whose MATLAB code keeps the small picture in floating point; "
        "results are measured as this project measures them."
    ),
    "yjn870": (
        "yjn870/SRCNN-pytorch, commit 064dbaa: prepare.py --eval, and calc_psnr as train.py calls "
        "it. It has no SSIM. What its test.py prints is not this: it holds the result against "
        "bicubic, not against the original."
    ),
    "lornatang": (
        "Lornatang/SRCNN-PyTorch, commit a0a108e: test.py, with psnr and ssim of "
        "image_quality_assessment.py on luma."
    ),
    "basicsr": (
        "XPixelGroup/BasicSR, commit 8d56e3a: calculate_psnr and calculate_ssim with "
        "crop_border=scale and test_y_channel=True."
    ),
    "basicsr-rgb": "The same with test_y_channel=False, which is the default and in most options.",
    "mmagic": (
        "open-mmlab/mmagic, commit 0a560bb: psnr and ssim with crop_border=scale on red, green and "
        "blue, as configs/srcnn has them."
    ),
    "scikit-image": (
        "scikit-image 0.26: peak_signal_noise_ratio and structural_similarity with their defaults "
        "on 8-bit pictures as they are read, channel_axis=-1 for colour."
    ),
    "torchmetrics": (
        "torchmetrics 1.9: PeakSignalNoiseRatio(data_range=1.0), which pools the error of all "
        "pictures, and StructuralSimilarityIndexMeasure(), on pictures in 0..1, each an update."
    ),
}
