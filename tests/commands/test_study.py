"""`study` as it is used: begun, killed, started again, added to, and joined by a second process."""

import json
import re
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from subprocess import PIPE
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from PIL import Image
from safetensors.numpy import load_file
from scipy.signal import correlate

from srcnn_mlflow.commands.study import study
from srcnn_mlflow.commands.study_cells import key_of
from srcnn_mlflow.commands.study_report import ARTIFACTS
from srcnn_mlflow.commands.study_request import StudyRequest
from srcnn_mlflow.commands.tidy import tidy
from srcnn_mlflow.machine.errors import SrcnnError, SweepError, TrainingError
from srcnn_mlflow.machine.text import rounded
from srcnn_mlflow.measuring.metrics import psnr
from srcnn_mlflow.network.architecture import Architecture
from srcnn_mlflow.network.onnx_export import build_onnx
from srcnn_mlflow.network.upscaler import Upscaler
from srcnn_mlflow.pictures.colour import each_plane
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.pictures.imaging import downscale, mod_crop, upscale
from srcnn_mlflow.pictures.photos import load_luma, load_pixels
from srcnn_mlflow.tracking.cells import Cell, SharedTable
from srcnn_mlflow.training.settings import RECIPE
from srcnn_mlflow.training.study_tables import Published, StudySetting, StudyTable
from tests.conftest import put_store, run_here, runs_of, sampled, start_command, textured_pixels
from tests.nursery import Forked

pytestmark = pytest.mark.slow

PATIENCE = 240
SMALL = StudySetting("small", {"architecture": "3-1-3:4-4"})
WIDE = StudySetting("wide", {"architecture": "3-1-3:8-4"})
FILE = """
about = "Tiny chains."
[[setting]]
name = "small"
architecture = "3-1-3:4-4"
[[setting]]
name = "wide"
architecture = "3-1-3:8-4"
"""


@pytest.fixture(autouse=True)
def workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photo_folder: Path, empty_store: Path
) -> Path:
    """An empty folder beside a few photographs, with a tracking store of its own."""
    assert photo_folder.is_dir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    return tmp_path


def request(*settings: StudySetting, **changed: Any) -> StudyRequest:
    usual: dict[str, Any] = {
        "name": StudyTable("tiny", "Tiny chains.", settings or (SMALL, WIDE)),
        "scale": 2,
        "dataset": "photos",
        "test": "photos",
        "seeds": 2,
        "max_minutes": 1.0,
        "epochs": 1,
        "device": "cpu",
        "storage": None,
    }
    return StudyRequest(**{**usual, **changed})


def runs(entry_point: str) -> list[Run]:
    """Finished or not, the newest last."""
    found: list[Run] = mlflow.search_runs(
        search_all_experiments=True,
        filter_string=f"tags.entry_point = '{entry_point}'",
        order_by=["tags.sequence ASC"],
        output_format="list",
    )
    return found


def artifacts(run: Run) -> Path:
    return Path(run.info.artifact_uri.removeprefix("file://")) / ARTIFACTS


def told(run: Run) -> dict[str, Any]:
    contents: dict[str, Any] = json.loads((artifacts(run) / "table.json").read_text())
    return contents


def without_times(contents: Mapping[str, Any]) -> list[Any]:
    """What a study's table says, but for which runs and how many seconds it took."""
    settings = json.loads(json.dumps(contents["settings"]))
    for setting in settings:
        for seed in setting["seeds"]:
            del seed["seconds"], seed["run_id"]
            seed["curve"] = [gain for _, gain in seed["curve"]]
    return [settings, contents["told"]]


def never(*_: object) -> None:
    pytest.fail("something was trained")


