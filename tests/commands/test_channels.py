"""Networks on luma and on colours through all commands, on small photographs."""

import base64
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from PIL import Image

from srcnn_mlflow.measuring.metrics import psnr
from srcnn_mlflow.network.architecture import Architecture
from srcnn_mlflow.network.upscaler import Upscaler
from srcnn_mlflow.pictures.colour import luma_plane
from srcnn_mlflow.pictures.pairs import make_small
from srcnn_mlflow.tracking.registry import find_model
from srcnn_mlflow.training.model import Srcnn
from tests.conftest import put_store, run_here, runs_of, sampled, write_crops
from tests.photographs import CAMERA
from tests.served import JSON, champion_server
from tests.versions import begin_with

pytestmark = pytest.mark.slow

# Where they stand in the registry.
VERSIONS = {"rgb": 1, "ycbcr": 2, "y": 3}
IN_COLOUR = pytest.mark.parametrize("channels", ["rgb", "ycbcr"])


def run(*arguments: str) -> str:
    ended = run_here(*arguments, cwd=Path.cwd())
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Path]:
    """A folder with photographs, where one works, and a version on each of the channels."""
    folder = tmp_path_factory.mktemp("channels")
    write_crops(folder / "photos", 130, train=8, valid=1, test=5)
    Image.fromarray(CAMERA[100:180, 200:300]).save(folder / "photos" / "valid" / "grey.png")
    Image.fromarray(CAMERA[200:280, 100:210]).save(folder / "photos" / "test" / "grey.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, folder))
        for channels in VERSIONS:
            epochs = "1" if channels == "y" else "2"
            run(
                *("train", "--dataset", "photos", "--channels", channels, "--epochs", epochs),
                *("--architecture", "9-1-5", "--stride", "7", "--precision", "float32"),
            )
        yield folder


def version(channels: str) -> Any:
    return MlflowClient().get_model_version("srcnn-x2", str(VERSIONS[channels]))


@pytest.mark.usefixtures("trained")
def test_versions_say_what_they_work_on_where_it_is_not_luma() -> None:
    assert "channels" not in version("y").tags
    for channels in ("rgb", "ycbcr"):
        assert version(channels).tags["channels"] == channels
        assert version(channels).tags["architecture"] == "9-1-5"
        assert float(version(channels).tags["psnr_gain"]) > 0


@pytest.mark.parametrize("channels", list(VERSIONS))
@pytest.mark.usefixtures("trained")
def test_the_best_epoch_was_validated_as_the_version_is_measured(channels: str) -> None:
    run_of = MlflowClient().get_run(version(channels).run_id)
    assert run_of.data.params["channels"] == channels
    best = run_of.data.metrics["best_val_psnr"]
    assert float(version(channels).tags["psnr"]) == pytest.approx(best, abs=1e-4)


@pytest.mark.parametrize("channels", sampled(["rgb", "ycbcr"]))
def test_colours_are_evaluated_judged_and_promoted(trained: Path, channels: str) -> None:
    number = str(VERSIONS[channels])
    said = run("evaluate", "--model", number, "--dataset", "photos", "--results", channels)
    assert "| x2    | RGB PSNR (dB) |" in said
    found = runs_of(MlflowClient(), f"tags.model_uri = 'models:/srcnn-x2/{number}'")[0]
    metrics = found.data.metrics
    # Of the very files that were kept, and that a viewer would see.
    names = sorted(path.name for path in (trained / "photos" / "test").iterdir())
    lumas, colours = [], []
    for name in names:
        original = np.asarray(Image.open(trained / "photos" / "test" / name))
        original, _, _ = make_small(original, 2)
        made = np.asarray(Image.open(trained / channels / f"{Path(name).stem}-x2.png"))
        assert made.shape == original.shape
        lumas.append(psnr(luma_plane(original), luma_plane(made), 2))
        colours.append(psnr(original, made, 2))
    assert metrics["srcnn_psnr"] == pytest.approx(np.mean(lumas), abs=6e-5)
    assert metrics["srcnn_rgb_psnr"] == pytest.approx(np.mean(colours), abs=6e-5)
    assert metrics["srcnn_rgb_psnr"] > metrics["bicubic_rgb_psnr"]
    table = json.loads(
        Path(
            MlflowClient().download_artifacts(found.info.run_id, "evaluation/table.json")
        ).read_text()
    )
    assert [row["Metric"] for row in table["rows"]] == ["PSNR (dB)", "SSIM", "RGB PSNR (dB)"]
    # What `score` finds in these files, and of the model run anew.
    run(
        *("score", "--results", channels, "--originals", "photos/test"),
        *("--protocol", "basicsr-rgb", "--model", number),
    )
    scores = json.loads((trained / channels / "score" / "table.json").read_text())["scores"]
    for subject in ("result", "network"):
        assert scores[subject]["srcnn-mlflow"]["psnr"] == pytest.approx(
            metrics["srcnn_psnr"], abs=6e-5
        )
    rgb = scores["result"]["basicsr-rgb"]["psnr"]
    assert rgb == pytest.approx(metrics["srcnn_rgb_psnr"], abs=6e-5)
    begin_with()
    said = run("promote", "--version", number, "--dataset", "photos")
    assert f"version {number} is champion" in said
    assert "Its colours: " in said


def test_a_version_on_luma_is_evaluated_as_ever(trained: Path) -> None:
    said = run("evaluate", "--model", str(VERSIONS["y"]), "--dataset", "photos")
    assert "RGB" not in said
    found = runs_of(MlflowClient(), "tags.entry_point = 'evaluate'")[0]
    assert not any("rgb" in name for name in found.data.metrics)
    assert trained.is_dir()


@IN_COLOUR
def test_pictures_come_out_alike_from_upscale_and_the_exported_script(
    trained: Path, channels: str
) -> None:
    number, photos = str(VERSIONS[channels]), trained / "photos" / "test"
    run("upscale", "--model", number, "--input", str(photos), "--output", f"up-{channels}")
    run("export", "--model", number, "--output", f"out-{channels}")
    model = Upscaler(trained / f"out-{channels}" / "srcnn-x2.onnx")
    assert model.channels == channels
    for path in sorted(photos.iterdir())[-2:]:
        upscaled = Image.open(trained / f"up-{channels}" / f"{path.stem}-x2.png")
        given = np.asarray(Image.open(path))
        assert np.array_equal(np.asarray(upscaled), model.upscale_pixels(given))
        result = trained / f"{channels}.png"
        script = trained / f"out-{channels}" / "srcnn_x2.py"
        subprocess.run([sys.executable, script, path, result], check=True)
        assert np.array_equal(np.asarray(Image.open(result)), np.asarray(upscaled))


@pytest.mark.exhaustive
def test_luma_and_colours_are_compared_on_both_measures(trained: Path) -> None:
    models = "+".join(f"srcnn-x2/{number}" for number in VERSIONS.values())
    said = run("compare", "--models", models, "--dataset", "photos")
    for network in ("9-1-5 rgb", "9-1-5 ycbcr", "9-1-5  "):
        assert network in said
    assert "SRCNN RGB (dB)" in said
    assert trained.is_dir()


def test_a_network_on_colours_is_served(trained: Path) -> None:
    begin_with(VERSIONS["rgb"])
    photo = sorted((trained / "photos" / "test").glob("astro*.png"))[0]
    pixels = np.dstack([np.asarray(Image.open(photo)), np.full((130, 130), 200, np.uint8)])
    sent = []
    for image in (Image.open(photo), Image.fromarray(pixels)):
        file = io.BytesIO()
        image.save(file, "PNG")
        sent.append([base64.b64encode(file.getvalue()).decode()])
    body = json.dumps({"dataframe_split": {"columns": ["image"], "data": sent}}).encode()
    with champion_server(trained) as send:
        status, text = send(body, JSON)
    assert status == 200, text
    model = Upscaler(find_model(str(VERSIONS["rgb"]), 2).network)
    opaque, alpha = (
        np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["image"]))))
        for answer in json.loads(text)["predictions"]
    )
    assert np.array_equal(opaque, model.upscale_pixels(np.asarray(Image.open(photo))))
    assert alpha.shape == (260, 260, 4)
    assert np.array_equal(alpha[..., :3], opaque)
    assert (alpha[..., 3] == 200).all()


