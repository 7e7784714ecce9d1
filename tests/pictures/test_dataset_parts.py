"""A part of a data set for promotions alone: a folder `gate`, or what is cut out of `test`."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from srcnn_mlflow.machine.errors import DatasetError
from srcnn_mlflow.pictures import div2k
from srcnn_mlflow.pictures.dataset_parts import Part, cut_gate
from srcnn_mlflow.pictures.datasets import Dataset, describe, load_dataset
from srcnn_mlflow.pictures.photos import Photo
from srcnn_mlflow.pictures.sets import FOLDER_VARIABLE
from tests.conftest import textured_pixels


def save(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(textured_pixels(30, 40, seed)).save(path)


def photo(number: int) -> Photo:
    digest = hashlib.sha256(number.to_bytes(4)).hexdigest()
    return Photo(Path(f"{number}.png"), 1, 1, digest, digest, ())


def part(*photos: Photo) -> Part:
    return Part("some", {"train": (), "valid": (), "test": photos})


def names(dataset: Dataset, *splits: str) -> set[str]:
    return {photo.name for split in splits for photo in dataset.photos(split)}


@pytest.fixture
def gated(photo_folder: Path) -> Path:
    """The folder that is split, with two pictures for promotions alone."""
    for number in range(2):
        save(photo_folder / "gate" / f"gate{number}.png", 40 + number)
    return photo_folder


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flat")
    for number in range(120):
        save(folder / f"{number}.png", number)
    return folder


def test_a_folder_gate_beside_other_splits_is_a_split(photo_folder: Path, gated: Path) -> None:
    (gated / "gate").rename(gated / "aside")
    before = load_dataset(str(photo_folder))
    (gated / "aside").rename(gated / "Gate")
    for gate_split in (False, True):
        after = load_dataset(str(gated), gate_split=gate_split)
        assert names(after, "gate") == {"gate0.png", "gate1.png"}
        assert names(after, "all") == names(before, "all") | {"gate0.png", "gate1.png"}
        assert not after.notes
        for split in ("train", "valid", "test"):
            assert after.split(split).digest == before.split(split).digest


@pytest.mark.parametrize("other", ["train", "valid", "test"])
def test_a_picture_of_the_gate_in_another_split_is_refused(gated: Path, other: str) -> None:
    with Image.open(gated / "gate" / "gate0.png") as image:
        image.save(gated / other / "again.tiff")
    with pytest.raises(DatasetError, match="the same pixels in two splits"):
        load_dataset(str(gated))


def test_two_folders_for_the_gate_are_refused(gated: Path) -> None:
    (gated / "GATE").mkdir()
    with pytest.raises(DatasetError, match="two folders for its gate split: GATE and gate"):
        load_dataset(str(gated))


def test_a_folder_gate_alone_is_one_like_any_other(tmp_path: Path) -> None:
    for number in range(12):
        save(tmp_path / "photos" / "gate" / f"{number}.png", number)
    dataset = load_dataset(str(tmp_path / "photos"))
    assert set(dataset.splits) == {"train", "valid", "test"}
    assert len(dataset.photos("all")) == 12


def test_an_empty_folder_gate_is_no_gate(photo_folder: Path) -> None:
    (photo_folder / "gate").mkdir()
    dataset = load_dataset(str(photo_folder))
    assert set(dataset.splits) == {"train", "valid", "test"}
    with pytest.raises(DatasetError, match="photos has no gate; give gate_split=true, which cuts"):
        dataset.photos("gate")


def test_the_gate_of_a_flat_folder_comes_out_of_test_alone(flat: Path) -> None:
    plain, cut = load_dataset(str(flat)), load_dataset(str(flat), gate_split=True)
    assert "gate" not in plain.splits
    for split in ("train", "valid"):
        assert cut.split(split).digest == plain.split(split).digest
    assert cut.split("all").digest == plain.split("all").digest
    assert names(cut, "test", "gate") == names(plain, "test")
    assert not names(cut, "test") & names(cut, "gate")
    assert min(len(cut.photos("test")), len(cut.photos("gate"))) >= 2


def test_adding_files_moves_no_picture_in_or_out_of_the_gate(flat: Path, tmp_path: Path) -> None:
    before = load_dataset(str(flat), gate_split=True)
    for number in range(40):
        save(tmp_path / "more" / f"new{number}.png", 1000 + number)
    more = tmp_path / "more"
    for path in flat.iterdir():
        (more / f"renamed-{path.name}").hardlink_to(path)
    after = load_dataset(str(more), gate_split=True)
    for split in before.splits:
        kept = {photo.digest for photo in before.splits[split]}
        assert kept <= {photo.digest for photo in after.splits[split]}


@given(st.sets(st.integers(0, 10_000), min_size=2, max_size=60))
def test_test_and_gate_divide_what_test_was(numbers: set[int]) -> None:
    whole = part(*map(photo, sorted(numbers)))
    cut = cut_gate(whole).splits
    assert sorted((*cut["test"], *cut["gate"]), key=lambda one: one.digest) == sorted(
        whole.splits["test"], key=lambda one: one.digest
    )
    assert cut["test"]
    assert cut["gate"]


def test_about_half_of_the_test_pictures_go_to_the_gate() -> None:
    # Of 4,000, five standard deviations are 158.
    assert abs(len(cut_gate(part(*map(photo, range(4000)))).splits["gate"]) - 2000) < 158


def test_the_same_picture_in_grey_and_in_colour_is_not_divided() -> None:
    for number in range(50):
        grey = photo(number)
        coloured = Photo(Path("rgb.png"), 1, 1, photo(1000 + number).digest, grey.identity, ())
        cut = cut_gate(part(grey, coloured, photo(2000), photo(2001))).splits
        assert (grey in cut["gate"]) == (coloured in cut["gate"])


def test_a_side_that_would_be_empty_takes_the_lowest_and_says_so() -> None:
    one, other = (
        [n for n in range(200) if (photo(n) in cut_gate(part(*map(photo, range(200)))).splits[s])]
        for s in ("gate", "test")
    )
    for numbers, empty in ((one[:3], "test"), (other[:3], "gate")):
        cut = cut_gate(part(*map(photo, numbers)))
        lowest = min(map(photo, numbers), key=lambda each: each.identity)
        assert cut.splits[empty] == (lowest,)
        told = f"some: no picture fell to the {empty} split, so it takes {lowest.name}"
        assert cut.notes == (told,)


def test_a_single_test_picture_stays_one(tmp_path: Path, said: list[str]) -> None:
    for number in range(3):
        save(tmp_path / f"{number}.png", number)
    dataset = load_dataset(str(tmp_path), gate_split=True)
    assert len(dataset.photos("test")) == 1
    assert "gate" not in dataset.splits
    describe(dataset, ("test",))
    assert any("gives no gate: its only test picture stays one" in line for line in said)


def test_div2k_has_a_fixed_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(div2k.DIV2K_GATE) == 30
    assert set(div2k.DIV2K_GATE) < set(div2k.DIV2K_RANGES["div2k"]["test"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(div2k, "_missing_archives", lambda _: [])
    monkeypatch.setattr(div2k, "DIV2K_GATE", range(5, 7))
    ranges = {"train": range(1, 3), "valid": range(3, 4), "test": range(4, 7)}
    monkeypatch.setitem(div2k.DIV2K_RANGES, "div2k", ranges)
    for number in range(1, 7):
        save(tmp_path / "data" / div2k.DIV2K_FOLDER / f"{number:04}.png", number)
    cut = load_dataset("div2k", gate_split=True)
    assert names(cut, "gate") == {"0005.png", "0006.png"}
    assert names(cut, "test") == {"0004.png"}
    plain = load_dataset("div2k")
    assert names(plain, "test") == {"0004.png", "0005.png", "0006.png"}
    assert plain.split("train").digest == cut.split("train").digest


@pytest.mark.parametrize(
    ("dataset", "why"),
    [
        ("samples", "samples gives no gate: its test pictures are named one by one"),
        ("photos", "photos gives no gate: its folders split it, so a gate is what lies in a fold"),
    ],
)
@pytest.mark.usefixtures("photo_folder")
def test_what_gives_no_gate_says_why(
    dataset: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (note,) = load_dataset(dataset, gate_split=True).notes
    assert note.startswith(why)


@pytest.mark.parametrize(("name", "test", "gate"), [("t91", 3, 3), ("bsd200", 12, 9)])
@pytest.mark.slow
def test_sets_that_train_have_the_same_gate_everywhere(
    name: str,
    test: int,
    gate: int,
    shared: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(shared("T91").parent))
    cut, plain = load_dataset(name, gate_split=True), load_dataset(name)
    assert (len(cut.photos("test")), len(cut.photos("gate"))) == (test, gate)
    assert names(cut, "test", "gate") == names(plain, "test")
    assert cut.split("train").digest == plain.split("train").digest