def test_a_study_ends_with_its_table_and_figures(workspace: Path, said: list[str]) -> None:
    published = Published("A paper; trained on more", {("photos", 2): 32.5, ("photos", 3): 1.0})
    first = StudySetting("small", SMALL.values, published)
    study(request(first, WIDE))
    (parent,) = runs("study")
    assert parent.info.status == "FINISHED"
    assert parent.data.params["name"] == "tiny"
    assert parent.data.params["epochs"] == "1"
    assert parent.data.params["storage"] == f"sqlite:///{workspace}/data/studies/tiny-x2-photos.db"
    assert (workspace / "data" / "studies" / "tiny-x2-photos.db").is_file()
    nested = runs("study-training")
    assert [(run.data.tags["setting"], run.data.params["seed"]) for run in nested] == [
        *(("small", "0"), ("wide", "0"), ("small", "1"), ("wide", "1"))
    ]
    for run in nested:
        assert run.info.status == "FINISHED"
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.params["architecture"] in ("3-1-3:4-4", "3-1-3:8-4")
    assert MlflowClient().search_registered_models() == []
    assert sorted(path.name for path in artifacts(parent).iterdir()) == [
        *("curves.png", "frontier.png", "table.json", "table.md")
    ]
    small, wide = told(parent)["settings"]
    assert small["published"] == {"psnr": 32.5, "source": "A paper; trained on more"}
    assert (small["weights"], small["multiply_adds"]) == (97, 88)
    assert wide["test"]["to_the_first"]["verdict"] in ("within", "beyond")
    for one in (small, wide):
        for seed in one["seeds"]:
            run = mlflow.get_run(seed["run_id"])
            # The epoch was chosen by the very number that the table has.
            assert rounded(seed["valid_psnr"]) == run.data.metrics["best_val_psnr"]
            assert seed["steps"] == int(run.data.tags["steps"])
    history = MlflowClient().get_metric_history(parent.info.run_id, "test_psnr/small")
    assert [point.value for point in sorted(history, key=lambda one: one.step)] == [
        rounded(seed["test_psnr"]) for seed in small["seeds"]
    ]
    page = (artifacts(parent) / "table.md").read_text()
    assert "Published (small): A paper; trained on more." in page
    assert "![PSNR on luma against multiply-adds" in page
    assert any(line.startswith("| Setting | Validation (dB) |") for line in said)
    assert any("looked at after all trainings, of which they chose nothing" in one for one in said)


def test_test_pictures_are_measured_as_by_hand() -> None:
    study(request(SMALL, seeds=1, epochs=4))
    (parent,) = runs("study")
    (setting,) = told(parent)["settings"]
    (run,) = runs("study-training")
    path = Path(run.info.artifact_uri.removeprefix("file://")) / "checkpoint/best.safetensors"
    weights = load_file(path)
    assert all(array.any() for array in weights.values()), "a network that corrects nothing"
    scores = []
    for photo in load_dataset("photos").photos("test"):
        original = mod_crop(load_luma(photo), 2)
        bicubic = upscale(downscale(original, 2), 2)
        planes = [np.pad(bicubic / 255, 2, mode="edge")]
        for layer in (1, 2, 3):
            kernels, biases = weights[f"conv{layer}.weight"], weights[f"conv{layer}.bias"]
            planes = [
                sum(correlate(plane, k, "valid") for plane, k in zip(planes, kernel, strict=True))
                + bias
                for kernel, bias in zip(kernels, biases, strict=True)
            ]
            if layer < 3:
                planes = [np.maximum(plane, 0) for plane in planes]
        sharp = np.clip(np.round(bicubic + 255 * planes[0]), 0, 255).astype(np.uint8)
        scores.append(psnr(original, sharp, 2))
    assert setting["test"]["psnr"] == pytest.approx(float(np.mean(scores)), abs=0.002)


