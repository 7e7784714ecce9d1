"""`promote` with real models in a real registry: judged, two at once, killed and rolled back."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from PIL import Image

from srcnn_mlflow.commands.evaluate import load_split
from srcnn_mlflow.commands.promote import _command_on_more, promote
from srcnn_mlflow.machine.errors import DatasetError
from srcnn_mlflow.machine.text import as_markdown
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.tracking import champions, logged_models, registry
from srcnn_mlflow.tracking.seen_pictures import seen_by_run
from tests.conftest import listener
from tests.versions import (
    EQUAL,
    GOOD,
    MIDDLE,
    OTHER_SCALE,
    WEAK,
    aliases,
    begin_with,
    make_champion,
    network,
    nobody_waits,
    promotion,
    registered,
    verdict_of,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Path]:
    with registered(tmp_path_factory.mktemp("registry"), empty_store) as folder:
        yield folder


@pytest.fixture
def start_with(store: Path) -> Iterator[None]:
    """Every test begins with the weak version as champion."""
    begin_with(WEAK)
    yield
    assert store.exists()
    assert nobody_waits()


@pytest.mark.usefixtures("start_with")
def test_better_versions_pass(said: list[str]) -> None:
    verdict = promote(2, str(MIDDLE), "photos")
    assert verdict.promoted
    assert verdict.champion == WEAK
    assert aliases() == (MIDDLE, WEAK)
    assert any("| champion version 1 | PSNR |" in text for text in said)
    assert promote(2, str(GOOD), "photos").promoted
    assert aliases() == (GOOD, MIDDLE)


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
    page = mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/promotion/verdict.md")
    gain = run.data.metrics["psnr_gain"]
    told = (
        f"Version {GOOD} of srcnn-x2 is promoted: on 8 pictures it is {gain:.3f} dB above bicubic"
    )
    assert page.startswith(f"{told} and ")
    assert page.splitlines()[0].endswith(" dB above champion version 1.")
    card = mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/card.md")
    client = MlflowClient()
    assert client.get_model_version("srcnn-x2", str(GOOD)).description == card
    assert card.startswith(f"srcnn-x2 version {GOOD}: SRCNN ")
    assert f"| {run.data.metrics['psnr_gain']:+.2f} |" in card
    assert f"{run.data.metrics['psnr_gain_low']:+.2f} to" in card
    assert "promoted: better than bicubic and version 1" in card
    page = f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    assert f"[promotion]({page}) of srcnn-x2/{GOOD} on " in card
    # What a person has written is kept.
    client.update_model_version("srcnn-x2", str(GOOD), "mine")
    make_champion(WEAK)
    promote(2, str(GOOD), "photos")
    assert client.get_model_version("srcnn-x2", str(GOOD)).description == "mine"
    # Of both who were judged, the page of each has its numbers from this run and these pictures.
    models = {
        version: registry.logged_id(registry.find_model(str(version), 2))
        for version in (GOOD, WEAK)
    }
    assert run.inputs is not None
    assert {one.model_id for one in run.inputs.model_inputs} == set(models.values())
    scores = {version: _scores(model_id, run) for version, model_id in models.items()}
    assert scores[GOOD]["srcnn_psnr"] == run.data.metrics["srcnn_psnr"]
    assert scores[WEAK]["srcnn_psnr"] == run.data.metrics["champion_psnr"]
    assert scores[GOOD]["bicubic_psnr"] == scores[WEAK]["bicubic_psnr"]


def _scores(model_id: str | None, run: Run) -> dict[str, float]:
    """What a model has of a run, all of it on the test pictures."""
    assert model_id is not None
    found = MlflowClient().get_logged_model(model_id).metrics or []
    own = [one for one in found if one.run_id == run.info.run_id]
    assert {one.dataset_digest for one in own} == {load_dataset("photos").split("test").digest}
    return {one.key: one.value for one in own}


@pytest.mark.usefixtures("start_with")
def test_worse_and_equal_versions_are_refused_with_the_reason(said: list[str]) -> None:
    make_champion(MIDDLE)
    for version, reason in ((WEAK, "does not beat it"), (EQUAL, "does not beat it")):
        verdict = promote(2, str(version), "photos")
        assert len(verdict.shortcomings) == 2
        for shortcoming in verdict.shortcomings:
            assert f"against champion version {MIDDLE}'s" in shortcoming
            assert shortcoming.endswith(reason)
        assert aliases() == (MIDDLE, WEAK)
        card = MlflowClient().get_model_version("srcnn-x2", str(version)).description or ""
        assert f"refused: {verdict.shortcomings[0]}" in card
        assert f"| champion version {MIDDLE} | PSNR |" in card
        # A line each, and in the tag all of them.
        first, second = verdict.shortcomings
        assert said[-1] == (
            f"version {version} is not promoted, for 2 reasons:\n- {first}\n- {second}"
        )
        assert verdict_of(version) == f"refused: {first}; {second}"
        run_id = MlflowClient().get_model_version("srcnn-x2", str(version)).tags["judged_by"]
        page = mlflow.artifacts.load_text(f"runs:/{run_id}/promotion/verdict.md")
        assert page.startswith(
            f"Version {version} of srcnn-x2 is not promoted, for 2 reasons:\n\n"
            f"- {as_markdown(first)}\n- {as_markdown(second)}\n\n| Against |"
        )


@pytest.mark.usefixtures("start_with")
def test_a_version_of_another_scale_is_refused(said: list[str]) -> None:
    verdict = promote(2, str(OTHER_SCALE), "photos")
    (reason,) = verdict.shortcomings
    assert reason.startswith("it cannot be run: srcnn-x2 version 5 enlarges a picture of 48x40")
    assert verdict_of(OTHER_SCALE) == f"refused: {reason}"
    assert said[-1] == f"version {OTHER_SCALE} is not promoted: {reason}"
    assert aliases() == (WEAK, None)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("start_with")
def test_of_two_promotions_at_once_the_better_version_stays() -> None:
    processes = [promotion(version) for version in (GOOD, MIDDLE)]
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
            make_champion(GOOD)

    with listener(rival):
        verdict = promote(2, str(MIDDLE), "photos")
    assert f"version {GOOD} has become champion meanwhile; judging against it" in said
    assert not verdict.promoted
    assert verdict.champion == GOOD
    assert aliases() == (GOOD, WEAK)


def test_of_two_trainings_that_end_at_once_the_newer_version_is_challenger(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_model, newer = logged_models.register_model, []

    def slow(*given: Any) -> ModelVersion:
        version = register_model(*given)
        monkeypatch.setattr(logged_models, "register_model", register_model)
        newer.append(registry.register(2, network(2, 0.5, store), {}))
        return version

    monkeypatch.setattr(logged_models, "register_model", slow)
    with mlflow.start_run():
        older = registry.register(2, network(2, 0.5, store), {})
    assert newer == [older + 1]
    assert registry.version_with_alias(2, "challenger") == newer[0]


@pytest.mark.exhaustive
@pytest.mark.usefixtures("start_with")
def test_a_promotion_killed_before_it_decides_changes_nothing() -> None:
    process = promotion(GOOD, "champions._move = lambda *_: os.kill(os.getpid(), 9)")
    process.communicate()
    assert process.returncode == -9
    assert aliases() == (WEAK, None)
    assert champions.champions(2).line == (WEAK,)
    # The place in the queue that the killed one has left is nobody's.
    assert promote(2, str(GOOD), "photos").promoted
    assert champions.champions(2).line == (WEAK, GOOD)


@pytest.mark.usefixtures("start_with")
def test_a_promotion_killed_after_it_decided_is_completed_by_the_next() -> None:
    client = MlflowClient()
    client.update_model_version("srcnn-x2", str(GOOD), "")
    make_champion(MIDDLE)
    process = promotion(GOOD, "champions._point_back = lambda *_: os.kill(os.getpid(), 9)")
    process.communicate()
    assert process.returncode == -9
    assert aliases() == (GOOD, WEAK)
    killed = client.get_model_version("srcnn-x2", str(GOOD))
    assert not killed.description
    promote(2, str(EQUAL), "photos")
    assert aliases() == (GOOD, MIDDLE)
    # The card, too, with the table and beside it.
    shown = client.get_model_version("srcnn-x2", str(GOOD)).description or ""
    assert "promoted: better than bicubic and version 2\n\n" in shown
    kept = mlflow.artifacts.load_text(f"runs:/{killed.tags['judged_by']}/card.md")
    assert kept[:2000] == shown[:2000]
    assert "| champion version 2 |" in kept


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


@pytest.mark.usefixtures("start_with")
def test_the_gate_decides_where_it_is_asked_for_and_test_pictures_do_not(
    store: Path, said: list[str]
) -> None:
    for split, source in (("test", "few"), ("gate", "photos")):
        for path in (store / source / "test").iterdir():
            target = store / "gated" / split / f"{split}-{path.name}"
            target.parent.mkdir(parents=True, exist_ok=True)
            with Image.open(path) as image:
                # So that no picture of one is in the other.
                image.rotate(90 if split == "gate" else 0).crop((1, 1, 128, 128)).save(target)
    assert promote(2, str(GOOD), "gated", "gate").promoted
    tags = MlflowClient().get_model_version("srcnn-x2", str(GOOD)).tags
    run = mlflow.get_run(tags["judged_by"])
    assert tags["measured_on"] == "gated gate"
    assert (run.data.params["split"], run.data.metrics["images"]) == ("gate", 8)
    gate = load_dataset("gated").measured("gate")
    assert run.data.tags["decided_on"] == gate.digest
    seen = seen_by_run(run.info.run_id)
    assert seen is not None
    assert {one.identity for one in seen} == {photo.identity for photo in gate.photos}
    assert not any("the gate of gated has" in line for line in said)


def test_a_gate_of_too_few_pictures_is_told_and_a_missing_one_refused(
    store: Path, said: list[str]
) -> None:
    (store / "small" / "test").mkdir(parents=True)
    for number, path in enumerate(sorted((store / "photos" / "test").iterdir())):
        folder = store / "small" / ("gate" if number < 4 else "test")
        folder.mkdir(exist_ok=True)
        shutil.copy(path, folder / path.name)
    assert len(load_split("small", "gate").photos) == 4
    assert "the gate of small has 4 picture(s), and to replace a champion takes at least 5; " in (
        " ".join(said)
    )
    with pytest.raises(DatasetError, match="data set photos has no gate; give gate_split=true"):
        promote(2, str(GOOD), "photos", "gate")


@pytest.mark.parametrize(
    ("split", "gate_split", "more"),
    [
        ("valid", False, "photos+div2k --split valid"),
        ("gate", False, "photos+div2k --split gate --gate-split true"),
        ("test", True, "photos+samples --gate-split true"),
    ],
)
def test_the_command_that_judges_on_more_stays_with_the_split(
    split: str, gate_split: bool, more: str
) -> None:
    command = f"srcnn-mlflow promote --scale 4 --version 7 --dataset {more}"
    assert _command_on_more(4, 7, "photos", split, gate_split) == command


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
    begin_with()
    assert promote(2, str(WEAK), "few").promoted
    verdict = MlflowClient().get_model_version("srcnn-x2", str(WEAK)).tags["verdict"]
    assert verdict.startswith("promoted: better than bicubic. The weaker rule for a first champion")
    assert "passes once in 8 times" in verdict
