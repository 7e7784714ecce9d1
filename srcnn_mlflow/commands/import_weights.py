"""`import-weights`: a network that another program has trained, as a version to be judged."""

import logging
import tempfile
from pathlib import Path

from srcnn_mlflow.commands.evaluate import Evaluation, evaluate, load_comparable
from srcnn_mlflow.network.onnx_export import save_onnx
from srcnn_mlflow.tracking import active_run, registry, runs
from srcnn_mlflow.tracking.descriptions import describe_new
from srcnn_mlflow.training.foreign_weights import read_state_dict

logger = logging.getLogger(__name__)


def import_weights(
    path: Path,
    scale: int,
    dataset: str,
    split: str,
    gate_split: bool = False,
    channels: str = "y",
) -> Evaluation:
    """Register another program's weights as a version, and judge them like any other.

    Args:
        path: a `.pth` state dict in the common PyTorch layout.
        scale: what they were trained for.
        dataset: the photographs to judge them on.
        split: of these.
        gate_split: cut a gate out of the test pictures.
        channels: what they were trained on, which no file of weights tells.

    Raises:
        SrcnnError: with a message for the person who asked.
    """
    weights, network = read_state_dict(path, channels)
    parameters = {
        "file": path.name,
        "scale": scale,
        "dataset": dataset,
        "split": split,
        "gate_split": gate_split,
        "architecture": network.name,
        "channels": channels,
    }
    with runs.track_after(
        lambda: load_comparable(dataset, split, scale, scale, gate_split),
        *("import-weights", scale, parameters, f"import x{scale} {path.name}"),
    ) as pictures:
        with tempfile.TemporaryDirectory() as temporary:
            file = Path(temporary) / registry.NETWORK_FILE
            save_onnx(file, weights, network, scale)
            tags = {
                "architecture": network.name,
                **registry.channels_tag(channels),
                "imported_from": path.name,
            }
            version = registry.register(scale, file, tags, alias=None)
        logger.info("registered %s version %d from %s", registry.model_name(scale), version, path)
        evaluation = evaluate(
            scale, str(version), dataset, split, None, pictures=pictures, gate_split=gate_split
        )
        measured = registry.score_tags(evaluation.summary, f"{dataset} {split}")
        registry.tag_version(scale, version, measured)
        describe_new(scale, version)
        active_run.set_tags({"model_uri": evaluation.model.uri})
    return evaluation
