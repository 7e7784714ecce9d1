"""What one plane changed of another: how much, in which colour, and where most."""

import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from srcnn_mlflow.showing.difference import busiest_square, coloured, difference


def test_the_difference_is_fifteen_fold_from_black_over_red_to_yellow() -> None:
    bicubic_plane = np.array([[100, 100, 100, 100]], np.uint8)
    srcnn_plane = np.array([[100, 101, 91, 200]], np.uint8)
    assert difference(srcnn_plane, bicubic_plane).tolist() == [[0, 15 / 255, 135 / 255, 1]]
    black, middle, yellow = coloured(np.array([0.0, 0.5, 1.0])).tolist()
    assert black == [0, 0, 0]
    assert yellow == [255, 255, 0]
    red, green, blue = middle
    assert red > 0.98 * 255
    assert green < 0.02 * 255
    assert blue == 0


def test_colours_are_those_that_matplotlib_lays_between_black_red_and_yellow() -> None:
    ours = LinearSegmentedColormap.from_list("ours", ["black", "red", "yellow"])
    change = np.linspace(0, 1, 10_001).reshape(73, 137)
    expected = ours(change, bytes=True)[..., :3].astype(int)
    # It cuts off what floats lack of a whole level.
    np.testing.assert_allclose(coloured(change), expected, rtol=0, atol=1)


def test_the_busiest_square_is_found() -> None:
    change = np.zeros((30, 40))
    change[12:17, 21:26] = 1
    assert busiest_square(change, 5) == (12, 21, 5)
    assert busiest_square(change, 100) == (0, busiest_square(change, 100)[1], 30)
