"""Enlarge a picture without srcnn-mlflow: `python srcnn_x2.py photo.jpg result.png`.

Needs onnxruntime, numpy and pillow, and the network's ONNX file beside it. The result has the
pixels and the colour profile that `srcnn-mlflow upscale` gives, and no other metadata. A picture
that would come out otherwise is refused, with one line and exit code 1.
"""

import os
import sys
import warnings
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from PIL import Image, ImageOps

# Or it would report to its maker how it is used.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
PROFILES = {"L": b"GRAY", "RGB": b"RGB "}
# What PNG files of sRGB colour say of themselves: white, red, green and blue, and the gamma.
SRGB = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.45455)
# More is what Pillow takes for a decompression bomb.
MOST_PIXELS = 178_956_970
# What red and blue are of BT.601's luma; the rest is green.
RED, BLUE = np.float32(65.481 / 219), np.float32(24.966 / 219)
# Rows and columns that go through the network together, so that large pictures fit the memory.
TILE = 512


def main(arguments: list[str]) -> None:
    """Enlarge a picture file into a PNG file; whatever goes wrong becomes one line."""
    if len(arguments) != 2:
        refuse(f"give two names: python {Path(__file__).name} photo.jpg result.png")
    warnings.simplefilter("ignore")  # what is odd about a file is harmless, or an error
    try:
        enlarge_file(*map(Path, arguments))
    except Exception as error:  # the decoders' exceptions share no base class
        refuse(f"{arguments[0]!r}: {' '.join(str(error).split()) or type(error).__name__}")


def enlarge_file(photo: Path, result: Path) -> None:
    """Enlarge one picture file into a PNG file."""
    if result.suffix.lower() != ".png":
        refuse(f"{result.name!r} would be a PNG file; give a name that ends in .png")
    if result.exists() and photo.exists() and result.samefile(photo):
        refuse(f"{result.name!r} is the input itself, which it would replace")
    script = Path(__file__)
    network = script.with_name(script.stem.replace("_", "-") + ".onnx")
    if not network.is_file():
        refuse(f"there is no {network}; export writes it beside the script")
    session = onnxruntime.InferenceSession(network)
    image = read(photo)
    partial = result.with_name(f".{result.stem}.partial")
    profile = image.info.get("icc_profile") or b""
    fits = profile[16:20] == PROFILES[image.mode]
    try:
        enlarge(image, session).save(partial, "PNG", icc_profile=profile if fits else None)
        partial.replace(result)
    finally:
        partial.unlink(missing_ok=True)


def read(path: Path) -> Image.Image:
    """Decode a picture, upright, of mode L or RGB."""
    if not path.is_file():
        refuse(f"{path.name!r} is not a file")
    image = Image.open(path, formats=FORMATS)
    if image.format in ("JPEG", "MPO") and path.read_bytes().count(b"\xff\xda") > 100:
        refuse(f"{path.name!r} has more than 100 scans; save it again")
    kind = other_kind(image)
    if kind:
        refuse(f"{path.name!r} has {kind}, which this script cannot do; try srcnn-mlflow upscale")
    if getattr(image, "n_frames", 1) > 1:
        print(f"of {path.name!r} the first frame or page alone is enlarged")
        image.seek(0)
    image.load()
    if image.mode == "P" and not image.getpalette():
        refuse(f"{path.name!r} has no palette")
    upright = ImageOps.exif_transpose(image)
    return upright.convert("L" if upright.mode in ("1", "L") else "RGB")


