"""Run a trained network over a picture of any size: evaluation, `upscale` and serving alike."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

from srcnn_mlflow.machine.errors import ModelError
from srcnn_mlflow.machine.processors import available_cores
from srcnn_mlflow.pictures.imaging import (
    RGB_PER_LUMA,
    FloatPlane,
    Plane,
    assemble,
    enlarge,
    enlarge_plane,
    in_eight_bit_levels,
    luma_of,
    to_eight_bit,
    upscale,
)
from srcnn_mlflow.pictures.picture import Picture

TILE = 512
# How many planes networks on these channels take and give.
_PLANES = {"y": 1, "ycbcr": 3, "rgb": 3}
# What red and blue are of BT.601's luma; the rest is green.
_RED, _BLUE = np.float32(65.481 / 219), np.float32(24.966 / 219)
# Rows and columns of a plane.
Area = tuple[slice, slice]


@dataclass(frozen=True)
class _Network:
    infer: Callable[[FloatPlane], FloatPlane]
    scale: int
    halo: int
    channels: str


class Upscaler:
    """A trained network, ready to enlarge pictures.

    Attributes:
        scale: the factor it was trained for.
        channels: what it works on: `y`, `ycbcr` or `rgb`.
    """

    def __init__(self, model: Path | bytes, precision: str = "float32") -> None:
        """Load an ONNX file, or the bytes of one, as `export` writes it.

        Args:
            model: the file.
            precision: `float32`; or `bfloat16`, which needs OpenVINO and a processor for it.

        Raises:
            ModelError: missing, not ONNX, not one of ours, or not to be run in that precision.
        """
        if precision not in ("float32", "bfloat16"):
            raise ModelError(f"precision {precision!r} is unknown; give float32 or bfloat16")
        network = _load(model, precision)
        self.scale = network.scale
        self.channels = network.channels
        self._halo = network.halo
        self._infer = network.infer

    def sharpen(self, bicubic: FloatPlane) -> FloatPlane:
        """Run the network over planes that are already enlarged.

        They are computed tile by tile. Tiles see as far beyond their edge as the network
        does, so that no seam exists and memory stays small.

        Args:
            bicubic: float32 in 0..255, of shape (height, width) for luma or grey; or, but for a
                network on luma, red, green and blue of shape (3, height, width). A network on
                colours takes grey for red, green and blue alike.

        Returns:
            float32 of the same shape, clipped to 0..255, not rounded.
        """
        if self.channels != "y" and bicubic.ndim == 2:
            return grey_of(self.sharpen(np.broadcast_to(bicubic, (3, *bicubic.shape))))
        sharp = np.empty(bicubic.shape, np.float32)
        height, width = bicubic.shape[-2:]
        for window, inside, tile in tiles((height, width), self._halo):
            sharp[..., *tile] = self._run(bicubic[..., *window])[..., *inside]
        return sharp

    def upscale_luma(self, plane: Plane) -> Plane:
        """Enlarge an 8-bit plane of luma, or a grey picture.

        Args:
            plane: uint8 of shape (height, width).

        Returns:
            uint8 of shape (scale * height, scale * width).
        """
        return to_eight_bit(self.sharpen(upscale(plane, self.scale)))

    def upscale_picture(self, picture: Picture) -> Picture:
        """Enlarge a picture; transparency is enlarged by bicubic interpolation.

        So is colour, where the network works on luma alone. What it changes there is added to red,
        green and blue alike, which leaves the chroma as it was.

        Args:
            picture: of 8 or 16 bits.

        Returns:
            A picture of the same bands and depth, `scale` times as wide and high.
        """
        if self.channels != "y" and picture.colours == 3:
            return assemble(picture, self.scale, self.sharpen(self._bicubic_colours(picture)))
        plane = luma_of(picture)
        bicubic = np.clip(enlarge_plane(plane, picture.alpha, self.scale), 0, 255)
        step = self.sharpen(bicubic)
        if picture.colours == 1:
            return assemble(picture, self.scale, [step])
        step -= bicubic
        # Large pictures: what is no longer needed makes room for what comes next.
        del bicubic, plane
        step *= np.float32(RGB_PER_LUMA)
        return enlarge(picture, self.scale, step)

    def upscale_image(self, image: Image.Image) -> Image.Image:
        """`upscale_picture` for a Pillow picture of mode L, LA, RGB or RGBA."""
        return self.upscale_picture(Picture.of(image)).image()

    def upscale_pixels(self, pixels: Plane) -> Plane:
        """The same for uint8 of shape (height, width) or (height, width, 3)."""
        if pixels.ndim == 2:
            return self.upscale_luma(pixels)
        return np.asarray(self.upscale_image(Image.fromarray(pixels)))

    def _bicubic_colours(self, picture: Picture) -> FloatPlane:
        size = (picture.height * self.scale, picture.width * self.scale)
        large = np.empty((3, *size), np.float32)
        for band, plane in enumerate(large):
            levels = in_eight_bit_levels(picture.pixels[..., band])
            np.clip(enlarge_plane(levels, picture.alpha, self.scale), 0, 255, out=plane)
        return large

    def _run(self, planes: FloatPlane) -> FloatPlane:
        batch = np.ascontiguousarray(planes.reshape(1, -1, *planes.shape[-2:]) / np.float32(255))
        try:
            output = self._infer(batch)
        except Exception as error:  # the runtime's exceptions share no base class of their own
            if "alloc" in str(error):
                raise MemoryError(str(error)) from error
            raise
        sharp: FloatPlane = np.clip(output.reshape(planes.shape) * np.float32(255), 0, 255)
        return sharp


def grey_of(planes: FloatPlane) -> FloatPlane:
    """One grey plane of three: BT.601's luma over the full range, so that a grey stays itself.

    Args:
        planes: red, green and blue in 0..255, float32 of shape (3, height, width).

    Returns:
        float32 of shape (height, width), in 0..255.
    """
    red, green, blue = planes
    grey: FloatPlane = green + _RED * (red - green) + _BLUE * (blue - green)
    return grey


def tiles(shape: tuple[int, int], halo: int) -> Iterator[tuple[Area, Area, Area]]:
    """Cover a plane with tiles, and see for each what a network needs for it.

    Args:
        shape: height and width of the plane.
        halo: how many pixels the network looks beyond its output.

    Yields:
        The window of the plane that goes into the network; the part of what comes out that is
        the tile; and where the tile lies in the plane.
    """
    height, width = shape
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            bottom, right = min(top + TILE, height), min(left + TILE, width)
            above, before = min(halo, top), min(halo, left)
            yield (
                (slice(top - above, bottom + halo), slice(left - before, right + halo)),
                (slice(above, above + bottom - top), slice(before, before + right - left)),
                (slice(top, bottom), slice(left, right)),
            )


def _load(model: Path | bytes, precision: str) -> _Network:
    if isinstance(model, Path) and not model.is_file():
        raise ModelError(f"there is no model file {model}")
    name = model.name if isinstance(model, Path) else "the model"
    try:
        session = _session(model)
        properties = session.get_modelmeta().custom_metadata_map
        scale, halo = int(properties["scale"]), int(properties["halo"])
    except KeyError as error:
        raise ModelError(f"{name} was not written by srcnn-mlflow: no {error} inside") from error
    except Exception as error:  # the runtime's exceptions share no base class of their own
        raise ModelError(f"{name} is not a usable ONNX model: {error}") from error
    channels = properties.get("channels", "y")
    planes = session.get_inputs()[0].shape[1]
    if _PLANES.get(channels) != planes:
        raise ModelError(
            f"{name} takes {planes} plane(s) and says that they are {channels!r}, which this "
            "srcnn-mlflow does not run; it runs y of 1 plane, and ycbcr and rgb of 3"
        )
    if precision == "bfloat16":
        # Imported here, because it needs more than running a network does.
        from srcnn_mlflow.network.bfloat16 import bfloat16_infer

        content = model if isinstance(model, bytes) else model.read_bytes()
        rounded = bfloat16_infer(content, available_cores(), _session)
        return _Network(rounded, scale, halo, channels)

    source = session.get_inputs()[0].name

    def infer(batch: FloatPlane) -> FloatPlane:
        (output,) = session.run(None, {source: batch})
        sharp: FloatPlane = output
        return sharp

    return _Network(infer, scale, halo, channels)


def _session(model: Path | bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    # The runtime counts physical cores and ignores the limits that containers set.
    options.intra_op_num_threads = available_cores()
    # A thread that waits for others of its network leaves its core to whoever has work.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        model if isinstance(model, bytes) else str(model),
        options,
        providers=["CPUExecutionProvider"],
    )
