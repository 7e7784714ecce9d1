"""The process in which a served model answers: run as a script, one request in, one answer out.

It must not import this package, so that the model brings the code it was logged with. A message is
a line of JSON and, behind it, as many bytes as its `length` says.
"""

import base64
import io
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
from mlflow.environment_variables import _MLFLOW_IS_IN_SERVING_ENVIRONMENT
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import scoring_server as untyped_server
from PIL import Image, ImageOps

_server: Any = untyped_server
_JSON = "application/json"
# Of JPEG and WebP, where files are several times smaller than PNG and no loss is seen.
_QUALITY = 92
# As the model writes them.
_PNG_LEVEL = 3
_PLAIN_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")
_PLAIN_BASE64 = str.maketrans("-_", "+/")


class _Stopped(BaseException):
    """Nobody waits for the answer any more."""


@dataclass(frozen=True)
class _Answer:
    status: int
    content_type: str
    body: bytes
    pixels: int = 0


class _Measured:
    """A model that takes so many pixels a request, and counts those that it makes."""

    def __init__(self, model: Any, most: float) -> None:
        self._model, self.most, self.metadata = model, most, model.metadata
        self.pixels, self.refusal = 0, ""

    def predict(self, data: Any, params: Any = None) -> Any:
        """Predict, unless the pictures are too large together."""
        files = list(data.get("image", ())) if hasattr(data, "get") else []
        given = sum(map(_pixels, files)) / 1e6 if len(files) > 1 else 0
        if given > self.most:
            self.refusal = (
                f"the pictures of the request have {given:.1f} megapixels together, and "
                f"{self.most:g} are allowed; send fewer at once"
            )
            raise ValueError
        made = self._model.predict(data, **({} if params is None else {"params": params}))
        self.pixels = sum((one.get("width") or 0) * (one.get("height") or 0) for one in made)
        return made


class _Work:
    """What a signal may stop."""

    going = False

    def stop(self, *_: object) -> None:
        """Let whatever runs end, wherever it is in Python."""
        if self.going:
            self.going = False
            raise _Stopped

    def do(self, work: Callable[[], _Answer]) -> _Answer:
        """Do it, unless it is stopped."""
        try:
            self.going = True
            answer = work()
            self.going = False
        except _Stopped:
            return _Answer(503, "text/plain", b"stopped")
        return answer


def main() -> None:
    """Answer every message of standard input as MLflow's scoring server would."""
    # Whatever the model prints goes to standard error; answers alone go to the pipe.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    work = _Work()
    signal.signal(signal.SIGUSR1, work.stop)
    os.environ[_MLFLOW_IS_IN_SERVING_ENVIRONMENT.name] = "true"
    # By this module a model knows that it is served, and what its answers may say.
    sys.modules[f"{_server.__name__}.app"] = ModuleType("app")
    model = _server.load_model_with_mlflow_config(sys.argv[1])
    most = float(os.environ["SRCNN_MAX_MEGAPIXELS"])
    for line in sys.stdin.buffer:
        message = json.loads(line)
        body = sys.stdin.buffer.read(message["length"])
        answer = work.do(partial(_answer, _Measured(model, most), message, body))
        about = {
            "status": answer.status,
            "content_type": answer.content_type,
            "length": len(answer.body),
            "pixels": answer.pixels,
        }
        answers.write(json.dumps(about).encode() + b"\n")
        answers.write(answer.body)
        answers.flush()


def _answer(model: _Measured, about: dict[str, Any], body: bytes) -> _Answer:
    if about["bicubic"] is not None:
        return _bicubic(body, about["bicubic"], about["format"], model.most)
    if about["format"] is None:
        return _invocation(model, body, about["content_type"])
    image = base64.b64encode(body).decode("ascii")
    request = {"dataframe_split": {"columns": ["image"], "data": [[image]]}}
    answer = _invocation(model, json.dumps(request).encode(), _JSON)
    if answer.status != 200:
        return answer
    (prediction,) = json.loads(answer.body)["predictions"]
    return _picture(base64.b64decode(prediction["image"]), about["format"], answer.pixels)


def _picture(png: bytes, kind: str, pixels: int) -> _Answer:
    try:
        return _Answer(200, f"image/{kind}", _file(png, kind), pixels)
    except (OSError, ValueError) as error:
        return _refused(f"the result cannot be {kind}: {error}; accept image/png")


def _invocation(model: _Measured, body: bytes, content_type: str | None) -> _Answer:
    try:
        schema = model.metadata.get_input_schema()
        found = _server.invocations(body, content_type or "none", model, schema)
    except Exception as error:
        if model.refusal:
            return _refused(model.refusal)
        if not isinstance(error, MlflowException):
            traceback.print_exc()
            return _Answer(500, "text/plain; charset=utf-8", b"Internal Server Error")
        told: Any = error
        return _Answer(told.get_http_status_code(), _JSON, told.serialize_as_json().encode())
    return _Answer(found.status, found.mimetype, found.response.encode(), model.pixels)


def _bicubic(body: bytes, scale: int, kind: str, most: float) -> _Answer:
    """What Pillow makes of a picture file, for a comparison with a model."""
    try:
        with Image.open(io.BytesIO(body), formats=_PLAIN_FORMATS) as image:
            if image.width * image.height > most * 1e6:
                return _refused(f"a picture may have {most:g} megapixels; send a smaller one")
            upright = ImageOps.exif_transpose(_eight_bit(image))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return _refused("bicubic interpolation takes PNG, JPEG, WebP, TIFF, BMP and GIF files")
    if upright.mode not in ("L", "LA", "RGB", "RGBA"):
        upright = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
    size = (scale * upright.width, scale * upright.height)
    large = upright.resize(size, Image.Resampling.BICUBIC)
    file = io.BytesIO()
    about = {"icc_profile": upright.info.get("icc_profile")}
    large.save(file, "PNG", compress_level=_PNG_LEVEL, **about)
    return _picture(file.getvalue(), kind, large.width * large.height)


def _refused(reason: str) -> _Answer:
    told = json.dumps({"error_code": "INVALID_PARAMETER_VALUE", "message": reason})
    return _Answer(400, _JSON, told.encode())


def _pixels(given: Any) -> int:
    """How many pixels a picture file has, as bytes or as base64; 0 where that cannot be read.

    What is no picture, the model refuses; one that only it can read has its own limit.
    """
    try:
        if isinstance(given, str):
            text = given.partition(",")[2] if given[:5].lower() == "data:" else given
            given = base64.b64decode(text.translate(_PLAIN_BASE64) + "==")
        with Image.open(io.BytesIO(given)) as image:
            return image.width * image.height
    except Exception:
        return 0


def _file(png: bytes, kind: str) -> bytes:
    """A PNG file as one of another kind, with 8 bits; what JPEG has no transparency for is white.

    Raises:
        OSError or ValueError: it is larger than that kind may be.
    """
    if kind == "png":
        return png
    with Image.open(io.BytesIO(png)) as image:
        told = {"exif": image.getexif(), "icc_profile": image.info.get("icc_profile")}
        plain = _eight_bit(image)
    if kind == "jpeg" and plain.mode in ("LA", "RGBA"):
        white = Image.new("RGBA", plain.size, "white")
        plain = Image.alpha_composite(white, plain.convert("RGBA")).convert("RGB")
    file = io.BytesIO()
    plain.save(file, kind, quality=_QUALITY, **told)
    return file.getvalue()


def _eight_bit(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    image.load()
    return image


if __name__ == "__main__":
    main()
