import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srcnn_mlflow.machine.errors import DatasetError
from srcnn_mlflow.pictures import div2k_download, download
from srcnn_mlflow.pictures.dataset_parts import split_by_digest
from srcnn_mlflow.pictures.datasets import SPLITS, describe, load_dataset
from srcnn_mlflow.pictures.photos import Photo, digest, load_luma
from tests.conftest import textured_pixels
from tests.corpus import FILES


def save(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(textured_pixels(30, 40, seed)).save(path)


def photo(number: int) -> Photo:
    digest = hashlib.sha256(bytes([number])).hexdigest()
    return Photo(Path(f"{number}.png"), 1, 1, digest, digest, ())


def test_samples_are_split_without_twins() -> None:
    dataset = load_dataset("samples")
    assert {split: len(dataset.splits[split]) for split in SPLITS} == {
        "train": 8,
        "valid": 2,
        "test": 5,
    }
    split_of = {photo.path.stem: split for split in SPLITS for photo in dataset.splits[split]}
    assert split_of["motorcycle_left"] == split_of["motorcycle_right"] == "train"
    assert "cell" not in split_of
    assert not dataset.skipped


def test_samples_have_the_same_digest_on_every_machine() -> None:
    assert digest(load_dataset("samples").photos("test")) == "a8fb153f50e892ea58b4653987b8358f"


def test_a_split_folder_is_taken_as_split(photo_folder: Path) -> None:
    dataset = load_dataset(str(photo_folder))
    assert [len(dataset.photos(split)) for split in SPLITS] == [4, 2, 3]
    assert len(dataset.photos("all")) == 9
    assert dataset.photos("valid")[0].name == "valid0.png"


def test_a_flat_folder_is_split_by_its_pixels(tmp_path: Path) -> None:
    for number in range(60):
        save(tmp_path / f"{number}.png", number)
    before = load_dataset(str(tmp_path))
    assert 38 <= len(before.photos("train")) <= 58
    save(tmp_path / "another.png", 1000)
    (tmp_path / "0.png").rename(tmp_path / "renamed.png")
    after = load_dataset(str(tmp_path))
    for split in SPLITS:
        kept = {photo.digest for photo in before.splits[split]}
        assert kept <= {photo.digest for photo in after.splits[split]}


def test_a_split_that_would_be_empty_takes_the_lowest_digest() -> None:
    # All of these fall to the train split.
    numbers = [n for n in range(200) if int(photo(n).digest[:8], 16) / 2**32 < 0.8][:5]
    dataset = split_by_digest("few", [photo(number) for number in numbers])
    assert [len(dataset.splits[split]) for split in SPLITS] == [3, 1, 1]
    order = sorted((photo(number) for number in numbers), key=lambda one: one.digest)
    assert dataset.splits["valid"] == (order[0],)
    assert dataset.splits["test"] == (order[1],)
    assert len(dataset.notes) == 2
    assert "takes" in dataset.notes[0]


def test_one_picture_alone_trains() -> None:
    dataset = split_by_digest("one", [photo(1)])
    assert sum(len(photos) for photos in dataset.splits.values()) == 1


def test_a_tilde_is_the_home_folder(photo_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(photo_folder.parent))
    assert len(load_dataset("~/photos").photos("all")) == 9


def test_parts_are_joined_by_plus(photo_folder: Path) -> None:
    dataset = load_dataset(f"samples+{photo_folder}")
    assert len(dataset.photos("train")) == 12


def test_the_name_of_a_folder_may_hold_a_plus(
    photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    photo_folder.rename("t91+bsd")
    assert len(load_dataset("t91+bsd").photos("train")) == 4
    assert len(load_dataset("samples + t91+bsd").photos("train")) == 12
    Path("t91").mkdir()
    with pytest.raises(DatasetError, match="'bsd' is not a folder that exists"):
        load_dataset("t91+bsd+bsd")


@pytest.mark.parametrize("names", [("Train", "VALID", "Test"), ("training", "val", "testing")])
def test_folders_of_splits_are_known_however_they_are_written(
    photo_folder: Path, names: tuple[str, ...]
) -> None:
    for split, name in zip(SPLITS, names, strict=True):
        (photo_folder / split).rename(photo_folder / name)
    dataset = load_dataset(str(photo_folder))
    assert [len(dataset.splits[split]) for split in SPLITS] == [4, 2, 3]


def test_two_folders_for_one_split_are_refused(photo_folder: Path) -> None:
    (photo_folder / "val").mkdir()
    with pytest.raises(DatasetError, match="two folders for its valid split: val and valid"):
        load_dataset(str(photo_folder))


def test_sub_folders_are_taken_and_what_lies_beside_splits_is_told(photo_folder: Path) -> None:
    (photo_folder / "train" / "deep" / "deeper").mkdir(parents=True)
    source = photo_folder / "train" / "train0.png"
    source.rename(photo_folder / "train" / "deep" / "deeper" / "train0.JFIF")
    (photo_folder / "extra").mkdir()
    (photo_folder / "extra" / "loose.png").write_bytes(b"anything")
    (photo_folder / ".hidden").mkdir()
    (photo_folder / ".hidden" / "x.png").write_bytes(b"anything")
    dataset = load_dataset(str(photo_folder))
    assert len(dataset.photos("train")) == 4
    (note,) = dataset.notes
    assert note.endswith(
        "1 picture(s) beside the folders of its splits, such as extra/loose.png, belong to none "
        "and are not used"
    )


def test_a_flat_folder_is_taken_with_its_sub_folders_each_once(tmp_path: Path) -> None:
    for place in ("", "a", "a/b"):
        (tmp_path / place).mkdir(exist_ok=True)
        pixels = textured_pixels(20, 20, len(place))
        Image.fromarray(pixels).save(tmp_path / place / "same.png")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(tmp_path / "a")
    dataset = load_dataset(str(tmp_path))
    assert len(dataset.photos("all")) == 3


def test_what_a_data_set_takes_of_a_file_is_told(tmp_path: Path, said: list[str]) -> None:
    (tmp_path / "deep.png").write_bytes(FILES["16-bit colour"].contents())  # type: ignore[misc]
    (tmp_path / "pages.tif").write_bytes(FILES["multi-page TIFF"].contents())  # type: ignore[misc]
    load_dataset(str(tmp_path))
    assert sorted(said) == [
        "note: of deep.png, 8 of its 16 bits are taken",
        "note: of pages.tif, only the first of its frames or pages is taken",
    ]


def test_a_file_named_twice_counts_once() -> None:
    dataset = load_dataset("samples+samples")
    assert len(dataset.photos("all")) == 15
    assert "15 file(s) are named by two parts" in dataset.notes[0]


def test_identical_pixels_in_two_splits_are_an_error(photo_folder: Path) -> None:
    source = photo_folder / "train" / "train0.png"
    Image.open(source).save(photo_folder / "test" / "renamed.bmp")
    with pytest.raises(DatasetError, match=r"same pixels in two splits.*train0\.png.*renamed\.bmp"):
        load_dataset(str(photo_folder))


def test_a_broken_file_is_named_and_skipped(photo_folder: Path, said: list[str]) -> None:
    (photo_folder / "train" / "broken.png").write_bytes(b"not a picture")
    (photo_folder / "train" / "notes.txt").write_text("ignored")
    dataset = load_dataset(str(photo_folder))
    describe(dataset, SPLITS)
    assert said[0].endswith("4 train, 2 valid, 3 test pictures")
    assert said[1] == "skipped: train/notes.txt is no picture, by its name"
    assert said[2].startswith("skipped: broken.png is not a PNG")
    assert said[3] == "2 file(s) skipped"


def test_a_split_whose_files_are_all_broken_is_not_called_one_without_files(
    photo_folder: Path,
) -> None:
    for path in (photo_folder / "valid").iterdir():
        path.write_bytes(b"broken")
    told = r"its valid split \(2 of its files cannot be used, the first because valid0"
    with pytest.raises(DatasetError, match=told):
        load_dataset(str(photo_folder)).photos("valid")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (
            "nosuchthing",
            r"is not a folder that exists \(.*/nosuchthing\); give samples, div2k, t91, .*100,",
        ),
        ("samples+missing", "'missing' is not a folder"),
        ("", "has an empty part"),
    ],
)
def test_what_is_no_data_set_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError, match=says):
        load_dataset(name)


