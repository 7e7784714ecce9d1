import numpy as np
import pytest

from srcnn_mlflow.commands.upscale import shipped_model
from srcnn_mlflow.measuring.evaluation import make_comparable
from srcnn_mlflow.pictures.imaging import Plane, to_eight_bit, upscale
from srcnn_mlflow.pictures.pairs import make_small
from srcnn_mlflow.showing.specimen import (
    ENLARGED,
    SIDE,
    TITLE_HEIGHT,
    choose_specimen,
    draw_specimen,
)
from tests.conftest import textured_pixels


def triple(height: int, width: int, seed: int, scale: int) -> tuple[Plane, Plane, Plane]:
    return make_comparable("", textured_pixels(height, width, seed)[..., 1], scale, scale)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("size", [(200, 260), (60, 150)])
def test_the_square_is_shown_as_in_the_whole_picture(scale: int, size: tuple[int, int]) -> None:
    original, small, bicubic = triple(*size, 3, scale)
    specimen = choose_specimen([(original, small, bicubic)], scale)
    model = shipped_model(scale).upscaler
    top, left = specimen.offset
    side = len(specimen.original)
    assert specimen.original.shape == specimen.bicubic.shape == (side, side)
    assert side == min(SIDE, *original.shape)
    # Where it lies in the whole picture is found by its pixels alone.
    places = np.lib.stride_tricks.sliding_window_view(original, (side, side))
    (place,) = np.argwhere((places == specimen.original).all(axis=(2, 3)))
    whole = model.upscale_luma(small)[place[0] : place[0] + side, place[1] : place[1] + side]
    shown = model.upscale_luma(specimen.small)[top : top + side, left : left + side]
    assert np.abs(shown.astype(int) - whole).max() <= 1
    enlarged = to_eight_bit(upscale(specimen.small, scale))[top : top + side, left : left + side]
    assert np.abs(enlarged.astype(int) - specimen.bicubic).max() <= 1


def test_the_square_that_bicubic_restores_worst_is_chosen() -> None:
    flat = np.full((200, 200), 90, np.uint8)
    rough = flat.copy()
    rough[100:150, 120:180] = textured_pixels(50, 60, 1)[..., 0]
    triples = [make_comparable("", plane, 2, 2) for plane in (rough, rough.T.copy())]
    hardest = [(rough, *triples[0][1:]), triples[1]]
    specimen = choose_specimen(hardest, 2)
    error = np.square(specimen.original.astype(float) - specimen.bicubic).sum()
    assert error > 0.9 * np.square(rough.astype(float) - triples[0][2]).sum()


def test_the_sheet_has_four_cells_with_titles() -> None:
    specimen = choose_specimen([triple(150, 150, 2, 2)], 2)
    sheet = np.asarray(draw_specimen(specimen, shipped_model(2).upscaler.upscale_luma))
    side = SIDE * ENLARGED
    low, high = slice(TITLE_HEIGHT, TITLE_HEIGHT + side), slice(-side, None)
    left, right = slice(0, side), slice(-side, None)
    bicubic, srcnn, original, change = (
        sheet[rows, columns][::ENLARGED, ::ENLARGED].astype(int)
        for rows in (low, high)
        for columns in (left, right)
    )
    assert np.array_equal(bicubic[..., 0], specimen.bicubic)
    assert np.array_equal(original[..., 0], specimen.original)
    assert np.square(srcnn - original).mean() < np.square(bicubic - original).mean()
    # Black where nothing changed, brighter where more did.
    changed = np.abs(srcnn - bicubic)[..., 0]
    assert change[changed == 0].sum() == 0
    assert change[changed > 3].sum(axis=1).min() > change[changed == 1].sum(axis=1).max()
    assert sheet[:TITLE_HEIGHT].min() < 60


def test_colours_are_shown_in_colour_and_what_changed_by_luma() -> None:
    specimen = choose_specimen([make_small(textured_pixels(150, 160, 4), 2)], 2)
    side = len(specimen.original)
    assert specimen.original.shape == specimen.bicubic.shape == (side, side, 3)
    sheet = np.asarray(draw_specimen(specimen, shipped_model(2).upscaler.upscale_pixels))
    cell = slice(TITLE_HEIGHT, TITLE_HEIGHT + side * ENLARGED), slice(0, side * ENLARGED)
    assert np.array_equal(sheet[cell][::ENLARGED, ::ENLARGED], specimen.bicubic)
    assert np.ptp(sheet[cell].astype(int), axis=2).max() > 20