def test_where_one_works_on_colours_all_are_measured_on_them() -> None:
    on_colours = StudySetting("rgb", {**SMALL.values, "channels": "rgb"})
    study(request(SMALL, on_colours, seeds=1))
    (parent,) = runs("study")
    settings = told(parent)["settings"]
    for one, run in zip(settings, runs("study-training"), strict=True):
        network = Architecture("3-1-3:4-4", channels="rgb" if one["setting"] == "rgb" else "y")
        path = Path(run.info.artifact_uri.removeprefix("file://")) / "checkpoint/best.safetensors"
        upscaler = Upscaler(build_onnx(load_file(path), network, 2))
        scores = []
        for photo in load_dataset("photos").photos("test"):
            original = each_plane(load_pixels(photo), lambda band: mod_crop(band, 2))
            result = upscaler.upscale_pixels(each_plane(original, lambda band: downscale(band, 2)))
            inside = (slice(2, -2), slice(2, -2))
            error = np.square(original[inside].astype(float) - result[inside]).mean()
            scores.append(10 * np.log10(255**2 / error))
        assert one["test_rgb"]["psnr"] == pytest.approx(float(np.mean(scores)), abs=1e-6)
        name = f"test_rgb_psnr/{one['setting']}"
        assert parent.data.metrics[name] == rounded(one["seeds"][0]["test_rgb_psnr"])
    table = (artifacts(parent) / "table.md").read_text()
    assert "Test, RGB (dB)" in table
    assert "RGB PSNR is that of the squared error averaged" in table
    assert re.search(r"bicubic \d+\.\d{3} dB, \d+\.\d{3} dB over red, green and blue\.", table)


@pytest.mark.exhaustive
def test_a_study_that_is_started_again_trains_nothing_and_says_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study(request())
    with monkeypatch.context() as patch:
        patch.setattr("srcnn_mlflow.commands.trials.try_out", never)
        study(request())
    first, second = runs("study")
    assert without_times(told(first)) == without_times(told(second))
    # Whose table it is has the trainings below it.
    for run in runs("study-training"):
        assert run.data.tags["mlflow.parentRunId"] == second.info.run_id


@pytest.mark.exhaustive
def test_what_is_added_to_a_study_is_all_that_is_trained() -> None:
    study(request(SMALL, seeds=1))
    study(request(SMALL, WIDE, seeds=2))
    trained = [
        (run.data.tags["setting"], run.data.params["seed"]) for run in runs("study-training")
    ]
    assert trained == [("small", "0"), ("wide", "0"), ("small", "1"), ("wide", "1")]
    study(request(SMALL, seeds=1, epochs=2))
    assert len(runs("study-training")) == 5
    assert runs("study-training")[-1].data.params["epochs"] == "2"


@pytest.mark.exhaustive
@pytest.mark.parametrize("split", ["train", "valid"])
def test_other_pictures_are_another_training(split: str, workspace: Path) -> None:
    study(request(SMALL, seeds=1))
    picture = workspace / "photos" / split / "more.png"
    Image.fromarray(textured_pixels(70, 70, 50)).save(picture)
    study(request(SMALL, seeds=1))
    assert len(runs("study-training")) == 2
    picture.unlink()
    study(request(SMALL, seeds=1))
    assert len(runs("study-training")) == 2


@pytest.mark.parametrize("how", sampled(["without weights", "deleted", "damaged"]))
def test_a_training_that_is_gone_is_done_again_and_no_other(how: str, said: list[str]) -> None:
    study(request())
    gone, *others = runs("study-training")
    folder = Path(gone.info.artifact_uri.removeprefix("file://")) / "checkpoint"
    if how == "deleted":
        MlflowClient().delete_run(gone.info.run_id)
    elif how == "without weights":
        shutil.rmtree(folder)
    else:
        (folder / "best.safetensors").write_bytes(b"x" * 100)
    study(request())
    again = {run.info.run_id for run in runs("study-training")}
    assert len(again - {gone.info.run_id, *(run.info.run_id for run in others)}) == 1
    assert sum("small, seed 0: trained anew, because" in line for line in said) == 1
    first, second = runs("study")
    assert without_times(told(first))[0] == without_times(told(second))[0]


