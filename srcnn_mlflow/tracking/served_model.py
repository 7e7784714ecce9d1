"""The registered model: MLflow's Python model around an ONNX network.

MLflow copies this file into every model and runs it from there, beside a copy of the package.
It imports neither torch nor anything that trains.
"""

import base64
import binascii
import io
import logging
import math
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from json import JSONDecodeError
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from srcnn_mlflow import __version__
from srcnn_mlflow.machine.errors import ImageError
from srcnn_mlflow.machine.limits import read_limits
from srcnn_mlflow.machine.memory import return_large_buffers
from srcnn_mlflow.network.upscaler import Upscaler
from srcnn_mlflow.pictures.answer_options import PARAMS, AnswerOptions, read_options
from srcnn_mlflow.pictures.decoding import open_picture, size_of
from srcnn_mlflow.pictures.encoding import check_size, fit, write_picture
from srcnn_mlflow.pictures.metadata import enlarged, with_note

# The usual level 6 takes as long as the network does, for files 5 % smaller.
PNG_LEVEL = 3
# Of the names that a request gives, so much may stand in an answer.
_LONGEST_NAME, _MOST_NAMES = 16, 3
_NAMES = "format, quality and on_error"
_EXPECTED = (
    'send {"dataframe_split": {"columns": ["image"], "data": [["<base64 of a picture file>"]]}} '
    "as application/json"
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """What a server takes on; each is read from the environment variable beside it.

    Attributes:
        images: pictures a request, `SRCNN_MAX_IMAGES`.
        megabytes: of one picture file, `SRCNN_MAX_MEGABYTES`.
        megapixels: of one picture before it is enlarged, `SRCNN_MAX_MEGAPIXELS`.
        output_megapixels: of the pictures of a request together, after they are enlarged,
            `SRCNN_MAX_OUTPUT_MEGAPIXELS`; of each, where no server takes requests.
    """

    images: float = 16
    megabytes: float = 20
    megapixels: float = math.inf
    # Two cores take some eight seconds for it.
    output_megapixels: float = 16

    @classmethod
    def from_environment(cls, served: bool = True) -> "Limits":
        """Take the limits that are set, and the defaults for all others.

        Args:
            served: whether this process is a server; elsewhere, a frame may have many rows.

        Raises:
            ModelError: a variable is not a number above zero.
        """
        return read_limits(cls() if served else cls(images=math.inf))

    def pixels(self, scale: int) -> int:
        """How many a picture may have before it is enlarged."""
        return int(min(self.megapixels, self.output_megapixels / scale**2) * 1e6)


class ServedUpscaler(PythonModel):
    """Enlarge picture files, or their base64: one row in, one row out."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the network that was logged with the model, and the limits of this server."""
        return_large_buffers()
        self._served = _guard_server()
        self._limits = Limits.from_environment(self._served)
        network = Path(context.artifacts["network"])
        self._upscaler = Upscaler(network, os.environ.get("SRCNN_PRECISION", "float32"))
        self._made_by = _made_by(network)

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002 (MLflow passes it by this name)
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        """Enlarge every picture of the column `image`.

        Args:
            context: MLflow's; not used.
            model_input: a column `image` of picture files as bytes, as base64 or as data URLs.
            params: `format` of the answers (`png`; `jpeg`, `webp`, `avif`, `tiff`), their
                `quality` (1 to 100; 0 is the usual one), and `on_error` (`raise`; `tell`: a
                picture that cannot be used is a row with its reason).

        Returns:
            For each row `image` (the base64 of a file; a PNG is as deep as the picture was),
            `width` and `height`; where errors are told also `error`, which is empty, or the
            others are empty and 0.

        Raises:
            MlflowException: a row is not a usable picture, or a limit is passed; the server
                answers 400.
        """
        try:
            options = read_options(params)
        except ValueError as error:
            raise _Refusal(str(error)) from None
        rows = list(model_input["image"])
        self._check_together(rows)
        return [self._row(number, given, options) for number, given in enumerate(rows)]

    def _check_together(self, rows: Sequence[Any]) -> None:
        if len(rows) > self._limits.images:
            raise _Refusal(
                f"a request may hold {self._limits.images:g} images, and this one has "
                f"{len(rows)}; send several requests"
            )
        if not self._served or len(rows) < 2:
            return
        together = sum(map(_pixels_of, rows)) * self._upscaler.scale**2 / 1e6
        if together > self._limits.output_megapixels:
            raise _Refusal(
                f"the pictures of the request would have {together:.1f} megapixels together, and "
                f"{self._limits.output_megapixels:g} are allowed; send fewer at once"
            )

    def _row(self, number: int, given: Any, options: AnswerOptions) -> dict[str, Any]:
        try:
            found = self._enlarge(given, options)
        except ImageError as error:
            if not options.tell:
                raise _Refusal(f"image {number} {error}") from None
            # Tables of Spark and pandas have a type a column, and no nothing among whole numbers.
            return {"image": "", "width": 0, "height": 0, "error": str(error)}
        return {**found, "error": ""} if options.tell else found

    def _enlarge(self, given: Any, options: AnswerOptions) -> dict[str, Any]:
        """Enlarge one picture; an `ImageError` is a clause of which the picture is the subject."""
        # Four characters stand for three bytes.
        share = 0.75e-6 if isinstance(given, str) else 1e-6
        if isinstance(given, str | bytes) and len(given) * share > self._limits.megabytes:
            raise ImageError(
                f"has {len(given) * share:.1f} MB, and {self._limits.megabytes:g} are allowed"
            )
        scale = self._upscaler.scale
        try:
            picture = open_picture(_file_of(given), max_pixels=self._limits.pixels(scale))
        except (binascii.Error, AttributeError, TypeError, ValueError):
            raise ImageError("is not base64 text of a picture file") from None
        except ImageError as error:
            raise ImageError(f"cannot be used: {error}") from None
        check_size(picture.width * scale, picture.height * scale, options.form)
        try:
            result, lost = fit(self._upscaler.upscale_picture(picture), options.form)
        except MemoryError:
            raise ImageError("does not fit the memory of this server") from None
        size = (result.width, result.height)
        said = enlarged(result.metadata, scale, *size, self._made_by)
        if picture.notes or lost:
            said = with_note(said, f"Of the original, {' and '.join((*picture.notes, *lost))}.")
        file = io.BytesIO()
        result = replace(result, metadata=said)
        write_picture(result, file, options.form, options.quality, PNG_LEVEL)
        answer = base64.b64encode(file.getvalue()).decode("ascii")
        return {"image": answer, "width": result.width, "height": result.height}


def _pixels_of(given: Any) -> int:
    """Of a picture; none where it is not to be read, of which its own row tells."""
    try:
        return size_of(_file_of(given))
    except (binascii.Error, AttributeError, TypeError, ValueError):
        return 0


def _made_by(network: Path) -> str:
    """The program, and the model as MLflow names it, which lies around the network."""
    about = network.parents[1] / "MLmodel"
    model = Model.load(str(about)).model_id if about.is_file() else None
    return f"srcnn-mlflow {__version__}" + (f", model {model}" if model else "")


def _file_of(given: str | bytes | bytearray) -> bytes:
    """A file as it is, or that a text holds: base64 of either alphabet, padded or not, or a URL.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(given, bytes | bytearray):
        return bytes(given)
    text = given.strip()
    if text[:5].lower() == "data:":
        # RFC 2397: what is not said to be base64 is percent-encoded, and what is may be both.
        about, comma, rest = text.partition(",")
        if not comma:
            raise ValueError("a data URL without its comma")
        decoded = unquote_to_bytes(rest)
        if about.rpartition(";")[2].strip().lower() != "base64":
            return decoded
        text = decoded.decode("ascii")
    letters = "".join(text.split()).replace("-", "+").replace("_", "/")
    unpadded = letters.rstrip("=")
    if len(letters) - len(unpadded) > 2:
        raise ValueError("more padding than there is in base64")
    return base64.b64decode(unpadded + "=" * (-len(unpadded) % 4), validate=True)


class _Refusal(MlflowException):
    """What a request is refused for, in one sentence; the server answers 400."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason, error_code=INVALID_PARAMETER_VALUE)


class _WatchedModel:
    """A model as MLflow's scoring server uses it, which checks `params` and keeps its error."""

    def __init__(self, model: Any) -> None:
        self._model, self.metadata = model, model.metadata
        self.error: Exception | None = None

    def predict(self, data: Any, params: Any = None) -> Any:
        """Predict, or refuse what MLflow would drop or repeat."""
        try:
            _check(data, params)
            return self._model.predict(data, params=params or None)
        except Exception as error:
            self.error = error
            # Into the text of an error of its own kind, the server would write all data.
            raise RuntimeError from None


def _check(data: Any, params: Any) -> None:
    if params is not None and not isinstance(params, dict):
        raise _Refusal(f"params is no object; give {_NAMES}, or leave it out")
    unknown = [name for name in params or {} if name not in PARAMS]
    if unknown:
        told = f"the model takes the params {_NAMES}, and the request has {_names(unknown)}"
        raise _Refusal(f"{told}; leave them out")
    try:
        read_options(params)
    except ValueError as error:
        raise _Refusal(str(error)) from None
    columns = data if isinstance(data, dict) else getattr(data, "columns", ())
    if "image" not in columns:
        raise _Refusal(f"the request has no column image, but {_names(columns)}; {_EXPECTED}")


def _names(names: Iterable[Any]) -> str:
    """Names that a request has given, as far as an answer may repeat them."""
    texts = list(map(str, names))
    shown = [
        repr(text) if len(text) <= _LONGEST_NAME else f"one of {len(text)} characters"
        for text in texts[:_MOST_NAMES]
    ]
    more = [f"{len(texts) - _MOST_NAMES} more"] if len(texts) > _MOST_NAMES else []
    return ", ".join(shown + more) or "none with a name"


def _guard_server() -> bool:
    """Let MLflow's scoring server, where this process is one, say no more than is said here.

    By itself it repeats what it was sent, as a whole, and has no setting for that.

    Returns:
        Whether it is one.
    """
    served = "mlflow.pyfunc.scoring_server.app" in sys.modules
    if served:
        server: Any = sys.modules["mlflow.pyfunc.scoring_server"]
        server.invocations = _guarded(server.invocations)
    return served


def _guarded(invocations: Callable[..., Any]) -> Callable[..., Any]:
    def answer(data: bytes, content_type: str | None, model: Any, input_schema: Any) -> Any:
        watched = _WatchedModel(model)
        try:
            found = invocations(data, content_type or "none", watched, input_schema)
        except Exception as error:
            raise _in_short(error, watched.error) from None
        if found.status == HTTPStatus.OK:
            return found
        return found._replace(response=f"the request is of an unknown type; {_EXPECTED}")

    return answer


def _in_short(error: Exception, of_model: Exception | None) -> MlflowException:
    """One sentence on what is wrong with a request, or that the model has failed on it."""
    if isinstance(of_model, _Refusal):
        return _Refusal(of_model.reason)
    if of_model is not None and not isinstance(of_model, MlflowException):
        logger.error("the model has failed on a request", exc_info=of_model)
        kind = type(of_model).__name__
        reason = f"the model has failed on the request ({kind}); its server's log says more"
        return MlflowException(reason, error_code=INTERNAL_ERROR)
    # What MLflow says of all else holds the data; its causes are short, where they are of JSON.
    cause = error.__cause__
    what = f" ({cause})" if isinstance(cause, JSONDecodeError | UnicodeDecodeError) else ""
    return _Refusal(f"the request cannot be read{what}; {_EXPECTED}")


mlflow.models.set_model(ServedUpscaler())
