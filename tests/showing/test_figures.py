"""The figure of the best and the worst pictures: what it tells, pixel by pixel."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srcnn_mlflow.measuring.evaluation import ImageScore
from srcnn_mlflow.pictures.imaging import Plane, luma
from srcnn_mlflow.showing import figures
from srcnn_mlflow.showing.difference import busiest_square, coloured, difference
from srcnn_mlflow.showing.exhibits import Exhibit
from srcnn_mlflow.showing.figures import COLUMNS, draw_exhibits, exhibits_figure
from tests.conftest import textured_pixels

WIDTH, HEIGHT = 300, 240


def exhibit(name: str = "a.png", gain: float = 1.25, scale: int = 4, width: int = WIDTH) -> Exhibit:
    """SRCNN changed luma in one square: a quarter of it for the worse."""
    pixels = textured_pixels(HEIGHT, width, 3)
    original = Image.fromarray(pixels)
    plane = luma(original)
    bicubic, srcnn = (plane.astype(np.int16) + 5 for _ in range(2))
    srcnn[101:221, 53:113] -= 4
    srcnn[101:221, 113:143] += 4
    srcnn[101:221, 143:173] -= 4
    return Exhibit(
        ImageScore(name, 30.0, 30.0 + gain, 0.85, 0.8625, 100.0, 80.0),
        original,
        Image.fromarray(textured_pixels(HEIGHT // scale, width // scale, 4)),
        Image.fromarray(pixels // 2),
        Image.fromarray(255 - pixels),
        *(np.clip(one, 0, 255).astype(np.uint8) for one in (bicubic, srcnn)),
    )


def texts(*exhibits: Exhibit) -> list[str]:
    figure = exhibits_figure(exhibits, "srcnn-x4/7 at x4: set5, split test", "The best")
    return [text.get_text() for text in figure.texts]


def test_the_figure_tells_what_was_measured_without_any_other_text() -> None:
    told = texts(exhibit(), exhibit(r"$\\frac$.png", -0.5))
    assert told[:2] == ["srcnn-x4/7 at x4: set5, split test", "The best"]
    assert [text for text in told if text in COLUMNS] == list(COLUMNS)
    assert [text for text in told if re.fullmatch(r".[\d.]+ dB", text)] == [
        "+1.25 dB",
        "\N{MINUS SIGN}0.50 dB",
    ]
    assert r"$\\frac$.png" in told
    moved = exhibit().moved
    assert f"{100 * moved.nearer:.0f} % of pixels nearer" in told
    assert f"{100 * moved.farther:.0f} % farther" in told
    assert {"0", "8", "17 or more", "grey levels changed"} <= set(told)


def test_shares_of_pixels_are_those_of_the_whole_picture() -> None:
    moved = exhibit().moved
    # But for what was clipped at white.
    assert moved.nearer == pytest.approx(120 * 90 / (WIDTH * HEIGHT), rel=0.02)
    assert moved.farther == pytest.approx(120 * 30 / (WIDTH * HEIGHT), rel=0.02)


def cell(path: Path, column: int, side: int) -> Plane:
    """The pixels of a cell of the first row."""
    left = figures.EDGE + figures.SIDE + column * (figures.CELL + figures.GAP)
    inset = (figures.CELL - side) // 2
    drawn = np.asarray(Image.open(path).convert("RGB"))[figures.TOP + inset :, left + inset :]
    return drawn[:side, :side]


@pytest.mark.parametrize(("scale", "width", "side"), [(4, 300, 120), (3, 300, 120), (2, 66, 66)])
def test_every_pixel_of_a_picture_is_a_square_of_pixels(
    scale: int, width: int, side: int, tmp_path: Path
) -> None:
    one = exhibit(scale=scale, width=width)
    draw_exhibits([one], "title", "subtitle", tmp_path / "best.png")
    change = difference(one.srcnn_luma, one.bicubic_luma)
    top, left, _ = busiest_square(change, side)
    # A pixel of the small picture is not cut.
    top, left = top // scale * scale, left // scale * scale
    part = slice(top, top + side), slice(left, left + side)
    nearest = np.asarray(one.small).repeat(scale, axis=0).repeat(scale, axis=1)
    pictures = [np.asarray(one.original), nearest, one.bicubic, one.srcnn, coloured(change)]
    factor = 240 // side
    for column, picture in enumerate(pictures):
        expected = np.asarray(picture)[part].repeat(factor, axis=0).repeat(factor, axis=1)
        np.testing.assert_array_equal(cell(tmp_path / "best.png", column, factor * side), expected)


def test_the_small_picture_marks_where_the_square_lies() -> None:
    axes = exhibits_figure([exhibit()], "title", "subtitle").axes
    (small,) = [axis for axis in axes if axis.patches]
    shown = np.asarray(small.images[0].get_array()).shape
    frame = small.patches[-1].get_extents().transformed(small.transData.inverted())
    across, down = WIDTH / shown[1], HEIGHT / shown[0]
    # Of (53, 101), what lies on the grid of x4.
    found = [
        (frame.x0 + 0.5) * across,
        (min(frame.y0, frame.y1) + 0.5) * down,
        frame.width * across,
    ]
    assert found == pytest.approx([52, 100, 120])


def test_a_row_a_picture_and_grey_ones_too(tmp_path: Path) -> None:
    one = exhibit()
    pictures = ("original", "small", "bicubic", "srcnn")
    grey = replace(one, **{name: getattr(one, name).convert("L") for name in pictures})
    for rows in (1, 5):
        draw_exhibits([grey] * rows, "title", "subtitle", tmp_path / f"{rows}.png")
    sizes = [Image.open(tmp_path / f"{rows}.png").size for rows in (1, 5)]
    assert sizes[0][0] == sizes[1][0] > 1000
    assert sizes[1][1] > 3 * sizes[0][1]
    shown = cell(tmp_path / "5.png", 0, 240)
    assert np.ptp(shown, axis=2).max() == 0
    with Image.open(tmp_path / "1.png") as picture:
        assert picture.info["Description"] == (
            "subtitle. a.png: 30.00 dB by bicubic, 31.25 dB by SRCNN."
        )
