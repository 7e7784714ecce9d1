"""What the system refuses is told as what it is: which file, what stands in the way, what to do."""

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from srcnn_mlflow.machine.atomic_write import atomic_write
from srcnn_mlflow.machine.errors import WriteError
from srcnn_mlflow.machine.faults import explain
from srcnn_mlflow.machine.locking import one_at_a_time

OBSTACLES: dict[str, tuple[Callable[[Path], object], str]] = {
    "dangling link": (lambda path: path.symlink_to("nowhere"), "to nowhere, which does not exist"),
    "link to itself": (lambda path: path.symlink_to(path.name), "which does not exist"),
    "link to a file": (lambda path: path.symlink_to(__file__), "which is a file"),
    "file": (Path.touch, "is a file, not a folder"),
}


def write(path: Path) -> None:
    with atomic_write(path) as partial:
        partial.write_text("content")


def lock(path: Path) -> None:
    with one_at_a_time(path, "writes"):
        pass


@pytest.mark.parametrize("way", [write, lock])
@pytest.mark.parametrize("below", ["a.png", "deeper/a.png"])
@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_what_stands_where_a_folder_has_to_be_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    obstacle: str,
    below: str,
    way: Callable[[Path], None],
) -> None:
    make, told = OBSTACLES[obstacle]
    make(tmp_path / "out")
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / "out" / below, Path("out") / below):
        with pytest.raises(WriteError) as refused:
            way(path)
        text = str(refused.value)
        assert text.startswith(f"cannot write {path}: {tmp_path}/out is a ")
        assert told in text
        assert text.endswith("; move it away, or give another folder")


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_the_same_is_told_of_folders_that_others_make(tmp_path: Path, obstacle: str) -> None:
    make, told = OBSTACLES[obstacle]
    make(tmp_path / "mlruns")
    for folder in (tmp_path / "mlruns", tmp_path / "mlruns" / "0"):
        with pytest.raises(OSError, match="mlruns") as raised:
            folder.mkdir(exist_ok=True)
        text = explain(raised.value)
        assert text is not None
        assert f"{tmp_path}/mlruns is a " in text
        assert told in text


def test_a_link_to_a_folder_stands_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to("real")
    write(tmp_path / "out" / "deeper" / "a.txt")
    assert (tmp_path / "real" / "deeper" / "a.txt").read_text() == "content"


def test_names_that_cannot_be_files_are_told(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(WriteError, match="a folder has this name; move it away, or give another"):
        write(tmp_path / "folder")
    with pytest.raises(WriteError, match="the name is too long; give a shorter one"):
        write(tmp_path / ("n" * 300))


def test_another_file_than_the_one_that_is_written_is_not_blamed_on_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised, atomic_write(tmp_path / "copy") as partial:
        shutil.copyfile(tmp_path / "gone", partial)
    assert explain(raised.value) == (
        f"cannot read or write {tmp_path}/gone: No such file or directory"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_with_what_is_needed_and_free(tmp_path: Path) -> None:
    with (
        pytest.raises(WriteError, match=r"the disk is full \(2.0 MB are needed, and .* are free\)"),
        atomic_write(tmp_path / "large", 2_000_000),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
