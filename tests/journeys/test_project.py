"""The whole experiment as a user runs it: `mlflow run`, registry, Python model and server."""

import base64
import io
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Run
from PIL import Image

from srcnn_mlflow.machine.errors import ModelError
from srcnn_mlflow.machine.text import rounded
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.pictures.photos import digest
from srcnn_mlflow.tracking.judge import JudgedModel
from tests.conftest import (
    BIN,
    ROOT,
    http_server,
    run_here,
    run_mlflow,
    runs_of,
    textured_pixels,
    write_crops,
)

PROJECT_FILES = ("MLproject", "python_env.yaml", "requirements.txt", "srcnn_mlflow")


@dataclass(frozen=True)
class Workspace:
    """A copy of the project in a folder with a space in its name, where experiments are run."""

    folder: Path

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.folder}/mlflow.db"

    @property
    def environment(self) -> dict[str, str]:
        path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        return {
            **os.environ,
            "PATH": path,
        }

    def project(self, entry_point: str, **parameters: Any) -> subprocess.CompletedProcess[str]:
        """`mlflow run . --env-manager local`, as the README has it."""
        given = [word for key, value in parameters.items() for word in ("-P", f"{key}={value}")]
        words = ("run", ".", "--env-manager", "local", "-e", entry_point, *given)
        return run_mlflow(*words, cwd=self.folder, environment=self.environment)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`srcnn-mlflow`, as it is installed."""
        return run_here(*arguments, cwd=self.folder)

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.uri)

    def runs(self, entry_point: str) -> list[Run]:
        """Newest first."""
        return runs_of(self.client, f"tags.entry_point = '{entry_point}'")

    def version(self, alias: str) -> int:
        return int(self.client.get_model_version_by_alias("srcnn-x2", alias).version)

    def model(self, alias: str) -> Path:
        found = self.client.get_model_version_by_alias("srcnn-x2", alias)
        source = self.client.get_model_version_download_uri("srcnn-x2", found.version)
        return Path(mlflow.artifacts.download_artifacts(source, tracking_uri=self.uri))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace in which `main` has run once on parts of the samples."""
    folder = tmp_path_factory.mktemp("a folder with spaces") / "the project"
    folder.mkdir()
    for name in PROJECT_FILES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    workspace = Workspace(folder)
    write_crops(folder / "photographs", 160, train=8, valid=2, test=5)
    result = workspace.project("main", dataset="photographs", architecture="9-1-5", epochs=4)
    assert result.returncode == 0, result.stderr
    assert "version 1 is champion of srcnn-x2" in result.stdout
    return workspace


def test_main_leaves_a_finished_run_with_a_nested_run_for_every_stage(
    workspace: Workspace,
) -> None:
    (main,) = workspace.runs("main")
    assert main.info.status == "FINISHED"
    assert main.data.params["epochs"] == "4"
    assert main.data.metrics["psnr_gain"] > 0.3
    assert main.data.tags["promoted"] == "true"
    for stage in ("train", "evaluate", "promote"):
        run = workspace.runs(stage)[-1]
        assert run.info.status == "FINISHED"
        assert run.data.tags["mlflow.parentRunId"] == main.info.run_id
        assert run.data.tags["scale"] == "2"
        assert run.data.tags["git_commit"]


def _psnr(point: Metric) -> float:
    return point.value


def test_training_is_tracked_by_the_epoch(workspace: Workspace) -> None:
    run = workspace.runs("train")[-1]
    for name in ("train_loss", "val_psnr", "lr", "epoch_seconds", "patches_per_second"):
        history = workspace.client.get_metric_history(run.info.run_id, name)
        assert [point.step for point in history] == [1, 2, 3, 4], name
    best = max(workspace.client.get_metric_history(run.info.run_id, "val_psnr"), key=_psnr)
    assert run.data.metrics["best_epoch"] == best.step
    assert run.data.metrics["best_val_psnr"] == best.value
    files = {item.path for item in workspace.client.list_artifacts(run.info.run_id, "checkpoint")}
    assert files == {
        "checkpoint/best.safetensors",
        "checkpoint/state-even.safetensors",
        "checkpoint/state-odd.safetensors",
    }
    assert run.inputs is not None
    inputs = {entry.tags[0].value: entry.dataset.digest for entry in run.inputs.dataset_inputs}
    photographs = load_dataset(str(workspace.folder / "photographs"))
    assert inputs == {split: digest(photographs.photos(split)) for split in ("train", "valid")}


