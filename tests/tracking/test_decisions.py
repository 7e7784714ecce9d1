"""A set that has chosen something is marked: counted by its digest, told by every table."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from srcnn_mlflow.commands.compare import compare
from srcnn_mlflow.commands.evaluate import evaluate
from srcnn_mlflow.commands.promote import promote
from srcnn_mlflow.commands.results import show_results
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.tracking import active_run, registry
from srcnn_mlflow.tracking.decisions import DECIDED_ON, Decisions, find_decisions
from srcnn_mlflow.tracking.exposure import Exposure, find_history
from srcnn_mlflow.tracking.seen_pictures import log_seen
from tests.conftest import put_store, write_crops
from tests.versions import GOOD, OTHER_SCALE, WEAK, begin_with, network, register_all, registered

NOTHING = Decisions(0, 0, 0)


@pytest.mark.parametrize(
    ("decisions", "told"),
    [
        (NOTHING, ""),
        (Decisions(1, 0, 0), "This set has decided 1 promotion (refusals count)."),
        (
            Decisions(3, 12, 0),
            "This set has decided 3 promotions (refusals count), and chose the epoch of 12 "
            "trainings.",
        ),
        (
            Decisions(2, 1, 2),
            "This set has decided 2 promotions (refusals count), chose the epoch of 1 training, "
            "and chose the settings of 2 sweeps.",
        ),
    ],
)
def test_a_sentence_says_what_was_chosen_and_how_often(decisions: Decisions, told: str) -> None:
    assert decisions.sentence() == told


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Path]:
    with registered(tmp_path_factory.mktemp("decisions"), empty_store) as folder:
        yield folder


@pytest.fixture
def store(
    workplace: Path, tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The registry of five versions, on which nothing was decided, in a store of its own."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    register_all(tmp_path)
    begin_with(WEAK)
    return workplace


def digest_of(dataset: str, split: str = "test") -> str:
    return load_dataset(dataset).measured(split).digest


def newest(entry_point: str) -> Run:
    found: list[Run] = mlflow.search_runs(
        search_all_experiments=True,
        filter_string=f"tags.entry_point = '{entry_point}'",
        max_results=1,
        output_format="list",
    )
    return found[0]


def artifact(run: Run, path: str) -> str:
    return str(mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/{path}"))


def train_on(
    dataset: str,
    split: str,
    entry_point: str = "train",
    experiment: str | None = None,
    **tags: str,
) -> None:
    """Leave behind what a training does whose epoch a split chose."""
    with mlflow.start_run(experiment_id=experiment):
        mlflow.set_tags({"entry_point": entry_point, **tags})
        active_run.log_split(load_dataset(dataset).measured(split), "valid")
        active_run.log_metrics({"best_epoch": 1})


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_promotions_are_counted_by_what_they_decided_on_refusals_among_them() -> None:
    assert find_decisions(digest_of("few")) == NOTHING
    assert promote(2, str(GOOD), "photos").promoted
    assert not promote(2, str(WEAK), "few").promoted
    # The same pictures under another name of a split.
    assert not promote(2, str(WEAK), "photos", "all").promoted
    assert newest("promote").data.tags[DECIDED_ON] == digest_of("photos")
    assert find_decisions(digest_of("photos")) == Decisions(2, 0, 0)
    assert find_decisions(digest_of("few")) == Decisions(1, 0, 0)


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_what_no_picture_decided_is_not_counted() -> None:
    # It cannot be run; it is champion already.
    assert not promote(2, str(OTHER_SCALE), "photos").promoted
    assert not promote(2, str(WEAK), "photos").promoted
    begin_with(WEAK, GOOD)
    promote(2, "previous", "photos")
    evaluate(2, str(WEAK), "photos", "test", None)
    assert find_decisions(digest_of("photos")) == NOTHING
    assert "has decided" not in artifact(newest("evaluate"), "evaluation/table.md")


@pytest.mark.slow
def test_a_set_is_known_under_any_name_and_when_its_runs_are_deleted(store: Path) -> None:
    shutil.copytree(store / "few" / "test", store / "renamed" / "valid", dirs_exist_ok=True)
    promote(2, str(GOOD), "few")
    train_on("renamed", "valid")
    train_on("photos", "test")
    digest = digest_of("renamed", "valid")
    assert digest == digest_of("few")
    assert find_decisions(digest) == Decisions(1, 1, 0)
    MlflowClient().delete_run(newest("promote").info.run_id)
    train_on("few", "test", experiment=MlflowClient().create_experiment("another"))
    assert find_decisions(digest) == Decisions(1, 2, 0)


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_trials_count_as_their_sweep_and_what_chose_no_epoch_does_not() -> None:
    for study in ("one", "one", "two"):
        train_on("few", "test", "trial", study=study)
    with mlflow.start_run():
        mlflow.set_tags({"entry_point": "prepare"})
        active_run.log_split(load_dataset("few").measured("test"), "valid")
    assert find_decisions(digest_of("few")) == Decisions(0, 0, 2)


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_promotions_from_before_they_were_tagged_count_too() -> None:
    for verdict in ("promoted: better than bicubic", "refused: it cannot be run: gone", ""):
        with mlflow.start_run():
            mlflow.set_tags({"entry_point": "promote", **({"verdict": verdict} if verdict else {})})
            active_run.log_split(load_dataset("few").measured("test"))
    assert find_decisions(digest_of("few")) == Decisions(1, 0, 0)


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_every_table_says_what_its_set_has_chosen(said: list[str]) -> None:
    train_on("photos", "test")
    promote(2, str(GOOD), "photos")
    once = "set has decided 1 promotion (refusals count), and chose the epoch of 1 training."
    told = f"With this verdict, this {once}"
    assert told in artifact(newest("promote"), "promotion/verdict.md")
    assert json.loads(artifact(newest("promote"), "promotion/verdict.json"))["decided"] == told
    assert any(told in line for line in said)

    told = f"This {once}"
    numbers = {"promotions": 1, "epochs": 1, "sweeps": 0, "told": told}
    evaluate(2, str(GOOD), "photos", "test", None)
    run = newest("evaluate")
    assert told in artifact(run, "evaluation/table.md")
    assert told in artifact(run, "evaluation/report.html")
    assert json.loads(artifact(run, "evaluation/table.json"))["decisions"] == numbers
    assert told in run.data.tags["mlflow.note.content"]
    assert said.count(told) == 1

    compare(f"srcnn-x2/{GOOD}", "photos", "test")
    run = newest("compare")
    assert told in artifact(run, "comparison/table.md")
    assert json.loads(artifact(run, "comparison/decisions.json")) == numbers
    assert said.count(told) == 2

    # As it is now, not as it was when it was evaluated; and of each set the newest.
    promote(2, str(WEAK), "photos")
    evaluate(2, str(GOOD), "few", "test", None)
    evaluate(2, str(WEAK), "few", "test", None)
    said.clear()
    show_results()
    twice = "set has decided 2 promotions (refusals count), and chose the epoch of 1 training."
    assert f"This {twice}" in said
    titles = [line for line in said if line.startswith("on ")]
    assert [title.split(" of ")[1] for title in titles] == ["few test:", "photos test:"]
    judged = [line.split(", ")[0] for line in said if line.startswith("x2: ")]
    assert judged == [f"x2: srcnn-x2/{WEAK}", f"x2: srcnn-x2/{GOOD} (champion)"]


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_what_a_promotion_decided_on_is_known_picture_by_picture() -> None:
    found = registry.find_model(str(GOOD), 2)
    photos = load_dataset("photos").photos("test")
    # Its training has kept nothing, and no promotion has judged it.
    assert find_history(found).exposure(photos) == Exposure(8, None, None, 0)
    promote(2, str(GOOD), "few")
    few = {photo.identity for photo in load_dataset("few").photos("test")}
    seen = sum(photo.identity in few for photo in photos)
    assert 0 < seen < 8
    assert find_history(found).exposure(photos) == Exposure(8, None, None, seen)
    # The champion could have lost its place by it.
    champion = registry.find_model(str(WEAK), 2)
    assert find_history(champion).exposure(photos).promotion == seen
    assert find_history(registry.find_model("shipped", 2)).exposure(photos).promotion == 0


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_of_a_promotion_that_kept_no_pictures_they_are_not_known() -> None:
    found, photos = registry.find_model(str(GOOD), 2), load_dataset("few").photos("test")
    with mlflow.start_run():
        mlflow.set_tags(
            {"entry_point": "promote", "verdict": "refused: noise", "model_uri": found.uri}
        )
        active_run.log_split(load_dataset("photos").measured("test"))
    assert find_history(found).exposure(photos).promotion is None
    promote(2, str(GOOD), "few")
    assert find_history(found).exposure(photos).promotion == 3


@pytest.mark.slow
def test_training_and_the_choice_of_the_epoch_are_told_apart(
    tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    write_crops(tmp_path / "photos", 130, train=4, valid=2, test=3)
    dataset = load_dataset("photos")
    with mlflow.start_run():
        log_seen(dataset.split(split) for split in ("train", "valid"))
        registry.register(2, network(2, 1.0, tmp_path), {})
    found = registry.find_model("1", 2)
    assert find_history(found).exposure(dataset.photos("all")) == Exposure(9, 4, 2, 0)
    assert find_history(found).exposure(dataset.photos("valid")) == Exposure(2, 0, 2, 0)
    told = find_history(found).exposure(dataset.photos("test")).sentence("srcnn-x2/1", "photos")
    assert told == (
        "srcnn-x2/1 on photos, 3 pictures: seen in training: none; when the epoch was chosen: "
        "none; by promotions: none."
    )
