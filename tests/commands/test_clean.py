"""`where` and `clean`: what is told, what is deleted, and what never is."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from srcnn_mlflow.commands.work import PURPOSES
from srcnn_mlflow.machine.locking import nobody_uses
from srcnn_mlflow.machine.places import lock_of
from srcnn_mlflow.pictures.sets import named_sets
from tests.conftest import ROOT, put_store, run_here, textured_pixels

USES = (
    "from srcnn_mlflow.machine.locking import used_beside_others\n"
    "from srcnn_mlflow.machine.places import home, lock_of\n"
    "with used_beside_others(lock_of(home())):\n"
    "    print('used', flush=True)\n"
    "    input()\n"
)


def write(path: Path, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))


@pytest.fixture
def here(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of work with something of everything; what cannot be had again is called `own`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    data = tmp_path / "data"
    write(data / "prepared" / "x2-33-14-abc.h5", 3_000_000)
    write(data / "sets" / "set5" / named_sets()["set5"].pictures[0].name, 2_000_000)
    write(data / "sets" / "set5" / "own.png", 1000)
    write(data / "sets" / "own" / "own.png", 1000)
    write(data / "DIV2K" / "DIV2K_train_HR" / "0001.png", 4_000_000)
    write(data / "shrunk" / "0123456789abcdef" / "a-0.9.png", 1000)
    write(data / "digests.json", 1000)
    write(data / "outbox" / "0123" / "own.json", 1000)
    for name in ("sweeps", "studies"):
        write(data / name / "own.db", 5000)
    write(data / "own" / "own.h5", 1000)
    write(tmp_path / "elsewhere" / "0001.png", 1000)
    (data / "DIV2K" / "DIV2K_valid_HR").symlink_to(tmp_path / "elsewhere")
    return data


def files_of(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("**/*") if path.is_file())


def test_where_tells_each_place_what_for_and_its_size(here: Path) -> None:
    told = run_here("where", cwd=here.parent).stdout
    assert told.startswith(f"work: {here}\n")
    for name, purpose in PURPOSES.items():
        (line,) = [line for line in told.splitlines() if line.startswith(f"  {here}/{name}: ")]
        assert line.endswith(f"B, {purpose}")
    assert f"{here}/DIV2K: 4.0 MB, DIV2K\n" in told
    assert f"runs and models: {here.parent}/mlflow.db\n" in told


def test_where_tells_of_the_old_place(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRCNN_HOME", str(here.parent / "new"))
    told = run_here("where", cwd=here.parent).stdout
    assert told.startswith(f"work: {here.parent}/new\n")
    assert f"{here}/sets: 2.0 MB, sets by name that were downloaded, where it used to lie" in told


def test_clean_deletes_what_can_be_had_again_and_only_when_asked(here: Path) -> None:
    before = files_of(here.parent)
    told = run_here("clean", cwd=here.parent)
    assert files_of(here.parent) == before
    assert f"{here}/prepared: 3.0 MB, made again by the next training" in told.stdout
    assert f"{here}/sets/set5: 2.0 MB, downloaded again" in told.stdout
    assert "9.0 MB in all; srcnn-mlflow clean --free true deletes it" in told.stdout
    freed = run_here("clean", "--free", "true", cwd=here.parent)
    assert freed.returncode == 0, freed.stderr
    assert "9.0 MB freed" in freed.stdout
    left = {name for name in files_of(here.parent) if not name.startswith("mlflow.db")}
    assert left == {"own.png", "own.json", "own.db", "own.h5", "0001.png"}
    assert (here.parent / "elsewhere" / "0001.png").is_file()
    assert "nothing in" in run_here("clean", cwd=here.parent).stdout


def test_nothing_is_deleted_while_a_process_uses_the_folder(here: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{USES}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as user:
        assert user.stdout is not None
        assert user.stdout.readline() == "used\n"
        before = files_of(here)
        refused = run_here("clean", "--free", "true", cwd=here.parent)
        assert refused.returncode == 1
        assert f"another command of this machine uses {here}; nothing is deleted" in refused.stderr
        assert files_of(here) == before
        # Others go on working beside it.
        assert run_here("where", cwd=here.parent).returncode == 0
        user.kill()
    assert run_here("clean", "--free", "true", cwd=here.parent).returncode == 0


def test_every_other_command_uses_the_folder(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def look() -> None:
        with nobody_uses(lock_of(here)) as alone:
            seen.append(alone)

    monkeypatch.setattr("srcnn_mlflow.commands.where.where", look)
    assert run_here("where", cwd=here.parent).returncode == 0
    # One that finds it as the old place uses it too.
    monkeypatch.setenv("SRCNN_HOME", str(here.parent / "new"))
    assert run_here("where", cwd=here.parent).returncode == 0
    look()
    assert seen == [False, False, True]


def test_what_was_deleted_is_made_again(
    here: Path, photo_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("srcnn_mlflow.pictures.photos.DIGESTS", Path("digests.json"))
    Image.fromarray(textured_pixels(70, 70, 1)).save(photo_folder / "train" / "more.png")
    first = run_here("prepare", "--dataset", "photos", cwd=here.parent)
    assert run_here("clean", "--free", "true", cwd=here.parent).returncode == 0
    second = run_here("prepare", "--dataset", "photos", cwd=here.parent)
    assert first.returncode == second.returncode == 0
    last = [done.stdout.splitlines()[-1] for done in (first, second)]
    assert last[0] == last[1]
    assert Path(last[1].removeprefix("prepared: ")).is_file()
