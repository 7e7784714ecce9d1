"""`import-weights` and `export`: networks from other programs, and for them."""

import pickle
import shutil
import tempfile
from pathlib import Path

import mlflow
import numpy as np
import torch

from srcnn_mlflow import registry, tracking
from srcnn_mlflow.architecture import ARCHITECTURES, FILTERS, Architecture
from srcnn_mlflow.atomic_write import atomic_write
from srcnn_mlflow.commands.evaluate import Evaluation, evaluate
from srcnn_mlflow.errors import ModelError, first_line
from srcnn_mlflow.export import Weights, save_onnx
from srcnn_mlflow.progress import Say

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


def read_state_dict(path: Path) -> tuple[Weights, Architecture]:
    """Read a PyTorch state dict of `conv1.weight` ... `conv3.bias`, without unpickling code.

    Args:
        path: a `.pth` file.

    Returns:
        The weights, and the architecture that their shapes tell.

    Raises:
        ModelError: not a file of plain tensors, or not those of SRCNN.
    """
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, ValueError) as error:
        reason = first_line(error)
        raise ModelError(f"{path} cannot be read as plain weights: {reason}") from error
    if isinstance(loaded, dict) and isinstance(loaded.get("state_dict"), dict):
        loaded = loaded["state_dict"]
    for name in ARCHITECTURES:
        shapes = _shapes(Architecture(name))
        if isinstance(loaded, dict) and _shapes_of(loaded) == shapes:
            weights = {key: loaded[key].float().numpy().astype(np.float32) for key in shapes}
            # The common PyTorch programs have no residual, and zeros around every layer.
            return weights, Architecture(name, residual=False, padding="zero")
    found = _shapes_of(loaded) if isinstance(loaded, dict) else type(loaded).__name__
    raise ModelError(
        f"{path} does not hold SRCNN weights: expected conv1, conv2 and conv3 of "
        f"{' or '.join(ARCHITECTURES)} with 64 and 32 filters, found {found}"
    )


def import_weights(path: Path, scale: int, dataset: str, split: str, say: Say) -> Evaluation:
    """Register another program's weights as a version, and judge them like any other.

    Args:
        path: a `.pth` state dict in the common PyTorch layout.
        scale: what they were trained for.
        dataset: the photographs to judge them on.
        split: of these.
        say: where messages go.

    Raises:
        SrcnnError: with a message for the person who asked.
    """
    weights, network = read_state_dict(path)
    parameters = {
        "file": path.name,
        "scale": scale,
        "dataset": dataset,
        "split": split,
        "architecture": network.name,
    }
    with tracking.track("import-weights", scale, parameters, f"import x{scale} {path.name}"):
        with tempfile.TemporaryDirectory() as temporary:
            file = Path(temporary) / registry.NETWORK_FILE
            save_onnx(file, weights, network, scale)
            tags = {"architecture": network.name, "imported_from": path.name}
            version = registry.register(scale, file, tags, alias=None)
        say(f"registered {registry.model_name(scale)} version {version} from {path}")
        evaluation = evaluate(scale, str(version), dataset, split, None, say)
        measured = registry.score_tags(evaluation.summary, f"{dataset} {split}")
        registry.tag_version(scale, version, measured)
        mlflow.set_tag("model_uri", evaluation.model.uri)
    return evaluation


def export(scale: int, model: str, output: Path, say: Say) -> None:
    """Write a version's ONNX file, and a short script that runs it without MLflow.

    Args:
        scale: 2, 3 or 4.
        model: `newest`, an alias, a version number or a model URI.
        output: a folder, made where needed.
        say: where messages go.

    Raises:
        ModelError: there is no such model.
        WriteError: the folder may not be written, or its disk is full.
    """
    found = registry.find_model(model, scale)
    onnx, script = output / f"srcnn-x{scale}.onnx", output / f"srcnn_x{scale}.py"
    with atomic_write(onnx, found.network.stat().st_size) as partial:
        shutil.copyfile(found.network, partial)
    text = _SCRIPT.format(onnx=onnx.name, script=script.name, scale=scale)
    with atomic_write(script, len(text)) as partial:
        partial.write_text(text, encoding="utf-8")
    say(f"wrote {found.label} to {onnx}; {script} runs it with onnxruntime, numpy and pillow")


def _shapes(network: Architecture) -> dict[str, tuple[int, ...]]:
    inputs = (1, *FILTERS[:-1])
    shapes: dict[str, tuple[int, ...]] = {}
    for number, (ins, outs, side) in enumerate(
        zip(inputs, FILTERS, network.kernels, strict=True), start=1
    ):
        shapes[f"conv{number}.weight"] = (outs, ins, side, side)
        shapes[f"conv{number}.bias"] = (outs,)
    return shapes


def _shapes_of(state: dict[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in state.items() if hasattr(value, "shape")}
