from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srcnn_mlflow.machine.errors import DatasetError
from srcnn_mlflow.machine.places import home
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.pictures.photos import load_luma
from srcnn_mlflow.pictures.shrunk import FACTORS, SHRUNK_FOLDER
from tests.conftest import textured_pixels


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for number, split in enumerate(["train", "train", "valid", "test"]):
        (tmp_path / "photos" / split).mkdir(parents=True, exist_ok=True)
        pixels = textured_pixels(40, 60, number)
        Image.fromarray(pixels).save(tmp_path / "photos" / split / f"{number}.png")
    return tmp_path


@pytest.mark.usefixtures("photos")
def test_copies_of_each_size_train_and_nothing_else_changes() -> None:
    plain, shrunk = load_dataset("photos"), load_dataset("photos@shrunk")
    assert shrunk.name == "photos@shrunk"
    for split in ("valid", "test"):
        assert shrunk.split(split).digest == plain.split(split).digest
    train = shrunk.photos("train")
    assert train[:2] == plain.photos("train")
    sizes = [(photo.width, photo.height) for photo in train[2:6]]
    assert sizes == [(round(60 * factor), round(40 * factor)) for factor in FACTORS]
    assert len(train) == 2 * (1 + len(FACTORS))


@pytest.mark.usefixtures("photos")
def test_a_copy_is_the_picture_made_smaller() -> None:
    original, *_ = load_dataset("photos").photos("train")
    copy = load_dataset("photos@shrunk").photos("train")[2]
    with Image.open(original.path) as image:
        smaller = image.resize((54, 36), Image.Resampling.BICUBIC)
    with Image.open(copy.path) as image:
        assert np.array_equal(np.asarray(image), np.asarray(smaller))


@pytest.mark.usefixtures("photos")
def test_copies_are_made_once() -> None:
    first = load_dataset("photos@shrunk")
    times = {photo.path: photo.path.stat().st_mtime_ns for photo in first.photos("train")}
    again = load_dataset("photos@shrunk")
    assert {one.path: one.path.stat().st_mtime_ns for one in again.photos("train")} == times
    assert again.split("train").digest == first.split("train").digest


def test_another_picture_of_the_same_name_has_other_copies(photos: Path) -> None:
    before = load_dataset("photos@shrunk").photos("train")[2]
    Image.fromarray(textured_pixels(40, 60, 9)).save(photos / "photos" / "train" / "0.png")
    after = load_dataset("photos@shrunk").photos("train")[2]
    assert not np.array_equal(load_luma(before), load_luma(after))


@pytest.mark.usefixtures("photos")
def test_a_copy_that_cannot_be_read_is_said() -> None:
    load_dataset("photos@shrunk")
    next((home() / SHRUNK_FOLDER).glob("*/*.png")).write_bytes(b"damaged")
    with pytest.raises(DatasetError, match=r"1 shrunk copies of data set photos.*delete .*shrunk"):
        load_dataset("photos@shrunk")


def test_a_folder_may_be_called_so(photos: Path) -> None:
    (photos / "photos").rename(photos / "my@shrunk")
    assert len(load_dataset("my@shrunk").photos("train")) == 2
    assert len(load_dataset("my@shrunk@shrunk").photos("train")) == 10


@pytest.mark.usefixtures("photos")
def test_a_joined_name_is_shrunk_as_a_whole() -> None:
    plain, shrunk = load_dataset("photos+samples"), load_dataset("photos+samples@shrunk")
    assert len(shrunk.photos("train")) == 5 * len(plain.photos("train"))
