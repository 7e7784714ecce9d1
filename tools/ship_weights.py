"""Copy the newest registered version of a scale into the package, with where it comes from.

Run it where the version was trained, after `evaluate` has judged it on Set5; see `make weights`.
"""

import argparse
import json
import shutil
from pathlib import Path

from mlflow import MlflowClient

from srcnn_mlflow.machine.errors import ModelError
from srcnn_mlflow.network import shipped
from srcnn_mlflow.tracking import registry, run_search

WEIGHTS = shipped.FOLDER


def main() -> None:
    """Write `srcnn-x{scale}.onnx` and `srcnn-x{scale}.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=int, required=True)
    scale = parser.parse_args().scale
    found = registry.find_model("newest", scale)
    evaluation = run_search.newest_run("evaluate", scale)
    if evaluation is None or evaluation.data.tags.get("model_uri") != found.uri:
        raise ModelError(f"{found.uri} has not been evaluated on Set5; run evaluate first")
    version = MlflowClient().get_model_version(registry.model_name(scale), str(found.version))
    assert version.run_id
    training = MlflowClient().get_run(version.run_id)
    minutes = (training.info.end_time - training.info.start_time) / 60_000
    about = {
        "data": "+".join(Path(part).name for part in version.tags["dataset"].split("+")),
        "data_digest": version.tags["dataset_digest"],
        "git_commit": version.tags["git_commit"],
        "run_id": version.run_id,
        "minutes": round(minutes, 1),
        "parameters": {
            key: value for key, value in sorted(training.data.params.items()) if key != "dataset"
        },
        "validation": {key: training.data.metrics[key] for key in ("best_val_psnr", "best_epoch")},
        "set5": dict(sorted(evaluation.data.metrics.items())),
    }
    shutil.copy(found.network, WEIGHTS / f"srcnn-x{scale}.onnx")
    text = json.dumps(about, indent=2)
    (WEIGHTS / f"srcnn-x{scale}.json").write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
