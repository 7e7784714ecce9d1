"""The registered model: MLflow's Python model around an ONNX network.

MLflow copies this file into every model and runs it from there, beside a copy of the package.
It imports neither torch nor anything that trains.
"""

import base64
import binascii
import io
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from srcnn_mlflow.errors import ImageError
from srcnn_mlflow.imaging import open_image
from srcnn_mlflow.upscaler import Upscaler


class ServedUpscaler(PythonModel):
    """Enlarge base64 pictures: one row in, one row out."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the network that was logged with the model."""
        self._upscaler = Upscaler(Path(context.artifacts["network"]))

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002 (MLflow passes it by this name)
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> list[dict[str, Any]]:
        """Enlarge every picture of the column `image`.

        Args:
            context: MLflow's; not used.
            model_input: a column `image` of base64 PNG, JPEG, BMP, TIFF or WebP files.
            params: not used.

        Returns:
            For each row `image` (the base64 of a PNG), `width` and `height`.

        Raises:
            MlflowException: a row is not the base64 of a usable picture; the server answers 400.
        """
        return [self._enlarge(row, text) for row, text in enumerate(model_input["image"])]

    def _enlarge(self, row: int, text: Any) -> dict[str, Any]:
        try:
            image = open_image(base64.b64decode("".join(text.split()), validate=True))
        except (binascii.Error, AttributeError, TypeError, ValueError):
            raise _refuse(row, "is not base64 text of a picture file") from None
        except ImageError as error:
            raise _refuse(row, f"cannot be used: {error}") from None
        result = self._upscaler.upscale_image(image)
        file = io.BytesIO()
        result.save(file, "PNG", icc_profile=result.info.get("icc_profile"))
        encoded = base64.b64encode(file.getvalue()).decode("ascii")
        return {"image": encoded, "width": result.width, "height": result.height}


def _refuse(row: int, reason: str) -> MlflowException:
    return MlflowException(f"image {row} {reason}", error_code=INVALID_PARAMETER_VALUE)


mlflow.models.set_model(ServedUpscaler())
