"""What `train` does around a fit."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from PIL import Image

from srcnn_mlflow.commands.train import resume, train
from srcnn_mlflow.commands.train_epochs import is_shown
from srcnn_mlflow.commands.train_request import TrainRequest
from srcnn_mlflow.commands.train_state import find_interrupted
from srcnn_mlflow.machine.errors import DatasetError, TrainingError
from srcnn_mlflow.machine.text import as_markdown, rounded
from srcnn_mlflow.training.checkpoint import load_checkpoint
from srcnn_mlflow.training.distributed import alone
from srcnn_mlflow.training.settings import TrainingSettings
from tests.conftest import listener, put_store, sampled, textured_pixels

pytestmark = pytest.mark.slow


@pytest.fixture
def request_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photo_folder: Path, empty_store: Path
) -> TrainRequest:
    """A short training on a few pictures, in a registry of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    settings = TrainingSettings(architecture="9-1-5", epochs=2)
    return TrainRequest(2, str(photo_folder), 33, 14, None, settings)


def test_a_blank_validation_picture_is_named_and_left_out(
    request_on: TrainRequest, photo_folder: Path, said: list[str]
) -> None:
    Image.new("RGB", (60, 60), "white").save(photo_folder / "valid" / "blank.png")
    trained = train(request_on, "cpu")
    assert any(line.startswith("left out: blank.png") for line in said)
    assert trained.validation.images == 2
    # The blank picture is infinitely good by either method; it must not decide the best epoch.
    assert 10 < mlflow.get_run(trained.run_id).data.metrics["best_val_psnr"] < 60


def test_validation_pictures_that_cannot_be_scored_end_it_at_once(
    request_on: TrainRequest, photo_folder: Path
) -> None:
    for path in (photo_folder / "valid").iterdir():
        Image.new("RGB", (60, 60), path.name.replace("valid", "#0000f").removesuffix(".png")).save(
            path
        )
    told = "photos valid is to choose the epoch, but none of the 2 pictures .* 2 so plain that"
    with pytest.raises(DatasetError, match=told):
        train(request_on, "cpu")


def test_samples_are_joined_with_a_folder_given_by_a_relative_path(
    request_on: TrainRequest,
) -> None:
    both = replace(request_on, dataset="photos+samples", train_images=3, stride=60)
    run = mlflow.get_run(train(both, "cpu").run_id)
    assert run.inputs is not None
    assert {entry.dataset.name for entry in run.inputs.dataset_inputs} == {"photos+samples"}


def test_fewer_training_pictures_are_logged_as_such(request_on: TrainRequest) -> None:

    trained = train(replace(request_on, train_images=2), "cpu")
    run = mlflow.get_run(trained.run_id)
    assert run.data.params["train_images"] == "2"
    assert run.inputs is not None
    profiles = [entry.dataset.profile for entry in run.inputs.dataset_inputs]
    assert any(profile and '"images": 2' in profile for profile in profiles)


@pytest.mark.parametrize(
    ("padding", "reason"),
    [
        ("none", "leaves nothing of a patch with padding none"),
        ("zero", "smaller than the first layer's kernels of 9x9, which precondition measures"),
    ],
)
def test_patches_smaller_than_what_training_needs_are_refused(
    request_on: TrainRequest, padding: str, reason: str
) -> None:
    settings = replace(request_on.settings, padding=padding)
    with pytest.raises(TrainingError, match=reason):
        train(replace(request_on, patch_size=8, settings=settings), "cpu")


def test_a_training_can_be_watched_and_says_what_it_was(request_on: TrainRequest) -> None:
    client = MlflowClient()
    client.create_registered_model("srcnn-x2", description="a person's words")
    trained = train(request_on, "cpu")
    images = [file.path for file in client.list_artifacts(trained.run_id, "images")]
    shown = {step for step in (1, 2) if any(f"+step+{step}+" in path for path in images)}
    assert shown == {1, 2}
    text = mlflow.get_run(trained.run_id).data.tags["mlflow.note.content"]
    assert text.startswith("**srcnn-x2 version 1**: SRCNN 9-1-5 for x2, trained on ")
    assert f"from 4 pictures of {as_markdown(request_on.dataset)} for 2 epochs with muon" in text
    assert f"**{trained.validation.srcnn_psnr:.2f} dB**" in text
    assert client.get_registered_model("srcnn-x2").description == "a person's words"
    version = client.get_model_version("srcnn-x2", "1")
    card = version.description or ""
    assert card.startswith("srcnn-x2 version 1: SRCNN ")
    assert f": {version.tags['psnr']} dB, " in card
    assert "- Recipe: epochs=" in card
    assert "## Limits" in card


