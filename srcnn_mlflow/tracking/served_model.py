"""The registered model: MLflow's Python model around an ONNX network.

MLflow copies this file into every model and runs it from there, beside a copy of the package.
It imports neither torch nor anything that trains.
"""

import base64
import binascii
import io
import logging
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
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
from srcnn_mlflow.machine.limits import read_limit
from srcnn_mlflow.machine.memory import return_large_buffers
from srcnn_mlflow.network.upscaler import Upscaler
from srcnn_mlflow.pictures.decoding import open_picture
from srcnn_mlflow.pictures.encoding import write_png
from srcnn_mlflow.pictures.metadata import enlarged, with_note

# The usual level 6 takes as long as the network does, for files 5 % smaller.
PNG_LEVEL = 3
# Of the names that a request gives, so much may stand in an answer.
_LONGEST_NAME, _MOST_NAMES = 16, 3
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
    """

    images: float = 16
    megabytes: float = 20
    megapixels: float = 4

    @classmethod
    def from_environment(cls) -> "Limits":
        """Take the limits that are set, and the defaults for all others.

        Raises:
            ModelError: a variable is not a number above zero.
        """
        return cls(**{name: read_limit(name, default) for name, default in asdict(cls()).items()})


class ServedUpscaler(PythonModel):
    """Enlarge base64 pictures: one row in, one row out."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the network that was logged with the model, and the limits of this server."""
        return_large_buffers()
        _guard_server()
        self._limits = Limits.from_environment()
        network = Path(context.artifacts["network"])
        self._upscaler = Upscaler(network, os.environ.get("SRCNN_PRECISION", "float32"))
        self._made_by = _made_by(network)

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002 (MLflow passes it by this name)
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> list[dict[str, Any]]:
        """Enlarge every picture of the column `image`.

        Args:
            context: MLflow's; not used.
            model_input: a column `image` of base64 picture files, or data URLs of them.
            params: not used.

        Returns:
            For each row `image` (the base64 of a PNG, as deep as the picture was), `width` and
            `height`.

        Raises:
            MlflowException: a row is not the base64 of a usable picture, or a limit is passed;
                the server answers 400.
        """
        texts = list(model_input["image"])
        if len(texts) > self._limits.images:
            raise _Refusal(
                f"a request may hold {self._limits.images:g} images, and this one has "
                f"{len(texts)}; send several requests"
            )
        return [self._enlarge(row, text) for row, text in enumerate(texts)]

    def _enlarge(self, row: int, text: Any) -> dict[str, Any]:
        # Four characters stand for three bytes.
        if isinstance(text, str) and len(text) * 0.75e-6 > self._limits.megabytes:
            raise _Refusal(
                f"image {row} has {len(text) * 0.75e-6:.1f} MB, and {self._limits.megabytes:g} "
                "are allowed"
            )
        try:
            encoded = _file_of(text)
            picture = open_picture(encoded, max_pixels=int(self._limits.megapixels * 1e6))
        except (binascii.Error, AttributeError, TypeError, ValueError):
            raise _Refusal(f"image {row} is not base64 text of a picture file") from None
        except ImageError as error:
            raise _Refusal(f"image {row} cannot be used: {error}") from None
        try:
            result = self._upscaler.upscale_picture(picture)
        except MemoryError:
            raise _Refusal(f"image {row} does not fit the memory of this server") from None
        size = (result.width, result.height)
        said = enlarged(picture.metadata, self._upscaler.scale, *size, self._made_by)
        if picture.notes:
            said = with_note(said, f"Of the original, {' and '.join(picture.notes)}.")
        file = io.BytesIO()
        write_png(replace(result, metadata=said), file, PNG_LEVEL)
        answer = base64.b64encode(file.getvalue()).decode("ascii")
        return {"image": answer, "width": result.width, "height": result.height}


def _made_by(network: Path) -> str:
    """The program, and the model as MLflow names it, which lies around the network."""
    about = network.parents[1] / "MLmodel"
    model = Model.load(str(about)).model_id if about.is_file() else None
    return f"srcnn-mlflow {__version__}" + (f", model {model}" if model else "")


def _file_of(text: str) -> bytes:
    """The file that a text holds: base64 of either alphabet, padded or not, or a data URL.

    Raises:
        ValueError: it is neither.
    """
    text = text.strip()
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
    """A model as MLflow's scoring server uses it, which heeds `params` and keeps its error."""

    def __init__(self, model: Any) -> None:
        self._model, self.metadata = model, model.metadata
        self.error: Exception | None = None

    def predict(self, data: Any, params: Any = None) -> Any:
        """Predict, or refuse what MLflow would drop or repeat."""
        try:
            _check(data, params)
            return self._model.predict(data)
        except Exception as error:
            self.error = error
            # Into the text of an error of its own kind, the server would write all data.
            raise RuntimeError from None


def _check(data: Any, params: Any) -> None:
    if params not in (None, {}):
        given = _names(params) if isinstance(params, dict) else "some"
        raise _Refusal(f"the model takes no params, and the request has {given}; leave them out")
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


def _guard_server() -> None:
    """Let MLflow's scoring server, where this process is one, say no more than is said here.

    By itself it repeats what it was sent, as a whole, and has no setting for that.
    """
    if "mlflow.pyfunc.scoring_server.app" in sys.modules:
        server: Any = sys.modules["mlflow.pyfunc.scoring_server"]
        server.invocations = _guarded(server.invocations)


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
