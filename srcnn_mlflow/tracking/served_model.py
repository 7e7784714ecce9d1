"""The registered model: MLflow's Python model around an ONNX network.

MLflow copies this file into every model and runs it from there, beside a copy of the package.
It imports neither torch nor anything that trains.
"""

import base64
import binascii
import io
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
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
        self._limits = Limits.from_environment()
        network = Path(context.artifacts["network"])
        self._upscaler = Upscaler(network)
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
            model_input: a column `image` of base64 picture files.
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
            raise _refuse(
                f"a request may hold {self._limits.images:g} images, and this one has "
                f"{len(texts)}; send several requests"
            )
        return [self._enlarge(row, text) for row, text in enumerate(texts)]

    def _enlarge(self, row: int, text: Any) -> dict[str, Any]:
        # Four characters stand for three bytes.
        if isinstance(text, str) and len(text) * 0.75e-6 > self._limits.megabytes:
            raise _refuse(
                f"image {row} has {len(text) * 0.75e-6:.1f} MB, and {self._limits.megabytes:g} "
                "are allowed"
            )
        if isinstance(text, str) and text.startswith("data:"):
            raise _refuse(f"image {row} is a data URL; send only what follows its comma")
        try:
            encoded = base64.b64decode("".join(text.split()), validate=True)
            picture = open_picture(encoded, max_pixels=int(self._limits.megapixels * 1e6))
        except (binascii.Error, AttributeError, TypeError, ValueError):
            raise _refuse(f"image {row} is not base64 text of a picture file") from None
        except ImageError as error:
            raise _refuse(f"image {row} cannot be used: {error}") from None
        try:
            result = self._upscaler.upscale_picture(picture)
        except MemoryError:
            raise _refuse(f"image {row} does not fit the memory of this server") from None
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


def _refuse(reason: str) -> MlflowException:
    return MlflowException(reason, error_code=INVALID_PARAMETER_VALUE)


mlflow.models.set_model(ServedUpscaler())