def other_kind(image: Image.Image) -> str:
    """What a picture has that is not enlarged here; empty for a picture that is."""
    if image.width * image.height > MOST_PIXELS:
        return f"more than {MOST_PIXELS:,} pixels"
    deep = image.format == "PNG" and ";16" in str(vars(image)["tile"])  # of which Pillow makes 8
    if deep or image.mode.startswith("I;16"):
        return "16 bits a channel"
    if image.mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info:
        return "transparency"
    if image.mode not in ("1", "L", "P", "RGB"):
        return f"pixels of mode {image.mode}"
    tags = getattr(image, "tag_v2", None)
    # TIFF 6.0: bits of each sample, its format, and what its levels mean.
    if tags and not (
        set(tags.get(258, (1,))) == {8} and set(tags.get(339, (1,))) == {1} and tags[262] in (1, 2)
    ):
        return "another kind of TIFF than 8-bit grey or RGB"
    own = (*image.info.get("chromaticity", SRGB[:8]), image.info.get("gamma", SRGB[8]))
    if image.format == "PNG" and not np.allclose(own, SRGB, atol=0.001):
        return "a gamma or primaries of its own"
    return ""


def enlarge(image: Image.Image, session: Any) -> Image.Image:
    """Enlarge a picture of mode L or RGB: by the network, and by bicubic what it leaves out."""
    about = session.get_modelmeta().custom_metadata_map
    scale = int(about["scale"])
    size = (image.width * scale, image.height * scale)
    pixels = np.asarray(image)
    if about.get("channels", "y") != "y":
        return enlarge_colours(pixels, size, session)
    luma = pixels
    if image.mode == "RGB":  # BT.601, rounded to 8 bits
        weighted = pixels @ np.array([65_481, 128_553, 24_966], np.int32)
        luma = ((weighted + 127_500) // 255_000 + 16).astype(np.uint8)
    deep = Image.fromarray(luma).convert("F").resize(size, Image.Resampling.BICUBIC)
    bicubic = np.clip(np.asarray(deep), 0, 255)
    sharp = sharpen(bicubic, session)
    if image.mode == "RGB":  # what changes in 16..235 is added to each colour in 0..255
        colours = np.asarray(image.resize(size, Image.Resampling.BICUBIC))
        sharp = colours + ((sharp - bicubic) * np.float32(255 / 219))[..., None]
    return Image.fromarray(np.clip(np.rint(sharp), 0, 255).astype(np.uint8))


def enlarge_colours(pixels: Any, size: tuple[int, int], session: Any) -> Image.Image:
    """Enlarge by a network on colours, for which grey is red, green and blue alike."""
    bands = np.atleast_3d(pixels).astype(np.float32).transpose(2, 0, 1)
    large = [Image.fromarray(band).resize(size, Image.Resampling.BICUBIC) for band in bands]
    planes = np.clip(np.stack([np.asarray(band) for band in large]), 0, 255)
    sharp = sharpen(np.broadcast_to(planes, (3, *planes.shape[1:])), session)
    if len(bands) == 1:
        red, green, blue = sharp
        sharp = (green + RED * (red - green) + BLUE * (blue - green))[None]
    levels = np.clip(np.rint(sharp), 0, 255).astype(np.uint8)
    return Image.fromarray(levels[0] if len(bands) == 1 else levels.transpose(1, 2, 0))


def sharpen(planes: Any, session: Any) -> Any:
    """Run the network over enlarged planes, tile by tile, each with what the network sees."""
    halo = int(session.get_modelmeta().custom_metadata_map["halo"])
    result = np.empty(planes.shape, np.float32)
    for top in range(0, planes.shape[-2], TILE):
        for left in range(0, planes.shape[-1], TILE):
            above, before = min(halo, top), min(halo, left)
            rows = slice(top - above, top + TILE + halo)
            window = planes[..., rows, left - before : left + TILE + halo]
            batch = window.reshape(1, -1, *window.shape[-2:]) / np.float32(255)
            (output,) = session.run(None, {session.get_inputs()[0].name: batch})
            tile = output[0, ..., above : above + TILE, before : before + TILE] * np.float32(255)
            place = result[..., top : top + TILE, left : left + TILE]
            place[...] = np.clip(tile, 0, 255).reshape(place.shape)
    return result


def refuse(reason: str) -> NoReturn:
    """End with one line and exit code 1."""
    sys.exit(f"error: {reason}")


if __name__ == "__main__":
    main(sys.argv[1:])