def test_a_setting_that_diverges_is_told_and_the_others_go_on(said: list[str]) -> None:
    wild = StudySetting("wild", {**SMALL.values, "lr": 1e12, "optimizer": "adam"})
    study(request(SMALL, wild, seeds=1))
    (parent,) = runs("study")
    small, failed = told(parent)["settings"]
    assert failed["test"] is None
    assert failed["seeds"] == []
    assert small["test"]["psnr"] > 20
    assert any(one.startswith("wild, seed 0 failed: the training has diverged") for one in said)
    assert [run.info.status for run in runs("study-training")] == ["FINISHED", "FAILED"]
    with pytest.raises(TrainingError, match="all trainings have failed, the first one: the train"):
        study(request(wild, seeds=1))


def test_test_pictures_are_looked_at_when_nothing_is_to_come_and_not_before(
    monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    study(request(SMALL, seeds=1))
    wanted = request(SMALL, WIDE, seeds=1)
    # Another process, that lives, trains the other setting.
    (former,) = SharedTable(wanted.place, key_of).trials()
    pictures = former.user_attrs["pictures"]
    table = SharedTable(wanted.place, key_of)
    cell = Cell("wide", 0, wanted.training(WIDE, 0).parameters(), pictures)
    taken = table.next_cell({str(key_of(cell.attributes())): cell})
    assert taken is not None
    with monkeypatch.context() as patch:
        patch.setattr("srcnn_mlflow.commands.trials.try_out", never)
        study(wanted)
    partial = runs("study")[-1]
    small, wide = told(partial)["settings"]
    assert told(partial)["test"]["looked_at"] is False
    assert small["test"] is None
    assert small["validation"]["psnr"] > 20
    assert wide["seeds"] == []
    assert not any(name.startswith("test_") for name in partial.data.metrics)
    assert any("1 of 2 trainings are still to come, so photos test was not" in one for one in said)
    assert (artifacts(partial) / "frontier.png").is_file()
    # That process is gone, and the study is whole.
    table.fail(taken[0], "killed")
    study(wanted)
    assert told(runs("study")[-1])["test"]["looked_at"] is True


@pytest.mark.exhaustive
def test_settings_with_pictures_of_their_own_are_measured_on_the_firsts(
    workspace: Path, said: list[str]
) -> None:
    for number, split in enumerate(("train", "valid")):
        (workspace / "others" / split).mkdir(parents=True)
        pixels = textured_pixels(70, 80, 50 + number)
        Image.fromarray(pixels).save(workspace / "others" / split / "one.png")
    # What the first setting validates on, and what it is tested on.
    for name, source, split in (
        ("leaky", "valid/valid0.png", "train"),
        ("tested", "test/test0.png", "train"),
        ("chosen", "test/test1.png", "valid"),
    ):
        shutil.copytree(workspace / "others", workspace / name)
        shutil.copy(workspace / "photos" / source, workspace / name / split / "two.png")
    settings = [
        StudySetting(name, {**SMALL.values, "dataset": name})
        for name in ("photos", "others", "leaky", "tested", "chosen")
    ]
    study(request(*settings, seeds=1))
    photos, others, leaky, tested, chosen = told(runs("study")[-1])["settings"]
    assert photos["validation"] is not None
    assert others["validation"] is not None
    # On the first one's pictures, and not on its own.
    own = runs("study-training")[1].data.metrics["best_val_psnr"]
    assert others["validation"]["psnr"] != pytest.approx(own, abs=0.01)
    assert leaky["validation"] is None
    assert tested["validation"] is not None
    assert all(one["test"] is not None for one in (photos, others, leaky, tested, chosen))
    told_of = "\n".join(said)
    assert "leaky was chosen on 1 pictures, leaky valid; it has learned from some of" in told_of
    assert "others was chosen on 1 pictures, others valid; the column has those of" in told_of
    assert "tested learned from pictures that show what test0.png of photos test shows" in told_of
    assert "photos was chosen on" not in told_of
    assert "chosen had the epoch chosen by pictures that show what test1.png of photos test" in (
        told_of
    )
    assert "chose nothing" not in told_of


@pytest.mark.parametrize(
    ("settings", "changed", "reason"),
    [
        (
            [SMALL, StudySetting("lost", {"dataset": "nowhere"})],
            {},
            "setting lost: data set 'nowhere' is not a folder that exists",
        ),
        ([SMALL], {"dataset": "nowhere"}, "data set 'nowhere' is not a folder"),
        ([SMALL], {"test": "nowhere"}, "data set 'nowhere' is not a folder"),
        ([SMALL], {"test": "untested"}, "no picture in its test split"),
        ([SMALL], {"device": "cuda"}, "finds no GPU"),
        (
            [SMALL, StudySetting("vdsr", {"architecture": "vdsr"})],
            {},
            "setting vdsr: patch_size 33 leaves nothing of a patch",
        ),
        (
            [SMALL, StudySetting("huge", {**SMALL.values, "patch_size": 900})],
            {},
            "setting huge: none of the 4 training pictures of data set photos holds a patch",
        ),
        (
            [SMALL, StudySetting("again", {**SMALL.values, "dataset": "photos", "lr": RECIPE.lr})],
            {},
            "the settings small and again are the same training",
        ),
        ([SMALL], {"storage": "somewhere"}, "storage is not a database's URL"),
    ],
)
def test_a_refused_study_leaves_nothing_half_made(
    settings: list[StudySetting], changed: dict[str, Any], reason: str, workspace: Path
) -> None:
    (workspace / "untested" / "train").mkdir(parents=True)
    (workspace / "untested" / "valid").mkdir()
    for split in ("train", "valid"):
        shutil.copy(workspace / f"photos/{split}/{split}0.png", workspace / f"untested/{split}")
    with pytest.raises(SrcnnError) as refused:
        study(request(*settings, **changed))
    assert reason in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert runs_of(MlflowClient()) == []
    assert not list(workspace.glob("data/studies/*.db"))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--name", "filtres"), "there is no study 'filtres', but filters; give"),
        (("--name", "wrong.toml"), "train has no setting 'archtecture', but architecture"),
        (("--name", "empty.toml"), "has no setting"),
        (("--seeds", "0"), "'0' is not a whole number from 1 to"),
        (("--max-minutes", "0"), "'0' is not a number above 0"),
        (("--epochs", "0"), "'0' is not a whole number from 1 to"),
    ],
)
def test_what_is_no_study_is_one_line(
    arguments: tuple[str, ...], reason: str, workspace: Path
) -> None:
    (workspace / "wrong.toml").write_text("[[setting]]\nname = 'a'\narchtecture = '9-1-5'")
    (workspace / "empty.toml").touch()
    done = run_here("study", *arguments, cwd=workspace)
    assert done.returncode == 2
    assert reason in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert runs_of(MlflowClient()) == []
    assert not (workspace / "data").exists()


