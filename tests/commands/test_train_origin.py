"""Ways in which the world can change between an interruption and a resume."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import mlflow
import pytest
import torch
from mlflow import MlflowClient
from PIL import Image

from srcnn_mlflow.commands import train_origin
from srcnn_mlflow.commands.train import resume, train
from srcnn_mlflow.commands.train_followers import _check_brief
from srcnn_mlflow.commands.train_origin import check_origin, tell_changes
from srcnn_mlflow.commands.train_request import TrainRequest
from srcnn_mlflow.commands.train_state import find_interrupted
from srcnn_mlflow.machine.errors import DatasetError, TrainingError
from srcnn_mlflow.machine.git import code_digest
from srcnn_mlflow.machine.places import home
from srcnn_mlflow.pictures.store_file import STORE_FOLDER, seal
from srcnn_mlflow.training.distributed import World, alone
from srcnn_mlflow.training.settings import TrainingSettings
from tests.conftest import ROOT, listener, put_store, runs_of, textured_pixels

CPU = torch.device("cpu")


@dataclass
class Broken:
    """A training that was interrupted after its first epoch: its run, request and prepared file."""

    run_id: str
    request: TrainRequest
    prepared: Path

    def goes_on(self, request: TrainRequest | None = None) -> list[str]:
        """Resume it up to its first step, and interrupt it again; gives what was told."""
        said: list[str] = []

        def hear(line: str) -> None:
            said.append(line)
            if line.startswith("training srcnn-x2"):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt), listener(hear):
            resume(self.run_id, alone(CPU), request)
        return said


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Broken]:
    folder = tmp_path_factory.mktemp("broken")
    for split, count, first in (("train", 3, 0), ("valid", 2, 10), ("test", 2, 20)):
        for number in range(count):
            put_picture(folder / "photos" / split / f"{number}.png", first + number)

    def interrupt(line: str) -> None:
        if line.startswith("epoch 1 of"):
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, folder))
        patch.setattr("srcnn_mlflow.pictures.photos.DIGESTS", folder / "digests.json")
        settings = TrainingSettings(architecture="9-1-5", epochs=3)
        request = TrainRequest(2, "photos", 33, 14, None, settings)
        with pytest.raises(KeyboardInterrupt), listener(interrupt):
            train(request, "cpu")
        run_id = find_interrupted(request)
        assert run_id is not None
        (prepared,) = (home() / STORE_FOLDER).glob("*.h5")
        yield Broken(run_id, request, prepared)


def put_picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(textured_pixels(80, 70 + seed, seed)).save(path)


@contextmanager
def changed(folder: Path) -> Iterator[Path]:
    """Put a folder back as it was when the block ends."""
    kept = folder.with_name(f"{folder.name} as it was")
    shutil.copytree(folder, kept)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
        kept.rename(folder)


def add(folder: Path) -> None:
    put_picture(folder / "more.png", 40)


def remove(folder: Path) -> None:
    (folder / "0.png").unlink()


def exchange(folder: Path) -> None:
    put_picture(folder / "0.png", 41)


# Ways to change the pictures of a folder, and how many more it has then.
MORE: dict[Callable[[Path], None], int] = {add: 1, remove: -1, exchange: 0}


@pytest.mark.slow
@pytest.mark.parametrize("change", MORE)
@pytest.mark.parametrize("split", ["train", "valid"])
def test_other_pictures_to_learn_from_or_to_choose_by_are_refused(
    broken: Broken, split: str, change: Callable[[Path], None]
) -> None:
    before = {"train": 3, "valid": 2}[split]
    now = before + MORE[change]
    with changed(Path("photos") / split) as folder:
        change(folder)
        with pytest.raises(
            TrainingError,
            match=rf"the {split} pictures of data set photos have changed since run "
            rf"{broken.run_id} began \({before} then, {now} now\); bring them back, or train anew",
        ):
            resume(broken.run_id, alone(CPU))
    assert "changed" not in "".join(broken.goes_on())


@pytest.mark.slow
@pytest.mark.parametrize("change", MORE)
def test_other_test_pictures_are_told(broken: Broken, change: Callable[[Path], None]) -> None:
    now = 2 + MORE[change]
    with changed(Path("photos/test")) as folder:
        change(folder)
        said = broken.goes_on()
    told = f"the test pictures of data set photos have changed since run {broken.run_id} began "
    assert any(line.startswith(f"{told}(2 then, {now} now); no training") for line in said)
    broken.goes_on()


@pytest.mark.slow
def test_a_data_set_without_validation_pictures_is_refused(broken: Broken) -> None:
    with changed(Path("photos")) as folder:
        shutil.rmtree(folder / "valid")
        with pytest.raises(DatasetError, match="no picture in its valid split"):
            resume(broken.run_id, alone(CPU))


@pytest.mark.slow
def test_a_prepared_file_of_other_planes_is_refused(broken: Broken) -> None:
    with changed(home() / STORE_FOLDER):
        path = broken.prepared
        with h5py.File(path, "r+") as file:
            file["valid/hr"][5] ^= 1
        first_block = seal(path)
        with path.open("r+b") as file:
            file.write(first_block)
        with pytest.raises(TrainingError, match="prepared planes of data set photos are not those"):
            resume(broken.run_id, alone(CPU))
    broken.goes_on()


def lose(path: Path) -> None:
    path.unlink()


def spoil(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def mistake(path: Path) -> None:
    """Put the file of another data set in its place, whole as it is."""
    with h5py.File(path, "r+") as file:
        file.attrs["train_digest"] = "0" * 32
    first_block = seal(path)
    with path.open("r+b") as file:
        file.write(first_block)


@pytest.mark.slow
@pytest.mark.parametrize("change", [lose, spoil, mistake])
def test_a_prepared_file_that_is_no_longer_there_is_made_again(
    broken: Broken, change: Callable[[Path], None]
) -> None:
    with changed(home() / STORE_FOLDER):
        path = broken.prepared.absolute()
        content = path.read_bytes()
        change(path)
        said = broken.goes_on()
        assert path.read_bytes() == content
    assert any(line.startswith(f"preparing {path}") for line in said)
    assert (change == lose) or f"{path} is damaged, so it is made again" in said


@pytest.mark.slow
def test_settings_that_are_not_the_runs_are_told(broken: Broken, said: list[str]) -> None:
    other = replace(
        broken.request, stride=20, settings=replace(broken.request.settings, lr=0.01, epochs=8)
    )
    told = "its own settings hold, and not those of this command: stride 14, not 20, epochs 3, "
    assert any(
        line.startswith(f"{told}not 8, lr 0.001, not 0.01") for line in broken.goes_on(other)
    )
    assert not any("settings hold" in line for line in broken.goes_on(broken.request))
    assert find_interrupted(other) is None
    assert said[-1] == (
        f"beginning anew; the newest other one, run {broken.run_id} was interrupted with other "
        "settings (stride 14, not 20, epochs 3, not 8, lr 0.001, not 0.01)"
    )


@pytest.mark.slow
def test_what_else_has_changed_is_told_and_kept(
    broken: Broken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_origin, "git_commit", lambda: "f" * 40)
    monkeypatch.setattr(train_origin, "code_digest", lambda: "e" * 12)
    monkeypatch.setattr("platform.node", lambda: "another machine")
    told = f"run {broken.run_id} goes on with what it did not begin with: "
    (line,) = [line for line in broken.goes_on() if line.startswith(told)]
    changes = line.removeprefix(told)
    assert changes.startswith(f"git_commit {'f' * 40}, not ")
    assert "code eeeeeeeeeeee, not " in changes
    assert changes.endswith(f"host another machine, not {os.uname().nodename}")
    assert mlflow.get_run(broken.run_id).data.tags["resumed_with"] == changes


@pytest.mark.exhaustive
@pytest.mark.slow
def test_another_commit_is_told(tmp_path: Path, photo_folder: Path) -> None:
    clone = tmp_path / "clone"
    clone.mkdir()

    def git(*words: str) -> None:
        author = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", *author, *words], cwd=clone, check=True, capture_output=True)

    shutil.copytree(ROOT / "srcnn_mlflow", clone / "srcnn_mlflow")
    for words in (["init"], ["add", "."], ["commit", "-m", "one"]):
        git(*words)
    store = f"sqlite:///{tmp_path}/mlflow.db"
    environment = {**os.environ, "PYTHONPATH": str(clone), "MLFLOW_TRACKING_URI": store}
    command = ["-m", "srcnn_mlflow", "train", "--dataset", str(photo_folder), "--epochs", "2000"]
    with subprocess.Popen(
        [sys.executable, "-u", *command, "--architecture", "9-1-5", "--train-images", "1"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert any(line.startswith("epoch 1 of") for line in process.stdout)
        process.kill()
    git("commit", "--allow-empty", "-m", "two")
    (run,) = runs_of(MlflowClient(store))
    run_id = run.info.run_id
    # It need not come to its end.
    (photo_folder / "test" / "test0.png").unlink()
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "srcnn_mlflow", "train", "--resume", run_id],
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("training srcnn-x2"):
                break
        process.kill()
        assert process.stderr is not None
        told = "".join(lines) + process.stderr.read()
    assert f"run {run_id} goes on with what it did not begin with: git_commit " in told
    assert "code " not in told.split("did not begin with: ")[1].splitlines()[0]
    assert "the test pictures of data set" in told


def facts(**changed: Any) -> dict[str, Any]:
    usual = {
        "parameters": {"dataset": "photos"},
        "train_digest": "a",
        "pictures": {
            "train": {"digest": "a", "images": 3},
            "valid": {"digest": "b", "images": 2},
            "test": {"digest": "c", "images": 1},
        },
        "planes": "00000000",
        "surroundings": {"processes": "1"},
    }
    return {**usual, **changed}


def test_the_same_world_says_nothing(said: list[str]) -> None:
    check_origin(facts(), facts(), "run 1", "stop")
    assert tell_changes(facts(), facts(), "run 1") == ""
    assert said == []


def test_a_state_of_before_says_less_and_can_be_resumed(said: list[str]) -> None:
    former = {"parameters": {"dataset": "photos"}, "train_digest": "a"}
    check_origin(former, facts(), "run 1", "stop")
    assert said == ["run 1 does not say which valid pictures it began with"]
    assert tell_changes(former, facts(), "run 1") == ""
    with pytest.raises(TrainingError, match=r"the train pictures .* \(others then, 3 now\); stop"):
        check_origin({**former, "train_digest": "b"}, facts(), "run 1", "stop")


def test_test_pictures_that_are_new_or_gone_are_told(said: list[str]) -> None:
    without = facts(pictures={k: v for k, v in facts()["pictures"].items() if k != "test"})
    tell_changes(without, facts(), "run 1")
    tell_changes(facts(), without, "run 1")
    assert ["(0 then, 1 now)" in said[0], "(1 then, 0 now)" in said[1]] == [True, True]


def test_another_number_of_processes_is_told(said: list[str]) -> None:
    other = facts(surroundings={"processes": "2", "code": "x"})
    assert tell_changes(facts(), other, "run 1") == "processes 2, not 1"
    assert said == ["run 1 goes on with what it did not begin with: processes 2, not 1"]


def test_a_process_that_finds_other_pictures_does_not_train_along(said: list[str]) -> None:
    world = World(1, 2, CPU)
    leader = facts(surroundings={"code": "a", "host": "one"})
    own = facts(surroundings={"code": "b", "host": "two"})
    _check_brief(leader, own, world)
    assert said == ["process 1 goes on with what it did not begin with: code b, not a"]
    with pytest.raises(TrainingError, match=r"planes .* give every machine the same"):
        _check_brief(leader, {**own, "planes": "11111111"}, world)


def test_uncommitted_code_has_another_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ROOT / "srcnn_mlflow", tmp_path / "srcnn_mlflow")
    monkeypatch.setattr("srcnn_mlflow.machine.git._PACKAGE", tmp_path / "srcnn_mlflow")
    before = code_digest()
    with (tmp_path / "srcnn_mlflow" / "cli.py").open("a") as file:
        file.write("# more\n")
    assert code_digest() != before
