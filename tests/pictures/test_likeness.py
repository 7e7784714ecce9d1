"""Perceptual hashes of photographs and their copies."""

import io
from collections.abc import Callable

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from srcnn_mlflow.pictures.likeness import WHOLE_SIDE, Likeness, find_alike
from srcnn_mlflow.pictures.likeness_hashes import likeness
from srcnn_mlflow.pictures.samples import sample_files
from tests.conftest import textured_pixels


@pytest.fixture(scope="module")
def photos() -> dict[str, Image.Image]:
    files = [file for split in sample_files().values() for file in split]
    return {file.stem: Image.open(file).convert("RGB") for file in files}


def alike(one: Image.Image, other: Image.Image) -> bool:
    return list(find_alike([likeness(one)], [likeness(other)])) == [(0, 0)]


def jpeg(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=50)
    return Image.open(file)


def test_different_photographs_are_not_alike(photos: dict[str, Image.Image]) -> None:
    hashes = [likeness(image) for image in photos.values()]
    names = list(photos)
    pairs = {(names[one], names[other]) for one, other in find_alike(hashes, hashes) if one < other}
    assert pairs <= {("motorcycle_left", "motorcycle_right")}


@pytest.mark.parametrize("turn", list(Image.Transpose))
def test_turned_and_mirrored_copies_are_alike(
    photos: dict[str, Image.Image], turn: Image.Transpose
) -> None:
    for image in list(photos.values())[::2]:
        assert alike(image, image.transpose(turn))
        assert alike(image, jpeg(image.transpose(turn).reduce(2)))


@pytest.mark.parametrize("corner", [(0, 0), (1, 1), (0.37, 0.61)])
@pytest.mark.parametrize("turn", [None, Image.Transpose.ROTATE_270])
def test_crops_are_alike(
    photos: dict[str, Image.Image], corner: tuple[float, float], turn: Image.Transpose | None
) -> None:
    found = 0
    for image in photos.values():
        width, height = (round(0.7 * side) for side in image.size)
        left = round(corner[0] * (image.width - width))
        top = round(corner[1] * (image.height - height))
        crop = image.crop((left, top, left + width, top + height))
        found += alike(image, jpeg(crop if turn is None else crop.transpose(turn)))
    # Brick, grass and gravel are textures, and stars are stars.
    assert found >= 0.8 * len(photos)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (2, 3), (63, 64), (64, 64), (300, 65)])
def test_any_size_has_a_likeness(size: tuple[int, int]) -> None:
    image = Image.fromarray(textured_pixels(size[1], size[0], 5))
    hashes = likeness(image)
    assert all(len(one) in (16, 64) for one in hashes)
    if min(size) > 60:
        assert alike(image, image)


def test_plain_pictures_are_like_nothing() -> None:
    white, black = (likeness(Image.new("RGB", (200, 200), name)) for name in ("white", "black"))
    assert white == black == ()
    assert not list(find_alike([white, black], [white, black]))


@pytest.mark.parametrize(("ones", "others"), [([], []), ([], [("0f" * 32,)]), ([("0f" * 32,)], [])])
def test_nothing_is_like_nothing(ones: list[Likeness], others: list[Likeness]) -> None:
    assert not list(find_alike(ones, others))


@given(st.integers(0, 2**32 - 1), st.integers(0, 2 * WHOLE_SIDE**2 // 4))
@settings(max_examples=50)
def test_wholes_are_alike_up_to_a_quarter_of_their_bits(seed: int, differing: int) -> None:
    generator = np.random.default_rng(seed)
    bits = generator.integers(0, 2, WHOLE_SIDE**2, np.uint8)
    other = bits.copy()
    other[generator.permutation(len(bits))[:differing]] ^= 1
    pair = [np.packbits(one).tobytes().hex() for one in (bits, other)]
    distance = imagehash.hex_to_hash(pair[0]) - imagehash.hex_to_hash(pair[1])
    assert distance == differing
    assert bool(list(find_alike([(pair[0],)], [(pair[1],)]))) == (differing <= 64)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda windows: windows, True),
        (lambda windows: windows[:2], True),
        (lambda windows: windows[:1], False),
        # One window that is like two of the other picture.
        (lambda windows: [windows[0], windows[0]], False),
        (lambda windows: [_flip(window, 8) for window in windows], True),
        (lambda windows: [_flip(window, 9) for window in windows], False),
    ],
)
def test_two_windows_have_to_match(change: Callable[[list[str]], list[str]], found: bool) -> None:
    generator = np.random.default_rng(2)
    windows = [generator.bytes(8).hex() for _ in range(5)]
    pairs = list(find_alike([(), tuple(windows)], [tuple(change(windows))]))
    assert pairs == ([(1, 0)] if found else [])


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=50, deadline=None)
def test_pairs_are_those_that_bits_one_by_one_tell(seed: int, ones: int, others: int) -> None:
    generator = np.random.default_rng(seed)
    seeds = {side: generator.integers(0, 2, (3, side**2), np.uint8) for side in (16, 8)}

    def hashes(side: int, most: int) -> list[str]:
        # Near to few, so that there are pairs, and far enough that there are others.
        found = []
        for _ in range(int(generator.integers(4))):
            bits = seeds[side][generator.integers(3)].copy()
            bits[generator.permutation(side**2)[: generator.integers(most)]] ^= 1
            found.append(np.packbits(bits).tobytes().hex())
        return found

    first, second = (
        [(*hashes(16, 80), *hashes(8, 10)) for _ in range(count)] for count in (ones, others)
    )
    expected = [
        (one, other)
        for other in range(others)
        for one in range(ones)
        if alike_bit_by_bit(first[one], second[other])
    ]
    assert list(find_alike(first, second)) == sorted(expected, key=lambda pair: pair[::-1])


def alike_bit_by_bit(one: Likeness, other: Likeness) -> bool:
    def near(digits: int, most: int) -> list[tuple[int, int]]:
        return [
            (place, place_of_other)
            for place, hash_ in enumerate(one)
            for place_of_other, hash_of_other in enumerate(other)
            if len(hash_) == len(hash_of_other) == digits
            and (int(hash_, 16) ^ int(hash_of_other, 16)).bit_count() <= most
        ]

    windows = near(16, 8)
    several = all(len({pair[side] for pair in windows}) >= 2 for side in (0, 1))
    return bool(near(64, 64)) or several


def _flip(window: str, bits: int) -> str:
    return f"{int(window, 16) ^ (2**bits - 1):016x}"
