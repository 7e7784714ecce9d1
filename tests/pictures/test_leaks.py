"""What splits may not share: the same pixels however they are kept, and copies."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srcnn_mlflow.machine.errors import DatasetError
from srcnn_mlflow.pictures.datasets import SPLITS, describe, load_dataset
from srcnn_mlflow.pictures.samples import sample_files
from tests.conftest import textured_pixels
from tests.corpus import big_endian, png

GREY = textured_pixels(66, 80, 0)[..., 0]
COLOUR = textured_pixels(66, 80, 1)


def palette() -> Image.Image:
    """Grey by a palette of colours."""
    image = Image.fromarray(GREY).convert("P")
    image.putpalette([level for level in range(256) for _ in range(3)])
    return image


def deep(levels: np.ndarray) -> Image.Image:
    """16 bits that hold 8."""
    return Image.fromarray(levels.astype(np.uint16) * 257)


def deep_colour() -> bytes:
    """16 bits in colour with an opaque alpha, which Pillow does not write."""
    levels = np.dstack([COLOUR, np.full(COLOUR.shape[:2], 255, np.uint8)]).astype(np.uint16) * 257
    return png((80, 66), 16, 6, big_endian(levels.reshape(66, -1)))


def turned(image: Image.Image, path: Path) -> None:
    """Saved lying, with an orientation that says so."""
    exif = Image.Exif()
    exif[0x0112] = 6
    image.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)


def opaque(image: Image.Image) -> Image.Image:
    image.putalpha(255)
    return image


def colour(levels: np.ndarray) -> Image.Image:
    return Image.fromarray(levels).convert("RGB")


SAME: dict[str, tuple[Callable[[Path], object], Callable[[Path], object]]] = {
    "grey and colour": (
        lambda path: Image.fromarray(GREY).save(path.with_suffix(".png")),
        lambda path: colour(GREY).save(path.with_suffix(".png")),
    ),
    "grey and palette": (
        lambda path: Image.fromarray(GREY).save(path.with_suffix(".png")),
        lambda path: palette().save(path.with_suffix(".png")),
    ),
    "8 and 16 bits": (
        lambda path: Image.fromarray(GREY).save(path.with_suffix(".png")),
        lambda path: deep(GREY).save(path.with_suffix(".png")),
    ),
    "16 bits and colour": (
        lambda path: deep(GREY).save(path.with_suffix(".tif")),
        lambda path: colour(GREY).save(path.with_suffix(".bmp")),
    ),
    "8 and 16 bits in colour": (
        lambda path: Image.fromarray(COLOUR).save(path.with_suffix(".png")),
        lambda path: path.with_suffix(".png").write_bytes(deep_colour()),
    ),
    "an opaque alpha": (
        lambda path: Image.fromarray(COLOUR).save(path.with_suffix(".png")),
        lambda path: opaque(Image.fromarray(COLOUR)).save(path.with_suffix(".png")),
    ),
    "grey with an opaque alpha, and colour": (
        lambda path: opaque(Image.fromarray(GREY)).save(path.with_suffix(".png")),
        lambda path: colour(GREY).save(path.with_suffix(".png")),
    ),
    "grey, and colour with an opaque alpha": (
        lambda path: Image.fromarray(GREY).save(path.with_suffix(".png")),
        lambda path: opaque(colour(GREY)).save(path.with_suffix(".webp"), lossless=True),
    ),
    "black and white, and colour": (
        lambda path: Image.fromarray(GREY).convert("1").save(path.with_suffix(".png")),
        lambda path: (
            Image.fromarray(GREY).convert("1").convert("RGB").save(path.with_suffix(".png"))
        ),
    ),
    "PNG and TIFF": (
        lambda path: Image.fromarray(COLOUR).save(path.with_suffix(".png")),
        lambda path: Image.fromarray(COLOUR).save(path.with_suffix(".tif"), compression="tiff_lzw"),
    ),
    "turned by EXIF": (
        lambda path: Image.fromarray(COLOUR).save(path.with_suffix(".png")),
        lambda path: turned(Image.fromarray(COLOUR), path.with_suffix(".png")),
    ),
}


@pytest.mark.parametrize("kinds", SAME.values(), ids=SAME.keys())
@pytest.mark.parametrize("splits", [("train", "test"), ("valid", "train")])
def test_the_same_picture_in_two_splits_is_refused_however_it_is_kept(
    photo_folder: Path,
    kinds: tuple[Callable[[Path], object], Callable[[Path], object]],
    splits: tuple[str, str],
) -> None:
    for save, split in zip(kinds, splits, strict=True):
        save(photo_folder / split / f"same-{split}")
    with pytest.raises(DatasetError, match=r"same pixels in two splits.*same-.*same-"):
        load_dataset(str(photo_folder))


@pytest.mark.parametrize("pixels", [GREY, COLOUR])
def test_one_grey_level_makes_another_picture(photo_folder: Path, pixels: np.ndarray) -> None:
    other = pixels.copy()
    other[-1, -1] ^= 1
    Image.fromarray(pixels).save(photo_folder / "train" / "one.png")
    Image.fromarray(other).convert("RGB").save(photo_folder / "test" / "other.png")
    assert len(load_dataset(str(photo_folder)).photos("all")) == 11


def test_a_grey_picture_and_its_like_in_colour_learn_differently(photo_folder: Path) -> None:
    """They are one picture, but of another luma, so that no prepared file may stand for both."""
    Image.fromarray(GREY).save(photo_folder / "train" / "grey.png")
    colour(GREY).save(photo_folder / "train" / "colour.png")
    photos = {one.name: one for one in load_dataset(str(photo_folder)).photos("train")}
    assert photos["grey.png"].identity == photos["colour.png"].identity
    assert photos["grey.png"].digest == photos["grey.png"].identity != photos["colour.png"].digest


@pytest.mark.parametrize("split", ["valid", "test"])
def test_a_picture_that_stands_twice_is_measured_once(
    photo_folder: Path, said: list[str], split: str
) -> None:
    Image.fromarray(GREY).save(photo_folder / split / "again.png")
    before = load_dataset(str(photo_folder))
    deep(GREY).save(photo_folder / split / "z16.png")
    colour(GREY).save(photo_folder / split / "zcolour.bmp")
    dataset = load_dataset(str(photo_folder))
    assert dataset.split(split) == before.split(split)
    describe(dataset, (split,))
    assert said[-1] == (
        f"the same picture twice in {split}, which counts once: z16.png is again.png, "
        "zcolour.bmp is again.png"
    )


def test_a_picture_that_trains_twice_still_does_and_is_told(
    photo_folder: Path, said: list[str]
) -> None:
    Image.fromarray(GREY).save(photo_folder / "train" / "again.png")
    colour(GREY).save(photo_folder / "train" / "colour.png")
    dataset = load_dataset(str(photo_folder))
    assert len(dataset.split("train").photos) == 6
    assert len(dataset.measured("train").photos) == 5
    assert len(dataset.measured("all").photos) == 10
    describe(dataset, SPLITS)
    assert said[-1].startswith("the same picture twice in train, which weighs twice in training")


@pytest.mark.slow
def test_a_double_leaves_the_digest_of_t91_as_it_was_published(
    shared: Callable[[str], Path],
) -> None:
    dataset = load_dataset(f"{shared('T91')}+{shared('BSD200')}")
    assert dataset.split("train").digest == "b73500ee2f8a1d0857dddfb738b43c83"
    assert len(dataset.split("train").photos) == 235
    assert any("t65.bmp is t36.bmp" in line for line in dataset.warnings)


@pytest.mark.slow
def test_a_test_picture_of_set5_that_is_among_the_training_pictures_is_told(
    shared: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "sets").mkdir()
    for split, name in (("train", "BSD200"), ("test", "Set5")):
        (tmp_path / "sets" / split).symlink_to(shared(name))
    (line,) = load_dataset(str(tmp_path / "sets")).warnings
    assert line.startswith(
        "pictures of test look like pictures of train: woman_GT.bmp and 302003.png; where one"
    )


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "resized": lambda image: image.resize((image.width // 2, image.height // 2)),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "turned": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "cropped": lambda image: image.crop((90, 60, image.width - 40, image.height - 30)),
    "made grey": lambda image: image.convert("L"),
}


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES.keys())
def test_a_copy_in_another_split_is_told(
    tmp_path: Path, said: list[str], copy: Callable[[Image.Image], Image.Image]
) -> None:
    for split, files in sample_files().items():
        (tmp_path / "photos" / split).mkdir(parents=True)
        for file in files[:2]:
            (tmp_path / "photos" / split / file.name).symlink_to(file)
    with Image.open(tmp_path / "photos" / "test" / "chelsea.png") as image:
        copy(image).convert("RGB").save(tmp_path / "photos" / "train" / "copy.jpg", quality=80)
    describe(load_dataset(str(tmp_path / "photos")), ("test",))
    assert [line for line in said if "look like" in line] == [
        "pictures of test look like pictures of train: chelsea.png and copy.jpg; where one is a "
        "copy of the other (compressed, resized, mirrored, turned or cropped), remove it"
    ]
