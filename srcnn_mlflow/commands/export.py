"""`export`: a version's network as a file, for programs that know nothing of MLflow."""

import logging
import shutil
from pathlib import Path

from srcnn_mlflow.machine.atomic_write import atomic_write
from srcnn_mlflow.network import standalone
from srcnn_mlflow.network.shipped import SHIPPED_NAMES
from srcnn_mlflow.tracking import registry
from srcnn_mlflow.tracking.store import check_store

# It names no scale: what the network is for stands in the ONNX file beside it.
SCRIPT = Path(standalone.__file__)

logger = logging.getLogger(__name__)


def export(scale: int, model: str, output: Path) -> None:
    """Write a version's ONNX file, and a short script that runs it without MLflow.

    Args:
        scale: 2, 3 or 4.
        model: `newest`, an alias, a version number, `shipped` or a model URI.
        output: a folder, made where needed.

    Raises:
        ModelError: there is no such model.
        WriteError: the folder may not be written, or its disk is full.
    """
    if model not in SHIPPED_NAMES:
        check_store()
    found = registry.find_model(model, scale)
    onnx, script = output / f"srcnn-x{scale}.onnx", output / f"srcnn_x{scale}.py"
    with atomic_write(onnx, found.network.stat().st_size) as partial:
        shutil.copyfile(found.network, partial)
    with atomic_write(script, SCRIPT.stat().st_size) as partial:
        shutil.copyfile(SCRIPT, partial)
    logger.info(
        "wrote %s to %s; %s runs it with onnxruntime, numpy and pillow", found.label, onnx, script
    )
