"""The gate of `promote` with real models in a real registry, two at once and killed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import onnx
import pytest
from mlflow import MlflowClient
from onnx import numpy_helper
from PIL import Image

from srcnn_mlflow.commands.promote import _command_on_more, promote
from srcnn_mlflow.machine.errors import ModelError
from srcnn_mlflow.network import shipped
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.tracking import registry
from tests.conftest import ROOT, listener, put_store

pytestmark = pytest.mark.slow

WEIGHTS = shipped.FOLDER
# Versions by how much of the shipped network's correction they make; the last is of scale 3.
WEAK, MIDDLE, EQUAL, GOOD, OTHER_SCALE = 1, 2, 3, 4, 5
STRENGTHS = {WEAK: 0.3, MIDDLE: 0.6, EQUAL: 0.6, GOOD: 1.0}


def network(source: Path, strength: float, folder: Path) -> Path:
    """A shipped residual network whose last layer is scaled."""
    model = onnx.load(source)
    for constant in model.graph.initializer:
        if constant.name.startswith("conv3."):
            scaled = numpy_helper.to_array(constant) * np.float32(strength)
            constant.CopyFrom(numpy_helper.from_array(scaled, constant.name))
    path = folder / registry.NETWORK_FILE
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Path]:
    """Folders with five and three photographs to test on, and a registry of five versions."""
    folder = tmp_path_factory.mktemp("registry")
    for name in ("photos", "few"):
        (folder / name / "test").mkdir(parents=True)
    for number, photo in enumerate(load_dataset("samples").photos("test")):
        middle = Image.open(photo.path).crop((40, 100, 180, 230))
        middle.save(folder / "photos" / "test" / f"{photo.path.stem}.png")
        if number < 3:
            middle.save(folder / "few" / "test" / f"{photo.path.stem}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, folder))
        with mlflow.start_run():
            for number, strength in STRENGTHS.items():
                path = network(WEIGHTS / "srcnn-x2.onnx", strength, folder)
                assert registry.register(2, path, {}, alias=None) == number
            path = network(WEIGHTS / "srcnn-x3.onnx", 1.0, folder)
            assert registry.register(2, path, {}, alias=None) == OTHER_SCALE
        yield folder


@pytest.fixture
def start_with(store: Path) -> Iterator[None]:
    """Every test begins with the weak version as champion."""
    client = MlflowClient()
    for version in (*STRENGTHS, OTHER_SCALE):
        client.delete_model_version_tag("srcnn-x2", str(version), registry._REPLACED)
    client.set_registered_model_alias("srcnn-x2", "champion", str(WEAK))
    client.delete_registered_model_alias("srcnn-x2", "previous-champion")
    yield
    assert store.exists()


def aliases() -> tuple[int | None, int | None]:
    """The champion and the previous champion."""
    champion, previous = (
        registry.version_with_alias(2, alias) for alias in ("champion", "previous-champion")
    )
    return champion, previous


def command(version: int, before: str = "") -> subprocess.Popen[str]:
    """`promote` in a process of its own, which first runs some code."""
    code = (
        "import os, sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from srcnn_mlflow.tracking import registry\n"
        f"{before}\n"
        "from srcnn_mlflow.commands.promote import _command_on_more, promote\n"
        f"sys.exit(not promote(2, '{version}', 'photos').promoted)\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.usefixtures("start_with")
def test_better_versions_pass_and_a_roll_back_returns(said: list[str]) -> None:
    verdict = promote(2, str(MIDDLE), "photos")
    assert verdict.promoted
    assert verdict.champion == WEAK
    assert aliases() == (MIDDLE, WEAK)
    assert any("| champion version 1 | PSNR |" in text for text in said)
    assert promote(2, str(GOOD), "photos").promoted
    assert aliases() == (GOOD, MIDDLE)
    assert promote(2, "previous", "photos").promoted
    assert aliases() == (MIDDLE, GOOD)


@pytest.mark.usefixtures("start_with")
def test_a_promoted_version_names_the_run_that_judged_it() -> None:
    promote(2, str(GOOD), "photos")
    tags = MlflowClient().get_model_version("srcnn-x2", str(GOOD)).tags
    run = mlflow.get_run(tags["judged_by"])
    assert run.data.tags["entry_point"] == "promote"
    assert (
        tags["verdict"] == run.data.tags["verdict"] == "promoted: better than bicubic and version 1"
    )
    files = {file.path for file in MlflowClient().list_artifacts(run.info.run_id, "promotion")}
    assert files == {"promotion/verdict.md", "promotion/verdict.json"}


@pytest.mark.usefixtures("start_with")
def test_worse_and_equal_versions_are_refused_with_the_reason() -> None:
    registry.promote(2, MIDDLE)
    for version, reason in ((WEAK, "does not beat it"), (EQUAL, "does not beat it")):
        verdict = promote(2, str(version), "photos")
        assert len(verdict.shortcomings) == 2
        for shortcoming in verdict.shortcomings:
            assert f"against champion version {MIDDLE}'s" in shortcoming
            assert shortcoming.endswith(reason)
        assert aliases() == (MIDDLE, WEAK)


@pytest.mark.usefixtures("start_with")
def test_too_few_pictures_replace_no_champion_and_the_command_that_decides_is_told() -> None:
    verdict = promote(2, str(GOOD), "few")
    assert not verdict.promoted
    assert "3 pictures are too few to tell a better network" in verdict.shortcomings[-1]
    command = f"srcnn-mlflow promote --scale 2 --version {GOOD} --dataset few+samples"
    assert verdict.shortcomings[-1].endswith(f"at least 5 are needed, as in {command}")
    assert MlflowClient().get_model_version("srcnn-x2", str(GOOD)).tags["verdict"] == (
        f"refused: {'; '.join(verdict.shortcomings)}"
    )
    assert promote(2, str(GOOD), "few+samples").promoted
    assert aliases() == (GOOD, WEAK)


@pytest.mark.parametrize(
    ("dataset", "more"),
    [
        ("photos", "photos+samples"),
        ("samples", "samples+div2k"),
        ("my photos/x", "'my photos/x+samples'"),
    ],
)
def test_the_command_that_judges_on_more_pictures_can_be_pasted(dataset: str, more: str) -> None:
    command = f"srcnn-mlflow promote --scale 4 --version 7 --dataset {more}"
    assert _command_on_more(4, 7, dataset) == command


@pytest.mark.usefixtures("start_with")
def test_a_first_champion_on_few_pictures_says_by_which_rule() -> None:
    MlflowClient().delete_registered_model_alias("srcnn-x2", "champion")
    assert promote(2, str(WEAK), "few").promoted
    verdict = MlflowClient().get_model_version("srcnn-x2", str(WEAK)).tags["verdict"]
    assert verdict.startswith("promoted: better than bicubic. The weaker rule for a first champion")
    assert "passes once in 8 times" in verdict


@pytest.mark.usefixtures("start_with")
def test_a_version_of_another_scale_is_refused() -> None:
    with pytest.raises(ModelError, match="which is not scale 2; choose a model trained with"):
        promote(2, str(OTHER_SCALE), "photos")
    assert aliases() == (WEAK, None)


@pytest.mark.usefixtures("start_with")
def test_of_two_promotions_at_once_the_better_version_stays() -> None:
    processes = [command(version) for version in (GOOD, MIDDLE)]
    outputs = [process.communicate() for process in processes]
    assert processes[0].returncode == 0, outputs[0][1]
    champion, previous = aliases()
    assert champion == GOOD
    # The middle one was champion for a moment, or it was refused against the good one.
    assert previous == (MIDDLE if processes[1].returncode == 0 else WEAK)


@pytest.mark.usefixtures("start_with")
def test_a_champion_who_changes_meanwhile_is_judged_against(said: list[str]) -> None:
    def rival(text: str) -> None:
        if "| champion version 1 |" in text:
            registry.promote(2, GOOD)

    with listener(rival):
        verdict = promote(2, str(MIDDLE), "photos")
    assert f"version {GOOD} has become champion meanwhile; judging against it" in said
    assert not verdict.promoted
    assert verdict.champion == GOOD
    assert aliases() == (GOOD, WEAK)


@pytest.mark.usefixtures("start_with")
def test_a_promotion_killed_before_it_decides_changes_nothing() -> None:
    process = command(GOOD, "registry.promote = lambda *_: os.kill(os.getpid(), 9)")
    process.communicate()
    assert process.returncode == -9
    assert aliases() == (WEAK, None)


@pytest.mark.usefixtures("start_with")
def test_a_promotion_killed_after_it_decided_is_completed_by_the_next() -> None:
    registry.promote(2, MIDDLE)
    mend = "mend = registry.mend_aliases\ncalls = []\n"
    kill = (
        "def killing(scale):\n"
        "    calls.append(1)\n"
        "    os.kill(os.getpid(), 9) if len(calls) == 2 else mend(scale)\n"
        "registry.mend_aliases = killing\n"
    )
    process = command(GOOD, mend + kill)
    process.communicate()
    assert process.returncode == -9
    assert aliases() == (GOOD, WEAK)
    promote(2, str(EQUAL), "photos")
    assert aliases() == (GOOD, MIDDLE)