def test_a_password_under_mlflow_run_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    with pytest.raises(SweepError, match="or run srcnn-mlflow study") as told_of:
        study(request(storage="postgresql://me:secret@host/db"))
    assert "secret" not in str(told_of.value)


def test_a_setting_may_have_a_length_of_its_own() -> None:
    by_epochs = request(epochs=3)
    by_minutes = request(epochs=None, max_minutes=7.0)
    own = StudySetting("own", {"epochs": 5})
    timed = StudySetting("timed", {"max_minutes": 2.0})

    def length(asked: StudyRequest, setting: StudySetting) -> tuple[int, float | None]:
        settings = asked.training(setting, 4).settings
        assert settings.seed == 4
        return settings.epochs, settings.max_minutes

    assert length(by_epochs, SMALL) == (3, None)
    assert length(by_minutes, SMALL) == (RECIPE.epochs, 7.0)
    assert length(by_minutes, own) == length(by_epochs, own) == (5, None)
    assert length(by_epochs, timed)[1] == length(by_minutes, timed)[1] == 2.0


def test_a_training_of_a_version_with_fewer_settings_is_still_known() -> None:
    training = request().training(SMALL, 0).parameters()
    attributes = {"training": training, "pictures": {"train": "t"}}
    before = {**attributes, "training": {k: v for k, v in training.items() if k != "channels"}}
    assert key_of(before) == key_of(attributes)
    later = {**attributes, "training": {**training, "unheard_of": "rgb"}}
    assert key_of(later) is None
    assert key_of({}) is None


