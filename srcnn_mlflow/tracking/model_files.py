"""The files of a model as MLflow keeps it: the network, the code that serves it, what it needs."""

import base64
import io
import shutil
from importlib.metadata import version as package_version
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
import pandas as pd
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from PIL import Image

from srcnn_mlflow.pictures.answer_options import PARAMS
from srcnn_mlflow.tracking.served_code import SERVED_MODEL, copy_served_code

# What a served model needs; neither torch nor anything else that trains.
_SERVED_PACKAGES = ("imagecodecs", "mlflow", "numpy", "onnxruntime", "pandas", "pillow")
_SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec(DataType.string, "image")]),
    outputs=Schema(
        [
            ColSpec(DataType.string, "image"),
            ColSpec(DataType.long, "width"),
            ColSpec(DataType.long, "height"),
        ]
    ),
    params=ParamSchema(
        [
            ParamSpec(name, DataType.long if name == "quality" else DataType.string, default)
            for name, default in PARAMS.items()
        ]
    ),
)


def write_model(folder: Path, network: Path, about: Model | None = None) -> None:
    """Write a network as a model that MLflow can load, with the code that serves it.

    Args:
        folder: is made, and gets the files.
        network: an ONNX file.
        about: what the model says of itself, such as its id; None for nothing.
    """
    with TemporaryDirectory() as code:
        mlflow.pyfunc.save_model(
            str(folder),
            mlflow_model=about,
            python_model=str(SERVED_MODEL),
            artifacts={"network": str(network)},
            code_paths=[str(copy_served_code(Path(code)))],
            pip_requirements=[f"{name}=={package_version(name)}" for name in _SERVED_PACKAGES],
            signature=_SIGNATURE,
            input_example=_input_example(),
        )
    # MLflow runs the code to see what it needs.
    for compiled in folder.rglob("__pycache__"):
        shutil.rmtree(compiled)


def _input_example() -> pd.DataFrame:
    file = io.BytesIO()
    Image.linear_gradient("L").resize((16, 16)).save(file, "PNG")
    return pd.DataFrame({"image": [base64.b64encode(file.getvalue()).decode("ascii")]})