def test_an_interrupted_training_keeps_its_channels(trained: Path) -> None:
    interrupted = version("rgb").run_id
    MlflowClient().set_terminated(interrupted, "FAILED")
    said = run("train", "--resume", interrupted, "--channels", "y", "--dataset", "photos")
    assert "its own settings hold, and not those of this command: " in said
    assert "channels rgb, not y" in said
    assert trained.is_dir()
    (newest,) = MlflowClient().search_model_versions("name = 'srcnn-x2'", max_results=1)
    assert newest.tags["channels"] == "rgb"


@pytest.mark.exhaustive
def test_weights_of_another_program_are_taken_for_what_they_are_said_to_be(trained: Path) -> None:
    torch.manual_seed(0)
    network = Architecture("9-1-5", residual=False, padding="zero", channels="rgb")
    torch.save(Srcnn(network, "plain").state_dict(), trained / "foreign.pth")
    refused = run_here(
        "import-weights", "--file", "foreign.pth", "--dataset", "photos", cwd=trained
    )
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].endswith(
        "give what it was trained on: channels=ycbcr or rgb"
    )
    said = run(
        "import-weights", "--file", "foreign.pth", "--dataset", "photos", "--channels", "rgb"
    )
    assert "RGB PSNR (dB)" in said
    (newest,) = MlflowClient().search_model_versions("name = 'srcnn-x2'", max_results=1)
    assert (newest.tags["channels"], newest.tags["imported_from"]) == ("rgb", "foreign.pth")
