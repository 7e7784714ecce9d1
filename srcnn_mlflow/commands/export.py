"""`export`: a version's network as a file, for programs that know nothing of MLflow."""

import logging
import shutil
from pathlib import Path

from srcnn_mlflow.machine.atomic_write import atomic_write
from srcnn_mlflow.tracking import registry
from srcnn_mlflow.tracking.store import check_store

logger = logging.getLogger(__name__)

_SCRIPT = '''\
"""Enlarge an upright colour picture, all at once: python {script} photo.png result.png"""
import sys
from pathlib import Path
import numpy as np
import onnxruntime
from PIL import Image

photo = Image.open(sys.argv[1]).convert("RGB")
size = (photo.width * {scale}, photo.height * {scale})
colours = np.asarray(photo.resize(size, Image.Resampling.BICUBIC), np.float32)
luma = np.rint(16 + np.asarray(photo) @ np.array([65.481, 128.553, 24.966]) / 255)
luma = Image.fromarray(luma.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
luma = np.clip(np.asarray(luma), 0, 255)
network = onnxruntime.InferenceSession(Path(__file__).with_name("{onnx}"))
(sharp,) = network.run(None, {{"luma": luma[None, None] / np.float32(255)}})
step = (np.clip(sharp[0, 0] * 255, 0, 255) - luma) * 255 / 219
result = np.clip(np.rint(colours + step[..., None]), 0, 255).astype(np.uint8)
Image.fromarray(result).save(sys.argv[2])
'''


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
    if model != registry.SHIPPED:
        check_store()
    found = registry.find_model(model, scale)
    onnx, script = output / f"srcnn-x{scale}.onnx", output / f"srcnn_x{scale}.py"
    with atomic_write(onnx, found.network.stat().st_size) as partial:
        shutil.copyfile(found.network, partial)
    text = _SCRIPT.format(onnx=onnx.name, script=script.name, scale=scale)
    with atomic_write(script, len(text)) as partial:
        partial.write_text(text, encoding="utf-8")
    logger.info(
        "wrote %s to %s; %s runs it with onnxruntime, numpy and pillow", found.label, onnx, script
    )