def test_a_folder_without_usable_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no picture that is read"):
        load_dataset(str(tmp_path))
    (tmp_path / "broken.jpg").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"none of its 1 pictures can be used.*broken\.jpg"):
        load_dataset(str(tmp_path))
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(DatasetError, match=r"no folder \(.*/link is a link to nowhere, which does"):
        load_dataset(str(tmp_path / "link"))
    with pytest.raises(DatasetError, match="is a file, not a folder"):
        load_dataset(str(tmp_path / "broken.jpg"))


def test_an_empty_split_is_refused_when_it_is_needed(photo_folder: Path) -> None:
    for path in (photo_folder / "test").iterdir():
        path.unlink()
    dataset = load_dataset(str(photo_folder))
    with pytest.raises(DatasetError, match="no picture in its test split"):
        dataset.photos("test")


def test_div2k_is_split_by_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    train, valid = (tmp_path / "data/DIV2K" / f"DIV2K_{name}_HR" for name in ("train", "valid"))
    for number in range(1, 901):
        folder = train if number <= 800 else valid
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.full((2, 2, 3), [number % 256, number // 256, 0], np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:04}.png")
    dataset = load_dataset("div2k")
    ends = {split: [dataset.photos(split)[i].name for i in (0, -1)] for split in SPLITS}
    assert ends == {
        "train": ["0001.png", "0770.png"],
        "valid": ["0771.png", "0800.png"],
        "test": ["0801.png", "0900.png"],
    }

    report = load_dataset("div2k-report")
    assert [len(report.splits[split]) for split in SPLITS] == [800, 100, 0]
    assert report.photos("valid") == dataset.photos("test")


def test_div2k_is_fetched_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(div2k_download.ADDRESS_VARIABLE, "http://127.0.0.1:9")
    monkeypatch.setattr(download, "LONGEST_WAIT", 0.0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, 10**13))
    with pytest.raises(DatasetError, match=r"DIV2K_train_HR\.zip cannot be fetched"):
        load_dataset("div2k")


def test_a_div2k_folder_with_gaps_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("train", "valid"):
        folder = tmp_path / "data/DIV2K" / f"DIV2K_{name}_HR"
        folder.mkdir(parents=True)
        Image.new("L", (2, 2)).save(folder / "0007.png")
    with pytest.raises(DatasetError, match=r"lacks some of the pictures of DIV2K_train_HR under"):
        load_dataset("div2k")


def test_fewer_training_pictures_leave_the_other_splits_alone(photo_folder: Path) -> None:
    dataset = load_dataset(str(photo_folder)).with_train_images(2)
    assert [len(dataset.photos(split)) for split in SPLITS] == [2, 2, 3]


def test_the_digest_depends_on_pixels_alone(tmp_path: Path) -> None:
    for folder, kind in (("a", "png"), ("b", "bmp")):
        for number in range(3):
            save(tmp_path / folder / f"{folder}{number}.{kind}", number)
    first, second = (load_dataset(str(tmp_path / folder)).photos("all") for folder in "ab")
    assert digest(first) == digest(second[::-1])
    assert len(digest(first)) == 32
    assert digest(first[:2]) != digest(first)


def test_luma_is_read_from_the_file(photo_folder: Path) -> None:
    one = load_dataset(str(photo_folder)).photos("train")[0]
    plane = load_luma(one)
    assert plane.dtype == np.uint8
    assert plane.shape == (one.height, one.width)


def test_the_shared_sets_load_by_path(shared: Callable[[str], Path]) -> None:
    t91 = load_dataset(str(shared("T91")))
    assert len(t91.photos("all")) == 91
    assert len(load_dataset(str(shared("Set5"))).photos("all")) == 5


@pytest.mark.parametrize("name", ["samples+", "+samples", "samples++photos", "samples+ +x", "+"])
def test_an_empty_part_is_not_the_present_folder(
    photo_folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(photo_folder / "train")
    with pytest.raises(DatasetError, match="has an empty part; join names by single"):
        load_dataset(name)