def test_the_evaluation_holds_table_and_pictures(workspace: Workspace) -> None:
    run = workspace.runs("evaluate")[-1]
    metrics = run.data.metrics
    assert set(metrics) == {
        "bicubic_psnr",
        "srcnn_psnr",
        "psnr_gain",
        "bicubic_ssim",
        "srcnn_ssim",
        "ssim_gain",
        "mse_reduction_percent",
        "images",
        "bicubic_bias",
        "srcnn_bias",
        "srcnn_largest_bias",
        "psnr_gain_low",
        "psnr_gain_high",
    }
    assert abs(metrics["srcnn_bias"]) <= abs(metrics["srcnn_largest_bias"]) < 5
    gain = metrics["srcnn_psnr"] - metrics["bicubic_psnr"]
    assert metrics["psnr_gain"] == pytest.approx(gain, abs=2e-4)
    assert run.data.tags["model_uri"] == "models:/srcnn-x2/1"
    folder = Path(run.info.artifact_uri.removeprefix("file://")) / "evaluation"
    assert sorted(path.name for path in folder.iterdir()) == [
        "best.png",
        "per_image.json",
        "report.html",
        "table.json",
        "table.md",
        "worst.png",
    ]
    table = json.loads((folder / "table.json").read_text())
    assert [list(row) for row in table["rows"]] == [
        ["Scale", "Metric", "Bicubic", "SRCNN", "Improvement"]
    ] * 2
    per_image = json.loads((folder / "per_image.json").read_text())
    assert len(per_image["data"]) == metrics["images"] == 5
    gains = per_image["columns"].index("psnr_gain")
    mean_gain = float(np.mean([row[gains] for row in per_image["data"]]))
    assert mean_gain == pytest.approx(metrics["psnr_gain"], abs=1e-5)
    shifts = [row[per_image["columns"].index("srcnn_bias")] for row in per_image["data"]]
    assert rounded(max(shifts, key=abs)) == metrics["srcnn_largest_bias"]
    told = f"(bicubic {metrics['bicubic_bias']:+.2f})"
    assert told in (folder / "table.md").read_text()
    with Image.open(folder / "best.png") as picture:
        assert picture.width > 1000


def test_the_registry_has_version_alias_and_tags(workspace: Workspace) -> None:
    assert workspace.version("challenger") == workspace.version("champion") == 1
    version = workspace.client.get_model_version("srcnn-x2", "1")
    assert set(version.tags) == {
        "architecture",
        "dataset",
        "dataset_digest",
        "psnr",
        "ssim",
        "psnr_gain",
        "measured_on",
        "git_commit",
        "judged_by",
        "verdict",
        "described",
    }
    assert version.tags["judged_by"] == workspace.runs("promote")[-1].info.run_id
    assert version.tags["measured_on"] == "photographs test"
    metrics = workspace.runs("evaluate")[-1].data.metrics
    assert float(version.tags["psnr"]) == pytest.approx(metrics["srcnn_psnr"], abs=1e-4)


