"""`prepare` as a command: pictures are decoded once, whatever is asked for."""

from pathlib import Path

import pytest

from srcnn_mlflow.commands.prepare import prepare_dataset
from srcnn_mlflow.pictures import photos
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.pictures.decoding import open_picture
from srcnn_mlflow.pictures.store_file import StoreSettings
from srcnn_mlflow.pictures.store_writer import prepare


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """The files that were decoded, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    files: list[Path] = []

    def count(path: Path) -> object:
        files.append(path)
        return open_picture(path)

    monkeypatch.setattr(photos, "open_picture", count)
    return files


@pytest.mark.parametrize("planes", [1, 3])
@pytest.mark.parametrize("materialize", [False, True])
def test_a_fresh_set_is_decoded_once_and_gives_the_same_file(
    decoded: list[Path], photo_folder: Path, tmp_path: Path, materialize: bool, planes: int
) -> None:
    settings = StoreSettings(2, 33, 14, materialize, planes)
    prepared = prepare_dataset(str(photo_folder), settings, None)
    assert len(decoded) == 9
    expected = prepare(load_dataset(str(photo_folder)), settings, tmp_path / "again").files[0]
    assert prepared.files[0].name == expected.name
    assert prepared.files[0].read_bytes() == expected.read_bytes()
    assert not list(Path("data/prepared").glob("*.partial"))


def test_another_scale_decodes_only_what_it_prepares(
    decoded: list[Path], photo_folder: Path, said: list[str]
) -> None:
    prepare_dataset(str(photo_folder), StoreSettings(2, 33, 14), None)
    decoded.clear()
    prepare_dataset(str(photo_folder), StoreSettings(2, 33, 14), None)
    assert decoded == []
    assert said[-1].startswith("already prepared: ")
    prepare_dataset(str(photo_folder), StoreSettings(3, 33, 14), None)
    # The first training picture twice, because it is timed for the estimate.
    assert sorted({path.parent.name for path in decoded}) == ["train", "valid"]
    assert len(decoded) == 4 + 2 + 1
