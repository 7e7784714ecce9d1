"""Bicubic as Pillow, MATLAB and OpenCV do it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from srcnn_mlflow.pictures import imaging
from srcnn_mlflow.pictures.kernels import MATLAB, OPENCV, PILLOW, Kernel, resize
from tests.photographs import ASTRONAUT, CAMERA, CHELSEA

KERNELS = (PILLOW, MATLAB, OPENCV, replace(PILLOW, antialias=False), replace(PILLOW, sharpness=-1))


@given(
    level=st.integers(0, 255),
    sides=st.tuples(st.integers(3, 30), st.integers(3, 30)),
    to=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    kernel=st.sampled_from(KERNELS),
)
def test_a_plain_picture_stays_as_it_is(
    level: int, sides: tuple[int, int], to: tuple[int, int], kernel: Kernel
) -> None:
    resized = resize(np.full(sides, level, np.uint8), *to, kernel)
    assert resized.shape == to
    assert np.allclose(resized, level, atol=1e-4)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_same_size_is_the_same_picture(kernel: Kernel) -> None:
    picture = CHELSEA[:20, :31]
    assert np.allclose(resize(picture, 20, 31, kernel), picture, atol=1e-4)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_mirrored_picture_is_resized_to_the_mirrored_result(kernel: Kernel) -> None:
    plane = CAMERA[:36, :48]
    resized = resize(plane, 12, 24, kernel)
    assert np.allclose(resize(plane[::-1, ::-1], 12, 24, kernel), resized[::-1, ::-1], atol=1e-4)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_matrix_agrees_with_pillow(scale: int) -> None:
    plane = CAMERA[: 24 * scale, : 35 * scale]
    almost = replace(PILLOW, sharpness=-0.5 + 1e-9)  # not Pillow's own, so that the matrix is used
    assert np.abs(resize(plane, 24, 35, almost) - resize(plane, 24, 35, PILLOW)).max() < 1e-3


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_this_projects_bicubic_is_that_of_its_protocol_to_the_last_bit(scale: int) -> None:
    plane = CAMERA[: 24 * scale, : 35 * scale]
    small = imaging.to_eight_bit(resize(plane, 24, 35, PILLOW))
    assert (small == imaging.downscale(plane, scale)).all()
    large = np.clip(resize(small, plane.shape[0], plane.shape[1], PILLOW), 0, 255)
    assert (large == imaging.upscale(small, scale)).all()


@pytest.mark.parametrize("size", [(50, 31), (123, 177)])
def test_rounding_after_each_direction_is_pillows_eight_bits(size: tuple[int, int]) -> None:
    picture = ASTRONAUT[:101, :93]
    expected = np.asarray(
        Image.fromarray(picture).resize((size[1], size[0]), Image.Resampling.BICUBIC)
    )
    found = resize(picture, *size, PILLOW, each_direction=True)
    assert np.abs(found - expected).max() <= 1
    assert (found != expected).mean() < 0.001


SQUARES = np.arange(8, dtype=np.float64)[None, :].repeat(8, 0) ** 2
# What imresize of BasicSR's basicsr/utils/matlab_functions.py (commit 8d56e3a), which stands for
# MATLAB's, gives for a row of these, by 0.5 and by 2.
BY_MATLAB = {
    4: [0.30078125, 6.26171875, 20.42578125, 43.01171875],
    16: [
        *(-0.09375, 0.1328125, 0.5859375, 1.5625, 3.0625, 5.0625, 7.5625, 10.5625),
        *(14.0625, 18.0625, 22.5625, 27.5625, 33.0625, 39.4140625, 46.6171875, 50.21875),
    ],
}
# What cv2.resize of OpenCV 5.0.0 gives in float32 with interpolation=cv2.INTER_CUBIC.
BY_OPENCV = {
    4: [0.21875, 6.125, 20.125, 43.53125],
    16: [
        *(-0.10546875, 0.12109375, 0.45703125, 1.609375, 2.828125, 5.203125, 7.234375),
        *(10.796875, 13.640625, 18.390625, 22.046875, 27.984375, 32.453125, 40.10546875),
        *(46.44140625, 50.37109375),
    ],
}


@pytest.mark.parametrize("side", [4, 16])
def test_matlab_and_opencv_agree_with_their_own_functions(side: int) -> None:
    assert resize(SQUARES, side, side, MATLAB)[2] == pytest.approx(BY_MATLAB[side], abs=1e-5)
    assert resize(SQUARES, side, side, OPENCV)[2] == pytest.approx(BY_OPENCV[side], abs=1e-5)
