"""Networks by name or from outside, from a training to a served answer, on parts of photographs."""

import base64
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srcnn_mlflow.tracking import registry
from tests.conftest import put_store, run_here, write_crops
from tests.foreign_networks import example, write_network
from tests.served import JSON, champion_server

CHAINS = ("9-1-1-5:16-8-8", "9-5-5", "9-3-5", "11-1-7", "9-5-5:32-16", "vdsr")
# That of CONTRIBUTING.md, in a folder of its own.
FROM_OUTSIDE = "elsewhere/skip.py"
# It sees 41 pixels.
LENGTH = {
    FROM_OUTSIDE: ("--epochs", "20", "--stride", "20", "--lr", "0.002"),
    "vdsr": ("--patch-size", "57", "--stride", "31", "--epochs", "12", "--lr", "0.0003"),
}
USUAL_LENGTH = ("--epochs", "8")


@pytest.mark.exhaustive
@pytest.mark.parametrize("chain", [*CHAINS, FROM_OUTSIDE])
def test_a_chain_is_trained_judged_promoted_served_and_exported(
    chain: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    write_crops(tmp_path / "photos", 120, train=3, valid=2, test=6)
    write_network(tmp_path / "elsewhere", example(), "skip.py")
    length = LENGTH.get(chain, USUAL_LENGTH)
    for command, *more in (
        ("train", "--architecture", chain, *length),
        ("evaluate",),
        ("promote",),
    ):
        done = run_here(command, "--dataset", "photos", *more, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
    champion = registry.find_model("champion", 2)
    assert champion.version == 1
    tags = registry.version_tags(2, 1)
    assert tags is not None
    assert tags["architecture"] == Path(chain).name

    photo = next((tmp_path / "photos" / "test").iterdir())
    exported = run_here("export", "--output", "exported", cwd=tmp_path)
    assert exported.returncode == 0, exported.stderr
    subprocess.run(
        [sys.executable, "-I", "exported/srcnn_x2.py", str(photo), "by_script.png"],
        cwd=tmp_path,
        check=True,
    )
    body = json.dumps(
        {
            "dataframe_split": {
                "columns": ["image"],
                "data": [[base64.b64encode(photo.read_bytes()).decode()]],
            }
        }
    )
    with champion_server(tmp_path) as send:
        status, answer = send(body.encode(), JSON)
    assert status == 200, answer
    (prediction,) = json.loads(answer)["predictions"]
    served = np.asarray(Image.open(io.BytesIO(base64.b64decode(prediction["image"]))))
    assert served.shape == (240, 240, 3)
    assert np.array_equal(served, np.asarray(Image.open("by_script.png")))