@pytest.mark.parametrize(
    ("epochs", "most"), [(1, 1), (8, 8), (10, 10), (11, 11), (50, 30), (4000, 30)]
)
def test_pictures_are_shown_at_sensible_epochs(epochs: int, most: int) -> None:
    shown = [epoch for epoch in range(1, epochs + 1) if is_shown(epoch, epochs)]
    assert shown[0] == 1
    assert shown[-1] == epochs
    assert min(epochs, 10) <= len(shown) <= most


@contextmanager
def interrupted_after(epoch: int) -> Iterator[None]:
    """Press Ctrl-C, as it were, when an epoch is done."""

    def hear(line: str) -> None:
        if line.startswith(f"epoch {epoch} of"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), listener(hear):
        yield


def checkpoint_file(run_id: str, name: str) -> Path:
    (path,) = Path.cwd().glob(f"mlruns/*/{run_id}/artifacts/checkpoint/{name}")
    return path


def best_weights(run_id: str) -> dict[str, np.ndarray]:
    return load_checkpoint(checkpoint_file(run_id, "best.safetensors"))[0]


def test_pictures_that_do_not_fit_the_memory_are_learned_from_in_parts(
    request_on: TrainRequest, photo_folder: Path, said: list[str]
) -> None:
    for number in range(12):
        pixels = textured_pixels(70 + number, 76 - number, 50 + number)
        Image.fromarray(pixels).save(photo_folder / "train" / f"more{number}.png")
    request = replace(request_on, settings=replace(request_on.settings, epochs=3))
    memory = 80_000
    first = train(request, "cpu", memory=memory).run_id
    assert " 0 MB of patches in memory, a part at a time;" in "\n".join(said)
    with interrupted_after(2):
        train(request, "cpu", memory=memory)
    run_id = find_interrupted(request)
    assert run_id is not None
    # With the memory that it began with.
    resume(run_id, alone(torch.device("cpu")))
    expected, found = best_weights(first), best_weights(run_id)
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
    whole = best_weights(train(request, "cpu").run_id)
    assert any(not np.array_equal(found[name], whole[name]) for name in whole)
    assert mlflow.get_run(first).data.tags["memory"] == "80,000 bytes at a time"


@pytest.mark.parametrize("damaged", sampled(["nothing", "the newest state", "the best weights"]))
def test_starting_again_ends_as_if_never_interrupted(
    request_on: TrainRequest, damaged: str, said: list[str]
) -> None:
    request = replace(request_on, settings=replace(request_on.settings, epochs=4))
    expected = best_weights(train(request, "cpu").run_id)
    assert find_interrupted(request) is None
    with interrupted_after(3):
        train(request, "cpu")
    run_id = find_interrupted(request)
    assert run_id is not None
    assert said[-1] == (
        f"to go on after epoch 3: srcnn-mlflow train --resume {run_id}, or mlflow run . -e train "
        f"-P resume={run_id}"
    )
    file = {
        "nothing": "state-even.safetensors",
        "the newest state": "state-odd.safetensors",
        "the best weights": "best.safetensors",
    }[damaged]
    if damaged != "nothing":
        path = checkpoint_file(run_id, file)
        path.write_bytes(path.read_bytes()[:1000])
    trained = resume(run_id, alone(torch.device("cpu")))
    reached = 2 if damaged == "the newest state" else 3
    assert f"resuming run {run_id} after epoch {reached} of 4" in said
    assert trained.run_id == run_id
    run = mlflow.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert "failure" not in run.data.tags
    weights = best_weights(run_id)
    assert all(np.array_equal(weights[name], array) for name, array in expected.items())


