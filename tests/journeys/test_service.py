"""From the registry to a server and back: promoted, asked over HTTP, rolled back, asked again."""

import base64
import io
import json
import os
import re
import subprocess
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srcnn_mlflow.commands.promote import promote
from srcnn_mlflow.commands.upscale import choose_model, upscale_files
from tests.commands.test_promote import store
from tests.conftest import BIN, http_server, textured_pixels
from tests.versions import GOOD, WEAK

__all__ = ["store"]

pytestmark = pytest.mark.usefixtures("store")


def served_pixels(folder: Path, picture: Path) -> np.ndarray:
    """What a fresh server of the champion answers."""
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    command = ("models", "serve", "-m", "models:/srcnn-x2@champion", "--env-manager", "local")
    with http_server(*command, "-p", "PORT", cwd=folder, environment=environment) as address:
        row = [base64.b64encode(picture.read_bytes()).decode()]
        body = json.dumps({"dataframe_split": {"columns": ["image"], "data": [row]}}).encode()
        request = urllib.request.Request(
            f"{address}/invocations", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            (prediction,) = json.load(answer)["predictions"]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(prediction["image"]))))


def upscaled_pixels(folder: Path, picture: Path) -> np.ndarray:
    """What `upscale` makes of it with the champion."""
    upscale_files(choose_model("champion", 2), 2, [str(picture)], folder / "out.png", False)
    return np.asarray(Image.open(folder / "out.png"))


def test_a_promotion_is_served_and_a_roll_back_brings_the_former_pixels(store: Path) -> None:
    picture = store / "photo.jpg"
    Image.fromarray(textured_pixels(40, 50, 3)).save(picture)
    assert promote(2, str(WEAK), "photos").promoted
    former = served_pixels(store, picture)
    assert former.shape == (80, 100, 3)
    assert np.array_equal(former, upscaled_pixels(store, picture))
    assert promote(2, str(GOOD), "photos").promoted
    promoted = served_pixels(store, picture)
    assert np.array_equal(promoted, upscaled_pixels(store, picture))
    assert not np.array_equal(promoted, former)
    assert promote(2, "previous", "photos").promoted
    assert np.array_equal(served_pixels(store, picture), former)


def test_a_container_installs_what_the_model_needs_and_no_torch(
    store: Path, tmp_path: Path
) -> None:
    image = tmp_path / "image"
    subprocess.run(
        [
            *(BIN / "mlflow", "models", "generate-dockerfile", "--env-manager", "local"),
            *("-m", f"models:/srcnn-x2/{GOOD}", "-d", image),
        ],
        cwd=store,
        check=True,
    )
    recipe = (image / "Dockerfile").read_text()
    assert re.search(r"^FROM python:3\.\d+(\.\d+)?-slim", recipe, re.MULTILINE)
    (requirements,) = image.glob("**/requirements.txt")
    installed = {line.split("==")[0] for line in requirements.read_text().split()}
    assert installed == {"imagecodecs", "mlflow", "numpy", "onnxruntime", "pandas", "pillow"}
    assert all("==" in line for line in requirements.read_text().split())
    assert "requirements.txt" in recipe or "model_dir" in recipe
    assert "torch" not in recipe
    # The network, the served code and the weights of nothing else.
    assert len(list(image.glob("**/network.onnx"))) == 1
