"""Versions that were registered before the wings: loaded, judged, promoted and served as ever."""

import base64
import io
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from PIL import Image

from srcnn_mlflow.commands.evaluate import evaluate
from srcnn_mlflow.commands.promote import promote
from srcnn_mlflow.machine.errors import ModelError
from srcnn_mlflow.network.upscaler import Upscaler
from srcnn_mlflow.tracking import registry
from srcnn_mlflow.tracking.judge import JudgedModel
from tests.conftest import BIN, ROOT, http_server, textured_pixels, write_crops
from tests.former_store import COMMIT, FORMER_NETWORK, is_in_history, make_former_store

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not is_in_history(), reason=f"the history here does not reach {COMMIT}"),
]

LOAD_BESIDE_THE_NEW = """
import sys
import srcnn_mlflow.network.upscaler as present
import srcnn_mlflow.tracking.served_model
import mlflow.pyfunc, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
(answer,) = model.predict(pandas.DataFrame({"image": [sys.stdin.read()]}))
sys.stdout.write(answer["image"])
"""


@pytest.fixture(scope="module")
def former_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a store with a former version, and photographs beside it."""
    folder = tmp_path_factory.mktemp("former")
    make_former_store(folder)
    write_crops(folder / "photos", 140, test=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        yield folder


@pytest.fixture
def request_text() -> str:
    file = io.BytesIO()
    Image.fromarray(textured_pixels(30, 40, 5)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def is_right(store: Path, request: str, answer: str) -> bool:
    """Whether an answer has the pixels that the code of today makes with that network."""
    given, got = (Image.open(io.BytesIO(base64.b64decode(one))) for one in (request, answer))
    expected = Upscaler(store / FORMER_NETWORK).upscale_image(given)
    return np.array_equal(np.asarray(got), np.asarray(expected))


def test_it_is_of_then(former_store: Path) -> None:
    assert former_store.is_dir()
    code = registry.find_model("1", 2).folder / "code" / "srcnn_mlflow"
    assert (code / "upscaler.py").is_file()
    assert not (code / "network").exists()


def test_it_loads_where_the_present_package_was_imported(
    former_store: Path, request_text: str
) -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", LOAD_BESIDE_THE_NEW, "models:/srcnn-x2/1"],
        cwd=former_store,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        input=request_text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert loaded.returncode == 0, loaded.stderr
    assert is_right(former_store, request_text, loaded.stdout)


@pytest.mark.usefixtures("former_store")
def test_it_is_judged_and_promoted() -> None:
    summary = evaluate(2, "newest", "photos", "test", None).summary
    assert summary.psnr_gain > 0.5
    assert promote(2, "challenger", "photos").promoted
    assert MlflowClient().get_model_version_by_alias("srcnn-x2", "champion").aliases == [
        "challenger",
        "champion",
    ]


@pytest.mark.usefixtures("former_store")
def test_it_computes_in_float32_only_and_says_so() -> None:
    found = registry.find_model("1", 2)
    with pytest.raises(ModelError, match=r"version 1 was registered before precision=bfloat16"):
        JudgedModel(found.folder, found.name, "bfloat16")


def test_it_is_served(former_store: Path, request_text: str) -> None:
    body = json.dumps({"dataframe_split": {"columns": ["image"], "data": [[request_text]]}})
    with http_server(
        *("models", "serve", "-m", "models:/srcnn-x2/1"),
        *("-p", "PORT", "--env-manager", "local"),
        cwd=former_store,
        environment={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
    ) as address:
        request = urllib.request.Request(
            f"{address}/invocations", body.encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            (prediction,) = json.load(answer)["predictions"]
    assert is_right(former_store, request_text, prediction["image"])
