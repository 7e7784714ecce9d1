"""A network that is no chain comes in from outside, and goes all the way."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from PIL import Image

from srcnn_mlflow.network.upscaler import Upscaler
from srcnn_mlflow.tracking import registry
from tests.commands.test_train import interrupted_after
from tests.conftest import ROOT, put_store, run_command, run_here, write_crops
from tests.foreign_networks import PLAIN, VALID, example, network, write_network

pytestmark = pytest.mark.slow

SHORT = ("--dataset", "photos", "--epochs", "1", "--stride", "60", "--precision", "float32")
# Loads a version and enlarges a picture, where nothing of torch can be imported.
SERVE = """
import base64, json, sys
sys.modules["torch"] = None
import mlflow.pyfunc, pandas as pd
model = mlflow.pyfunc.load_model(sys.argv[1])
(answer,) = model.predict(pd.DataFrame({"image": [sys.stdin.read()]}))
sys.stdout.write(json.dumps(answer))
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    """A folder of photographs, and a version of the example of CONTRIBUTING.md trained on them."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("srcnn_mlflow.pictures.photos.DIGESTS", folder / "digests.json")
        put_store(empty_store, folder)
        write_crops(folder / "photos", 100, train=8, valid=2, test=6)
        write_network(folder / "elsewhere", example(), "skip.py")
        done = run_here(
            *("train", "--dataset", "photos", "--epochs", "20", "--stride", "20"),
            *("--architecture", "elsewhere/skip.py", "--lr", "0.002"),
            cwd=folder,
        )
    assert done.returncode == 0, done.stderr
    assert "skip.py pads and begins as it is written" in done.stdout
    return folder


@pytest.fixture
def folder(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(trained)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{trained}/mlflow.db")
    return trained


def runs(entry_point: str = "train") -> list[Run]:
    """The newest first."""
    return mlflow.search_runs(
        search_all_experiments=True,
        filter_string=f"tags.entry_point = '{entry_point}'",
        order_by=["tags.sequence DESC"],
        output_format="list",
    )


def photo(folder: Path) -> Path:
    return sorted((folder / "photos" / "test").iterdir())[0]


def test_its_run_holds_what_it_was_made_of(folder: Path) -> None:
    run = runs()[-1]
    source = MlflowClient().download_artifacts(run.info.run_id, "network/skip.py")
    assert Path(source).read_text() == example()
    assert run.data.params["architecture"] == str(folder / "elsewhere" / "skip.py")
    own = {name: run.data.params[name] for name in ("padding", "initialization", "precondition")}
    assert own == {"padding": "own", "initialization": "own", "precondition": "false"}
    tags = MlflowClient().get_model_version("srcnn-x2", "1").tags
    assert tags["architecture"] == "skip.py"
    assert tags["network_digest"] == run.data.tags["network_digest"]
    assert tags["network_file"] == "skip.py"
    assert run.data.tags["network_own"] == "padding, initialization; precondition is off"


def test_it_is_judged_promoted_compared_and_exported(folder: Path) -> None:
    done = run_here("evaluate", "--dataset", "photos", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert runs("evaluate")[0].data.metrics["psnr_gain"] > 0.1
    done = run_here("promote", "--dataset", "photos", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert registry.version_with_alias(2, "champion") == 1
    done = run_here("compare", "--dataset", "photos", cwd=folder)
    assert "skip.py" in done.stdout
    done = run_here("export", "--output", "exported", cwd=folder)
    assert done.returncode == 0, done.stderr
    run_here("upscale", "--input", str(photo(folder)), "--output", "up", cwd=folder)
    script = subprocess.run(
        [sys.executable, "exported/srcnn_x2.py", str(photo(folder)), "alone.png"],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
    )
    assert script.returncode == 0, script.stderr
    (enlarged,) = (folder / "up").glob("*.png")
    with Image.open(folder / "alone.png") as alone, Image.open(enlarged) as whole:
        assert np.array_equal(np.asarray(alone), np.asarray(whole))


def test_it_is_served_where_there_is_no_torch(folder: Path) -> None:
    found = registry.find_model("1", 2)
    served = subprocess.run(
        [sys.executable, "-P", "-c", SERVE, str(found.folder)],
        input=base64.b64encode(photo(folder).read_bytes()).decode(),
        capture_output=True,
        text=True,
        check=False,
        cwd=folder / "photos",
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
    )
    assert served.returncode == 0, served.stderr
    answer = json.loads(served.stdout.splitlines()[-1])
    with Image.open(photo(folder)) as image:
        assert (answer["width"], answer["height"]) == (2 * image.width, 2 * image.height)
    assert Upscaler(found.network).scale == 2


@pytest.mark.exhaustive
def test_a_training_goes_on_with_the_same_file_and_with_no_other(folder: Path) -> None:
    file = write_network(folder / "resumed", PLAIN)
    arguments = ("train", *SHORT[:2], *SHORT[4:], "--epochs", "2", "--architecture", file)
    assert run_here(*arguments, cwd=folder).returncode == 0
    before = runs()[0].info.run_id
    whole = runs()[0].data.metrics["val_psnr"]
    with interrupted_after(1):
        if run_here(*arguments, cwd=folder).returncode == 130:
            raise KeyboardInterrupt
    interrupted = runs()[0].info.run_id
    assert interrupted != before
    write_network(folder / "resumed", PLAIN.replace("relu(", "tanh("))
    refused = run_here("train", "--resume", interrupted, cwd=folder)
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()[-1:]
    assert f"net.py is not the one that run {interrupted} began with (digest " in line
    write_network(folder / "resumed", PLAIN)
    resumed = run_here("train", "--resume", interrupted, cwd=folder)
    assert resumed.returncode == 0, resumed.stderr
    assert runs()[0].data.metrics["val_psnr"] == whole


def test_it_is_gone_on_with(folder: Path) -> None:
    done = run_here(
        *("train", *SHORT, "--architecture", "elsewhere/skip.py", "--init-from", "1"), cwd=folder
    )
    assert done.returncode == 0, done.stderr
    assert "begin anew" not in done.stdout + done.stderr
    before, after = (one.data.metrics["best_val_psnr"] for one in (runs()[-1], runs()[0]))
    assert before - 1e-6 <= after < before + 1


@pytest.mark.exhaustive
def test_a_sweep_tries_it(folder: Path) -> None:
    done = run_here(
        *("sweep", "--dataset", "photos", "--trials", "2", "--epochs", "1"),
        *("--architecture", write_network(folder / "swept", VALID)),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    write_network(folder / "swept", PLAIN)
    other = run_here(
        *("sweep", "--dataset", "photos", "--trials", "3", "--epochs", "1"),
        *("--architecture", "swept/net.py"),
        cwd=folder,
    )
    assert other.returncode == 1
    assert "digest" in other.stderr


@pytest.mark.exhaustive
def test_two_processes_train_it(folder: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", "2", "-m", "srcnn_mlflow", "train", *SHORT),
            *("--architecture", "elsewhere/skip.py", "--init-from", "1"),
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert runs()[0].data.tags["processes"] == "2"
    assert runs()[0].data.tags["init_from"].startswith("models:/srcnn-x2/1#")


REFUSED = {
    "no file": ("nowhere.py", "the network's file .*nowhere.py does not exist"),
    "no name": ("elsewhere/skip.py:Other", "has nothing of the name Other; it offers Skip"),
    "wrong halo": (network("return self.b(self.a(x))", halo=3), "says halo 3, but"),
    "raises": ("1 / 0", "cannot be imported: ZeroDivisionError"),
}


@pytest.mark.exhaustive
def test_what_is_no_network_leaves_nothing_behind(folder: Path) -> None:
    before = len(runs()), len(MlflowClient().search_model_versions())
    for number, (text, reason) in enumerate(REFUSED.values()):
        given = text if ".py" in text else write_network(folder / f"odd{number}", text)
        for command in ("train", "main", "sweep", "reproduce"):
            done = run_here(command, "--dataset", "photos", "--architecture", given, cwd=folder)
            assert done.returncode == 1, done.stdout
            (line,) = done.stderr.splitlines()[-1:]
            assert line.startswith("error: ")
            assert reason.partition(".*")[2] in line
            if number > 0:
                break
    assert (len(runs()), len(MlflowClient().search_model_versions())) == before
    assert not any(runs(command) for command in ("main", "reproduce"))


@pytest.mark.exhaustive
def test_the_path_is_meant_from_where_one_stands(folder: Path) -> None:
    done = run_command(
        *("train", "--dataset", str(folder / "nowhere"), "--architecture", "../elsewhere/no.py"),
        cwd=folder / "photos",
    )
    assert (
        f"the network's file {folder / 'photos'}/../elsewhere/no.py does not exist" in done.stderr
    )