def test_only_a_training_of_the_same_is_gone_on_with(
    request_on: TrainRequest, said: list[str]
) -> None:
    with interrupted_after(1):
        train(request_on, "cpu")
    for other in (
        replace(request_on, stride=13),
        replace(request_on, scale=3),
        replace(request_on, settings=replace(request_on.settings, seed=1)),
    ):
        assert find_interrupted(other) is None
    run_id = find_interrupted(request_on)
    assert run_id is not None
    for name in ("state-even", "state-odd"):
        for path in Path.cwd().glob(f"mlruns/**/{name}.safetensors"):
            path.write_bytes(b"")
    assert find_interrupted(request_on) is None
    assert any("is not a usable checkpoint" in line for line in said)
    with pytest.raises(TrainingError, match="train anew, with resume=none"):
        resume(run_id, alone(torch.device("cpu")))


def harmful(request: TrainRequest, **changed: Any) -> TrainRequest:
    """A rate that makes a network worse than it began."""
    rate = {"lr": 0.01, "optimizer": "adam", "schedule": "constant", "epochs": 1}
    return replace(request, settings=replace(request.settings, **{**rate, **changed}))


def version_tags(version: int) -> dict[str, str]:
    return dict(MlflowClient().get_model_version("srcnn-x2", str(version)).tags)


@pytest.mark.parametrize("changed", [{"epochs": 2}, {"max_minutes": 0.005}])
def test_a_residual_network_that_only_got_worse_is_registered_as_it_began(
    request_on: TrainRequest, said: list[str], changed: dict[str, float]
) -> None:
    trained = train(harmful(request_on, **changed), "cpu")
    assert trained.validation.psnr_gain == 0
    run, reason = mlflow.get_run(trained.run_id), "bicubic itself, because no epoch was better"
    assert run.data.metrics["best_epoch"] == 0
    assert run.data.metrics["best_val_psnr"] == rounded(trained.validation.bicubic_psnr)
    history = MlflowClient().get_metric_history(trained.run_id, "val_psnr")
    assert [point.step for point in history] == list(range(1, len(history) + 1))
    assert max(point.value for point in history) < trained.validation.bicubic_psnr
    assert version_tags(1)["warning"].startswith(reason)
    assert run.data.tags["warning"].startswith(reason)
    assert [line for line in said if line.startswith(f"version 1 is {reason}")]
    assert not best_weights(trained.run_id)["conv3.weight"].any()


def test_a_network_below_bicubic_is_told_and_tagged(
    request_on: TrainRequest, said: list[str]
) -> None:
    trained = train(harmful(request_on, residual=False, lr=0.006), "cpu")
    assert trained.validation.psnr_gain < 0
    reason = f"worse than bicubic: {-trained.validation.psnr_gain:.3f} dB below it"
    assert version_tags(1)["warning"].startswith(reason)
    assert mlflow.get_run(trained.run_id).data.tags["warning"].startswith(reason)
    assert any(line.startswith(f"version 1 is {reason}") for line in said)


def test_a_network_above_bicubic_has_no_warning(request_on: TrainRequest) -> None:
    # Not every seed learns from these few pictures in as few steps.
    drawn = replace(request_on.settings, seed=1, sampling="by_error", loss="psnr")
    settings = replace(drawn, epochs=8, lr=0.003, batch_size=4)
    trained = train(replace(request_on, patch_size=25, settings=settings), "cpu")
    assert trained.validation.psnr_gain > 0
    assert "warning" not in version_tags(1)
    assert "warning" not in mlflow.get_run(trained.run_id).data.tags


def test_the_untouched_network_stays_the_best_through_an_interruption(
    request_on: TrainRequest,
) -> None:
    request = harmful(request_on, epochs=3)
    with interrupted_after(1):
        train(request, "cpu")
    run_id = find_interrupted(request)
    assert run_id is not None
    trained = resume(run_id, alone(torch.device("cpu")))
    assert trained.validation.psnr_gain == 0
    assert mlflow.get_run(run_id).data.metrics["best_epoch"] == 0
    assert not best_weights(run_id)["conv3.weight"].any()