def test_the_model_upscales_like_the_command(workspace: Workspace, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray(textured_pixels(50, 60, 9)).save(photo)
    result = workspace.command("upscale", "--input", str(photo), "--output", str(tmp_path))
    assert result.returncode == 0, result.stderr
    assert "with srcnn-x2/1" in result.stdout
    with JudgedModel(workspace.model("champion")) as judged:
        served = judged.upscale_image(Image.open(photo))
    expected = np.asarray(Image.open(tmp_path / "photo-x2.png"))
    assert np.array_equal(np.asarray(served), expected)


def test_the_model_needs_neither_torch_nor_a_pickle(workspace: Workspace) -> None:
    folder = workspace.model("champion")
    requirements = (folder / "requirements.txt").read_text()
    assert "torch" not in requirements
    assert "onnxruntime==" in requirements
    assert not list(folder.glob("**/*.pkl"))
    code = (
        "import sys, mlflow.pyfunc\n"
        "model = mlflow.pyfunc.load_model(sys.argv[1])\n"
        "print(model.predict(model.input_example)[0]['width'])\n"
        "assert 'torch' not in sys.modules\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "32"


def test_a_model_is_judged_with_the_code_it_was_logged_with(
    workspace: Workspace, tmp_path: Path
) -> None:
    copy = tmp_path / "model"
    shutil.copytree(workspace.model("champion"), copy)
    logged = copy / "code" / "srcnn_mlflow" / "network" / "upscaler.py"
    original = "return assemble(picture, self.scale, [step])"
    assert original in logged.read_text()
    changed = original.replace("[step]", "[255 - step]")
    logged.write_text(logged.read_text().replace(original, changed))
    plane = textured_pixels(20, 20, 3)[..., 0]
    with JudgedModel(workspace.model("champion")) as judged:
        expected = judged.upscale_luma(plane)
    with JudgedModel(copy) as judged:
        assert np.array_equal(judged.upscale_luma(plane), 255 - expected)


def test_a_model_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    with (
        JudgedModel(tmp_path / "nothing") as judged,
        pytest.raises(ModelError, match=r"nothing cannot be run: .*"),
    ):
        judged.upscale_luma(np.zeros((4, 4), np.uint8))


@pytest.mark.exhaustive
def test_an_equal_model_is_refused_without_failing_main(workspace: Workspace) -> None:
    result = workspace.project("main", dataset="photographs", architecture="9-1-5", epochs=4)
    assert result.returncode == 0, result.stderr
    assert "version 2 is not promoted, for 2 reasons:\n- its PSNR" in result.stdout
    assert workspace.version("challenger") == 2
    assert workspace.version("champion") == 1
    # The same seed on the same machine: the same numbers, to the last digit.
    second, first = workspace.runs("evaluate")[:2]
    assert second.data.metrics == first.data.metrics


@pytest.mark.exhaustive
def test_promote_refuses_with_exit_code_one_and_rolls_back(workspace: Workspace) -> None:
    result = workspace.command("promote", "--version", "2", "--dataset", "photographs")
    assert result.returncode == 1
    assert "version 2 is not promoted, for 2 reasons:\n- its PSNR" in result.stdout
    assert "against champion version 1's" in result.stdout
    assert workspace.version("champion") == 1
    workspace.client.set_registered_model_alias("srcnn-x2", "previous-champion", "2")
    result = workspace.command("promote", "--version", "previous")
    assert result.returncode == 0, result.stderr
    assert workspace.version("champion") == 2
    assert "previous-champion" not in workspace.client.get_registered_model("srcnn-x2").aliases
    result = workspace.command("promote", "--version", "2", "--dataset", "photographs")
    assert result.returncode == 1
    assert "it is the champion of srcnn-x2 already" in result.stdout


def test_a_run_with_a_wrong_parameter_fails(workspace: Workspace) -> None:
    result = workspace.project("train", scale="abc")
    assert result.returncode != 0
    assert "error: Invalid value for '--scale': 'abc' is not one of" in result.stderr
    newest = runs_of(workspace.client)[0]
    assert newest.info.status == "FAILED"


@pytest.mark.exhaustive
def test_a_run_on_a_missing_folder_fails(workspace: Workspace) -> None:
    result = workspace.project("train", dataset="no/such folder")
    assert result.returncode != 0
    assert "data set 'no/such folder' is not a folder that exists" in result.stderr
    newest = workspace.runs("train")[0]
    assert newest.info.status == "FAILED"


def test_a_model_of_another_scale_is_refused(workspace: Workspace) -> None:
    result = workspace.command(
        *("evaluate", "--scale", "3", "--model", "models:/srcnn-x2/1", "--dataset", "photographs")
    )
    assert result.returncode == 1
    assert "srcnn-x2/1 enlarges by 2, not by 3; give scale=2" in result.stderr


def test_the_self_ensemble_is_reported_apart(workspace: Workspace, photo_folder: Path) -> None:
    result = workspace.command(
        "evaluate", "--dataset", str(photo_folder), "--self-ensemble", "true"
    )
    assert result.returncode == 0, result.stderr
    metrics = workspace.runs("evaluate")[0].data.metrics
    assert metrics["ensemble_psnr"] != metrics["srcnn_psnr"]
    assert metrics["ensemble_psnr"] == pytest.approx(metrics["srcnn_psnr"], abs=0.5)


@pytest.mark.exhaustive
def test_upscale_and_prepare_are_projects_too(workspace: Workspace, tmp_path: Path) -> None:
    Image.fromarray(textured_pixels(30, 30, 8)).save(tmp_path / "a photo.png")
    result = workspace.project("upscale", input=tmp_path / "a photo.png", output=tmp_path)
    assert result.returncode == 0, result.stderr
    assert Image.open(tmp_path / "a photo-x2.png").size == (60, 60)
    result = workspace.project("prepare", dataset="photographs", materialize="true", stride=30)
    assert result.returncode == 0, result.stderr
    for entry_point in ("upscale", "prepare"):
        (run,) = workspace.runs(entry_point)
        assert run.info.status == "FINISHED"
        assert run.inputs is not None
        assert run.inputs.dataset_inputs


@pytest.mark.exhaustive
def test_a_study_is_a_project_too(workspace: Workspace) -> None:
    (workspace.folder / "my study.toml").write_text(
        '[[setting]]\nname = "a"\narchitecture = "3-1-3:4-4"\n'
        '[[setting]]\nname = "b"\narchitecture = "3-1-3:8-4"\n'
    )
    result = workspace.project(
        "study",
        **{"name": "my study.toml", "dataset": "photographs", "test": "photographs"},
        **{"scale": 2, "seeds": 1, "epochs": 1},
    )
    assert result.returncode == 0, result.stderr
    (parent,) = workspace.runs("study")
    assert parent.info.status == "FINISHED"
    trained = workspace.runs("study-training")
    assert {run.data.tags["mlflow.parentRunId"] for run in trained} == {parent.info.run_id}
    assert {run.data.tags["setting"] for run in trained} == {"a", "b"}
    names = {
        Path(file.path).name
        for file in workspace.client.list_artifacts(parent.info.run_id, "study")
    }
    assert names == {"table.md", "table.json", "frontier.png", "curves.png"}


@pytest.mark.exhaustive
def test_a_killed_training_is_resumed_in_its_own_run(
    workspace: Workspace, photo_folder: Path
) -> None:
    settings = ["--dataset", str(photo_folder), "--architecture", "9-1-5", "--epochs", "12"]
    process = subprocess.Popen(
        [sys.executable, "-m", "srcnn_mlflow", "train", *settings],
        cwd=workspace.folder,
        env=workspace.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("epoch 3 of 12"):
            process.kill()
            break
    process.wait()
    process.stdout.close()
    killed = workspace.runs("train")[0]
    assert killed.info.status == "RUNNING"
    result = workspace.project("train", resume=killed.info.run_id)
    assert result.returncode == 0, result.stderr
    assert f"resuming run {killed.info.run_id} after epoch" in result.stdout
    resumed = workspace.client.get_run(killed.info.run_id)
    assert resumed.info.status == "FINISHED"
    (opened,) = workspace.runs("resume")
    assert opened.data.tags["resumed_run"] == killed.info.run_id
    result = workspace.command("train", *settings)
    assert result.returncode == 0, result.stderr
    whole = workspace.runs("train")[0]
    for name in ("train_loss", "val_psnr", "lr", "best_val_psnr", "best_epoch"):
        assert resumed.data.metrics[name] == whole.data.metrics[name], name
    losses = [
        {
            point.step: point.value
            for point in workspace.client.get_metric_history(run, "train_loss")
        }
        for run in (resumed.info.run_id, whole.info.run_id)
    ]
    assert losses[0] == losses[1]
    result = workspace.command("train", "--resume", killed.info.run_id)
    assert result.returncode == 1
    assert "is finished; there is nothing to resume" in result.stderr


@pytest.mark.exhaustive
def test_the_report_is_reproduced_at_both_scales(workspace: Workspace, photo_folder: Path) -> None:
    result = workspace.project("reproduce", dataset=photo_folder, epochs=1, architecture="9-1-5")
    assert result.returncode == 0, result.stderr
    assert "| x4    | PSNR (dB) |   28.21 |  29.44 |       +1.23 |" in result.stdout
    (run,) = workspace.runs("reproduce")
    assert run.data.params["optimizer"] == "adam"
    folder = Path(run.info.artifact_uri.removeprefix("file://")) / "reproduction"
    assert [one["scale"] for one in json.loads((folder / "table.json").read_text())] == [2, 4]
    evaluations = [
        one
        for one in workspace.runs("evaluate")
        if one.data.tags.get("mlflow.parentRunId") == run.info.run_id
    ]
    expected = {
        f"optimism_x{scale}": sum(
            sign * one.data.metrics["psnr_gain"]
            for one in evaluations
            for sign in [1 if one.data.params["split"] == "valid" else -1]
            if one.data.tags["scale"] == str(scale)
        )
        for scale in (2, 4)
    }
    # Of each logged gain six digits are kept, four of them behind the point.
    assert run.data.metrics == pytest.approx(expected, abs=1.1e-4)


def test_results_are_shown_for_every_scale_at_hand(workspace: Workspace) -> None:
    result = workspace.command("results")
    assert result.returncode == 0, result.stderr
    assert "| x2    | PSNR (dB) |" in result.stdout
    assert "mlflow ui" in result.stdout


@pytest.fixture(scope="module")
def server(workspace: Workspace) -> Iterator[str]:
    """`mlflow models serve` of the champion; gives its address."""
    with http_server(
        *("models", "serve", "-m", "models:/srcnn-x2@champion"),
        *("-p", "PORT", "--env-manager", "local"),
        cwd=workspace.folder,
        environment=workspace.environment,
    ) as address:
        yield address


def post(address: str, *contents: bytes) -> tuple[int, Any]:
    rows = [[base64.b64encode(one).decode()] for one in contents]
    body = json.dumps({"dataframe_split": {"columns": ["image"], "data": rows}}).encode()
    request = urllib.request.Request(
        f"{address}/invocations", body, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_the_server_upscales_like_the_command(
    workspace: Workspace, server: str, tmp_path: Path
) -> None:
    contents = []
    for number, mode in enumerate(("RGB", "L", "RGBA")):
        path = tmp_path / f"{number}.png"
        Image.fromarray(textured_pixels(30, 40 + number, number)).convert(mode).save(path)
        contents.append(path.read_bytes())
    result = workspace.command("upscale", "--input", str(tmp_path), "--output", str(tmp_path))
    assert result.returncode == 0, result.stderr
    status, answer = post(server, *contents)
    assert status == 200
    for number, prediction in enumerate(answer["predictions"]):
        served = Image.open(io.BytesIO(base64.b64decode(prediction["image"])))
        assert served.size == (prediction["width"], prediction["height"]) == (80 + 2 * number, 60)
        expected = Image.open(tmp_path / f"{number}-x2.png")
        assert served.mode == expected.mode
        assert np.array_equal(np.asarray(served), np.asarray(expected))


@pytest.mark.parametrize(("language", "program"), [("sh", "sh"), ("python", sys.executable)])
def test_the_clients_of_the_page_work_as_written(
    workspace: Workspace, server: str, tmp_path: Path, language: str, program: str
) -> None:
    blocks = re.findall(
        rf"```{language}\n(.*?)```", (ROOT / "docs/how-to/serve.md").read_text(), re.DOTALL
    )
    (code,) = (block for block in blocks if "http://127.0.0.1:5001/" in block)
    Image.fromarray(textured_pixels(30, 40, 1)).save(tmp_path / "photo.jpg")
    subprocess.run(
        [program, "-c", code.replace("http://127.0.0.1:5001", server)],
        cwd=tmp_path,
        env=workspace.environment,
        check=True,
    )
    result = workspace.command("upscale", "--input", str(tmp_path), "--output", str(tmp_path / "x"))
    assert result.returncode == 0, result.stderr
    answer = np.asarray(Image.open(tmp_path / "photo-x4.png"))
    assert np.array_equal(answer, np.asarray(Image.open(tmp_path / "x" / "photo-x2.png")))


def test_the_server_refuses_what_is_no_picture(server: str) -> None:
    status, answer = post(server, b"hello")
    assert status == 400
    assert "image 0 cannot be used: the image is not a PNG" in answer["message"]
