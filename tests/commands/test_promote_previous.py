"""The line of champions: walked back step by step, with versions in it that cannot be run."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import numpy as np
import onnx
import pytest
from mlflow import MlflowClient
from onnx import numpy_helper

from srcnn_mlflow.commands.promote import promote
from srcnn_mlflow.machine.errors import DamagedModelError, ModelError
from srcnn_mlflow.tracking import champions, registry
from srcnn_mlflow.tracking.judge import JudgedModel
from tests.conftest import sampled
from tests.versions import (
    GOOD,
    MIDDLE,
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
    with registered(tmp_path_factory.mktemp("line"), empty_store) as folder:
        yield folder


@pytest.fixture(autouse=True)
def nobody_is_left(store: Path) -> Iterator[None]:
    yield
    assert store.exists()
    assert nobody_waits()


@contextmanager
def damaged(version: int, how: str, folder: Path) -> Iterator[None]:
    """Let the files of a version be damaged while the block runs."""
    found = registry.find_model(str(version), 2)
    whole = folder / "whole"
    shutil.copytree(found.folder, whole)
    if how == "gone":
        shutil.rmtree(found.folder)
    elif how == "without its network":
        found.network.unlink()
    elif how == "cut short":
        found.network.write_bytes(found.network.read_bytes()[:1000])
    elif how == "another scale's":
        shutil.copyfile(network(3, 1.0, folder), found.network)
    else:
        ruin_weights(found.network, float("nan") if how == "no numbers" else 1e3)
    try:
        yield
    finally:
        shutil.rmtree(found.folder, ignore_errors=True)
        shutil.copytree(whole, found.folder)


def ruin_weights(path: Path, by: float) -> None:
    model = onnx.load(path)
    for constant in model.graph.initializer:
        if constant.name.startswith("conv3."):
            ruined = numpy_helper.to_array(constant) * np.float32(by)
            constant.CopyFrom(numpy_helper.from_array(ruined, constant.name))
    onnx.save(model, path)


DAMAGE = (
    *("gone", "without its network", "cut short", "another scale's"),
    *("no numbers", "wild numbers"),
)


def test_three_promotions_are_walked_back_step_by_step() -> None:
    begin_with()
    for version in (WEAK, MIDDLE, GOOD):
        assert promote(2, str(version), "photos").promoted
    judged = verdict_of(MIDDLE)
    first = promote(2, "previous", "nowhere")
    assert (first.promoted, first.version, first.champion) == (True, MIDDLE, GOOD)
    assert aliases() == (MIDDLE, WEAK)
    assert verdict_of(GOOD) == "rolled back: version 2 is champion again"
    assert verdict_of(MIDDLE) == "champion again: version 4 was rolled back"
    tags = MlflowClient().get_model_version("srcnn-x2", str(GOOD)).tags
    run = mlflow.get_run(tags["judged_by"])
    assert run.data.tags["verdict"] == (
        "rolled back: srcnn-x2 version 2 is champion again in place of version 4"
    )
    page = mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/promotion/verdict.md")
    assert f"version 2, champion again: version 4 was rolled back; before: {judged}" in page
    assert promote(2, "previous", "nowhere").version == WEAK
    assert aliases() == (WEAK, None)
    with pytest.raises(ModelError, match="no earlier champion than version 1; give the"):
        promote(2, "previous", "nowhere")
    assert aliases() == (WEAK, None)


def test_a_version_that_was_rolled_back_is_judged_anew(said: list[str]) -> None:
    begin_with(WEAK, GOOD)
    promote(2, "previous", "photos")
    assert promote(2, str(GOOD), "photos").promoted
    assert any("judged anew, though it was rolled back: version 1" in line for line in said)
    assert verdict_of(GOOD) == "promoted: better than bicubic and version 1"
    assert champions.champions(2).line == (WEAK, GOOD)


@pytest.mark.parametrize("how", sampled(DAMAGE, 2))
def test_a_damaged_former_champion_is_passed_over_by_name(
    how: str, tmp_path: Path, said: list[str]
) -> None:
    begin_with(WEAK, MIDDLE, GOOD)
    with damaged(MIDDLE, how, tmp_path):
        assert promote(2, "previous", "nowhere").version == WEAK
    named = "passed over: srcnn-x2 version 2 cannot be run ("
    assert any(line.startswith(named) for line in said)
    assert verdict_of(MIDDLE).startswith("passed over: cannot be run (")
    assert named in verdict_of(GOOD)
    assert champions.champions(2).line == (WEAK,)
    assert aliases() == (WEAK, None)


def test_where_no_former_champion_can_be_run_the_champion_stays(tmp_path: Path) -> None:
    begin_with(WEAK, GOOD)
    with (
        damaged(WEAK, "cut short", tmp_path),
        pytest.raises(
            ModelError, match=r"no former champion is left.*srcnn-x2 version 1 cannot be run \("
        ),
    ):
        promote(2, "previous", "nowhere")
    assert aliases() == (GOOD, WEAK)


@pytest.mark.parametrize("how", sampled(["without its network", "cut short", "another scale's"]))
def test_a_damaged_challenger_is_refused_by_name(how: str, tmp_path: Path) -> None:
    begin_with(WEAK)
    with damaged(GOOD, how, tmp_path):
        (reason,) = promote(2, str(GOOD), "photos").shortcomings
    assert reason.startswith("it cannot be run: ")
    assert verdict_of(GOOD) == f"refused: {reason}"
    assert aliases() == (WEAK, None)


def test_a_challenger_without_files_is_refused_by_name(tmp_path: Path) -> None:
    begin_with(WEAK)
    refused = "version 4 of srcnn-x2 is registered, but its files are gone"
    with damaged(GOOD, "gone", tmp_path), pytest.raises(ModelError, match=refused):
        promote(2, str(GOOD), "photos")
    assert aliases() == (WEAK, None)


@pytest.mark.parametrize("how", sampled(["cut short", "gone", "another scale's", "wild numbers"]))
def test_a_broken_champion_is_named_and_loses_its_place(
    how: str, tmp_path: Path, said: list[str]
) -> None:
    begin_with(WEAK, MIDDLE)
    with damaged(MIDDLE, how, tmp_path):
        verdict = promote(2, str(GOOD), "photos")
    assert verdict.promoted
    assert aliases()[0] == GOOD
    if how == "wild numbers":
        # It can be run, so it is beaten in the contest.
        assert verdict_of(GOOD) == "promoted: better than bicubic and version 2"
        return
    assert verdict.champion == WEAK
    assert any("| former champion version 1 | PSNR |" in line for line in said)
    assert verdict_of(GOOD).startswith(
        "promoted: better than bicubic and version 1, in place of a broken champion: "
        "srcnn-x2 version 2 cannot be run ("
    )
    assert verdict_of(MIDDLE).startswith("lost its place to version 4: cannot be run (")
    assert champions.champions(2).line == (WEAK, GOOD)


def test_a_broken_champion_without_a_former_one_is_replaced_by_what_beats_bicubic(
    tmp_path: Path,
) -> None:
    begin_with(GOOD)
    with damaged(GOOD, "gone", tmp_path):
        assert promote(2, str(WEAK), "photos").promoted
    assert verdict_of(WEAK).startswith("promoted: better than bicubic, in place of a broken")
    assert aliases() == (WEAK, None)


def test_a_broken_champion_keeps_its_place_against_what_does_not_pass(tmp_path: Path) -> None:
    begin_with(GOOD, MIDDLE)
    with damaged(MIDDLE, "cut short", tmp_path):
        verdict = promote(2, str(WEAK), "photos")
        with pytest.raises(DamagedModelError, match=r"^srcnn-x2 version 2 cannot be run: "):
            promote(2, str(MIDDLE), "photos")
    assert verdict.champion == GOOD
    assert "against former champion version 4's" in verdict.shortcomings[0]
    assert aliases() == (MIDDLE, GOOD)


def test_a_former_champion_is_not_held_against_itself(tmp_path: Path) -> None:
    begin_with(WEAK, GOOD, MIDDLE)
    with damaged(MIDDLE, "cut short", tmp_path):
        verdict = promote(2, str(GOOD), "photos")
    assert (verdict.promoted, verdict.champion) == (True, WEAK)
    assert champions.champions(2).line == (WEAK, GOOD)


def test_a_model_that_was_ended_from_outside_is_not_called_damaged() -> None:
    found = registry.find_model(str(GOOD), 2)
    with JudgedModel(found.folder, found.name) as judged:
        judged._process.kill()
        with pytest.raises(ModelError, match=r"version 4 cannot be run: .* signal 9") as told:
            judged.upscale_luma(np.zeros((20, 20), np.uint8))
    assert not isinstance(told.value, DamagedModelError)


def test_a_champion_who_is_replaced_meanwhile_is_not_rolled_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begin_with(WEAK, MIDDLE)

    def slow_check(*_: object) -> None:
        make_champion(GOOD)

    monkeypatch.setattr("srcnn_mlflow.commands.promote_previous.check_model", slow_check)
    with pytest.raises(ModelError, match=r"version 4 has become champion .* in place of 2; look"):
        promote(2, "previous", "nowhere")
    assert champions.champions(2).line == (WEAK, MIDDLE, GOOD)


@pytest.mark.parametrize(("moment", "again"), sampled([("_move", MIDDLE), ("_note", WEAK)]))
def test_a_roll_back_that_is_killed_leaves_a_line_that_goes_on(moment: str, again: int) -> None:
    begin_with(WEAK, MIDDLE, GOOD)
    process = promotion("previous", f"champions.{moment} = lambda *_: os.kill(os.getpid(), 9)")
    process.communicate()
    assert process.returncode == -9
    assert verdict_of(GOOD) == "rolled back: version 2 is champion again"
    assert promote(2, "previous", "nowhere").version == again
    assert aliases()[0] == again