def start(folder: Path, **parameters: object) -> Forked:
    given = {"name": "tiny.toml", "dataset": "photos", "test": "photos", "scale": 2, **parameters}
    words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    return start_command("study", *words, cwd=folder, stdout=PIPE, stderr=PIPE)


def wait_for(happened: Callable[[], bool], process: Forked) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "it has not happened"
        time.sleep(0.02)


def val_psnr(run: Run) -> list[float]:
    history = MlflowClient().get_metric_history(run.info.run_id, "val_psnr")
    return [point.value for point in history]


def ended(process: Forked) -> str:
    output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert "locked" not in errors
    return output


def test_a_study_that_is_killed_twice_ends_with_the_same_table(
    workspace: Path,
    tmp_path_factory: pytest.TempPathFactory,
    empty_store: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (workspace / "tiny.toml").write_text(FILE)
    # Long enough to be killed in the middle, though that is seen a little late.
    epochs = 10
    length = {"seeds": 2, "epochs": epochs}

    def has_epochs(trainings: int, count: int) -> bool:
        begun = runs("study-training")
        return len(begun) == trainings and len(val_psnr(begun[-1])) >= count

    for trainings in (1, 3):
        process = start(workspace, **length)
        wait_for(lambda wanted=trainings: has_epochs(wanted, 2), process)  # type: ignore[misc]
        process.kill()
        process.communicate()
        tidy()
    output = ended(start(workspace, **length))
    assert "continued in run" in output
    nested = runs("study-training")
    assert {run.info.status for run in nested} == {"FINISHED"}
    assert len(nested) == 4
    for run in nested:
        assert len(val_psnr(run)) <= epochs + 1, "a training began anew instead of going on"
    assert sorted(run.info.status for run in runs("study")) == ["FAILED", "FAILED", "FINISHED"]
    killed = told(runs("study")[-1])
    assert {run.data.tags["mlflow.parentRunId"] for run in nested} == {
        runs("study")[-1].info.run_id
    }

    calm = tmp_path_factory.mktemp("calm")
    shutil.copytree(workspace / "photos", calm / "photos")
    (calm / "tiny.toml").write_text(FILE)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, calm))
    ended(start(calm, **length))
    undisturbed = told(runs("study")[-1])
    assert len(runs("study")) == 1
    assert without_times(killed) == without_times(undisturbed)


@pytest.mark.exhaustive
def test_two_processes_share_a_study(workspace: Path) -> None:
    (workspace / "tiny.toml").write_text(FILE)
    both = [start(workspace, seeds=2, epochs=3) for _ in range(2)]
    outputs = [ended(process) for process in both]
    nested = runs("study-training")
    assert sorted((run.data.tags["setting"], run.data.params["seed"]) for run in nested) == [
        *(("small", "0"), ("small", "1"), ("wide", "0"), ("wide", "1"))
    ]
    assert {run.info.status for run in nested} == {"FINISHED"}
    whole = [run for run in runs("study") if told(run)["test"]["looked_at"]]
    assert whole
    assert all(
        [len(setting["seeds"]) for setting in told(run)["settings"]] == [2, 2] for run in whole
    )
    assert any("4 of 4 trainings are done" in output for output in outputs)
