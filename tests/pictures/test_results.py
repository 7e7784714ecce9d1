"""Results find their originals by name, and are held against their sizes, colours and depths."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from srcnn_mlflow.machine.errors import ImageError
from srcnn_mlflow.pictures import imaging
from srcnn_mlflow.pictures.compared import Compared, read_compared
from srcnn_mlflow.pictures.encoding import write_png
from srcnn_mlflow.pictures.picture import Picture
from srcnn_mlflow.pictures.results import Matched, ResultPair, match_results
from tests.photographs import ASTRONAUT, CAMERA


def laid_out(folder: Path, originals: list[str], results: list[str]) -> Matched:
    for place, names in (("originals", originals), ("results", results)):
        for name in names:
            path = folder / place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return match_results(folder / "results", folder / "originals")


def names(matched: Matched) -> list[tuple[str, str]]:
    return [(pair.original.name, pair.result.name) for pair in matched.pairs]


@pytest.mark.parametrize(
    ("original", "result"),
    [
        ("baby.png", "baby.png"),
        ("baby.bmp", "baby-x2.png"),  # this project's
        ("baby_GT.bmp", "baby_GT-x2.png"),
        ("baby_GT.bmp", "baby.png"),
        ("baby.png", "baby_srcnn_x3.bmp"),  # yjn870
        ("baby.png", "baby_bicubic_x3.bmp"),
        ("baby.png", "baby-x2-bicubic.png"),
        ("baby.png", "baby_EDSR_Lx4_f256b32_DIV2K.png"),  # BasicSR: the experiment's name
        ("img_001_SRF_2_HR.png", "img_001_SRF_2_SRCNN.png"),
        ("img_001_SRF_4_HR.png", "img_001_out.png"),
        ("0801.png", "0801x2.png"),
        ("0801.png", "0801_SR.JPG"),
        ("Café.png", "cafe\u0301_x4.png"),
        ("max2.png", "max2.png"),
        ("a.png", "a.png-x2.png"),
    ],
)
def test_a_result_finds_its_original(tmp_path: Path, original: str, result: str) -> None:
    matched = laid_out(tmp_path, [original, "other.png"], [result])
    assert names(matched) == [(original, result)]
    assert matched.left_out == ["other.png has no result"]


@given(st.from_regex(r"[a-z0-9]{1,8}([-_ .][a-z0-9]{1,5}){0,3}", fullmatch=True))
def test_a_name_without_any_suffix_belongs_to_itself(name: str) -> None:
    from srcnn_mlflow.pictures.results import _Names

    originals = [Path(f"/o/{name}.png"), Path(f"/o/{name}_x2.png"), Path(f"/o/{name}-hr.png")]
    found = _Names(Path("/o"), originals)
    for original in originals:
        assert found.owners(Path(original.name)) == [original]


def test_the_exact_name_goes_before_one_without_a_suffix(tmp_path: Path) -> None:
    matched = laid_out(tmp_path, ["a.png", "a_x2.png"], ["a.png", "a_x2.png"])
    assert names(matched) == [("a.png", "a.png"), ("a_x2.png", "a_x2.png")]


def test_img_1_is_not_img_10(tmp_path: Path) -> None:
    matched = laid_out(tmp_path, ["img_1.png"], ["img_10.png"])
    assert not matched.pairs
    assert "img_10.png has no original of its name" in matched.left_out


def test_two_results_for_one_original_are_told_in_one_line(tmp_path: Path) -> None:
    matched = laid_out(tmp_path, ["a.png", "b.png"], ["a-x2.png", "a-x2-bicubic.png", "b-x2.png"])
    assert names(matched) == [("b.png", "b-x2.png")]
    assert matched.left_out == [
        "a.png has 2 results, a-x2-bicubic.png, a-x2.png; give each program's a folder of its own"
    ]


def test_two_originals_of_one_name_are_told_apart_by_their_folder(tmp_path: Path) -> None:
    matched = laid_out(tmp_path, ["u/a.png", "v/a.png"], ["u/a-x2.png", "v/a-x2.png"])
    assert [pair.original.parent.name for pair in matched.pairs] == ["u", "v"]
    matched = laid_out(tmp_path / "2", ["u/a.png", "v/a.png"], ["a-x2.png"])
    assert matched.left_out[0] == "a-x2.png may belong to u/a.png or v/a.png; rename one"


def test_results_inside_the_originals_folder_are_no_originals(tmp_path: Path) -> None:
    for name in ("a.png", "out/a-x2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    matched = match_results(tmp_path / "out", tmp_path)
    assert (names(matched), matched.left_out) == ([("a.png", "a-x2.png")], [])


def test_folders_that_cannot_be_scored_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    laid_out(tmp_path, ["a.png"], ["a.png"])
    with pytest.raises(ImageError, match=r"results .*none does not exist; give a folder"):
        match_results(tmp_path / "none", tmp_path / "originals")
    with pytest.raises(ImageError, match=r"originals .*a\.png is no folder"):
        match_results(tmp_path / "results", tmp_path / "originals" / "a.png")
    with pytest.raises(ImageError, match="holds no picture that is read"):
        match_results(tmp_path / "empty", tmp_path / "originals")
    with pytest.raises(ImageError, match="are the same folder"):
        match_results(tmp_path / "results", tmp_path / "originals" / ".." / "results")


COLOUR = ASTRONAUT[:101, :93]
GREY = CAMERA[:101, :93]


def held(folder: Path, original: np.ndarray, result: np.ndarray, scale: int = 2) -> Compared:
    paths = [folder / "a.png", folder / "a-x2.png"]
    for path, pixels in zip(paths, (original, result), strict=True):
        with path.open("wb") as file:
            write_png(Picture(pixels if pixels.ndim == 3 else pixels[..., None]), file, 1)
    return read_compared(ResultPair(*paths), scale)


def test_a_result_of_the_cropped_or_the_whole_size_is_taken(tmp_path: Path) -> None:
    for result in (COLOUR[:100, :92], COLOUR):
        compared = held(tmp_path, COLOUR, result)
        assert (compared.result == COLOUR[:100, :92]).all()
        assert compared.notes == ()


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        (
            (102, 94),
            r"a-x2\.png is 94x102, 2 pixels wider and 2 pixels higher than a\.png cropped "
            r"to multiples of 2 \(92x100\): its original seems not cropped",
        ),
        ((96, 84), r"8 pixels narrower and 4 pixels lower than .*multiples of 12, as those"),
        ((50, 46), "it seems to be the small picture itself"),
        ((150, 138), "it seems enlarged by 3 where scale is 2"),
        ((99, 93), r"1 pixel wider and 1 pixel lower .*made for scale 3; give scale=3"),
        ((88, 80), "its edges seem cut off, 6 pixels each"),
        ((77, 93), "its original seems resized, or another picture"),
    ],
)
def test_a_result_of_another_size_is_told_by_how_much_and_why(
    tmp_path: Path, shape: tuple[int, int], said: str
) -> None:
    with pytest.raises(ImageError, match=said):
        held(tmp_path, COLOUR, np.zeros((*shape, 3), np.uint8))


def test_luma_of_a_colour_picture_is_taken_for_it_and_told(tmp_path: Path) -> None:
    compared = held(tmp_path, COLOUR, imaging.luma(Image.fromarray(COLOUR))[:100, :92])
    assert compared.result_is_luma
    (note,) = compared.notes
    assert note.startswith("a-x2.png is grey and a.png in colour: it is taken for luma, 16..235")


def test_grey_of_another_kind_is_refused(tmp_path: Path) -> None:
    grey = np.asarray(Image.fromarray(COLOUR).convert("L"))
    with pytest.raises(
        ImageError, match=r"a-x2\.png is grey over 0\.\.255 and its original a\.png"
    ):
        held(tmp_path, COLOUR, grey)


def test_a_colour_result_of_a_grey_picture_is_refused_unless_it_is_grey(tmp_path: Path) -> None:
    three = np.stack([GREY] * 3, axis=-1)
    compared = held(tmp_path, GREY, three)
    assert compared.result.ndim == 2
    assert compared.notes == (
        "a-x2.png holds grey as red, green and blue; a.png is grey, and so it is taken",
    )
    with pytest.raises(ImageError, match=r"a-x2\.png is in colour and its original a\.png grey"):
        held(tmp_path, GREY, COLOUR)


def test_grey_in_three_channels_is_scored_as_a_colour_picture(tmp_path: Path) -> None:
    three = np.stack([GREY] * 3, axis=-1)
    compared = held(tmp_path, three, GREY)
    assert compared.result.shape == (100, 92, 3)
    assert not compared.result_is_luma


def test_sixteen_bits_are_rounded_and_told(tmp_path: Path) -> None:
    deep = COLOUR.astype(np.uint16) * 257
    compared = held(tmp_path, COLOUR, deep)
    assert (compared.result == COLOUR[:100, :92]).all()
    assert compared.notes == ("a-x2.png has 16 bits a channel and a.png 8: it is rounded to 8",)
    assert held(tmp_path, deep, COLOUR).notes == (
        "a.png has 16 bits a channel and a-x2.png 8: it is rounded to 8",
    )
    assert held(tmp_path, deep, deep).notes == (
        "a-x2.png and a.png have 16 bits a channel, and are rounded to 8",
    )


def test_a_transparent_result_is_laid_on_white_and_told(tmp_path: Path) -> None:
    clear = np.dstack([COLOUR, np.full(COLOUR.shape[:2], 255, np.uint8)])
    assert held(tmp_path, COLOUR, clear).notes == ()
    clear[:50, :, 3] = 0
    compared = held(tmp_path, COLOUR, clear)
    assert (compared.result[:50] == 255).all()
    assert compared.notes == ("of a-x2.png, it is transparent, and laid on white",)
