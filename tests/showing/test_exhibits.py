"""Which pictures are shown."""

from pathlib import Path

import numpy as np
from PIL import Image

from srcnn_mlflow.measuring.evaluation import ImageScore
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.pictures.imaging import (
    Plane,
    bicubic_image,
    downscale,
    luma,
    to_eight_bit,
    upscale,
)
from srcnn_mlflow.pictures.pairs import make_small
from srcnn_mlflow.pictures.photos import Photo
from srcnn_mlflow.showing.exhibits import choose_exhibits


class Bicubic:
    """A model that changes nothing."""

    def upscale_image(self, image: Image.Image) -> Image.Image:
        return bicubic_image(image, 2)

    def upscale_luma(self, plane: Plane) -> Plane:
        return to_eight_bit(upscale(plane, 2))


def scored(photo: Photo, psnr: float) -> tuple[Photo, ImageScore]:
    return photo, ImageScore(photo.name, 30.0, psnr, 0.9, 0.9, 1.0, 1.0)


def names(exhibits: tuple[object, ...]) -> list[str]:
    return [exhibit.score.image for exhibit in exhibits]  # type: ignore[attr-defined]


def test_the_extremes_by_psnr_are_chosen_and_a_picture_in_both_is_made_once(
    photo_folder: Path,
) -> None:
    photos = [photo for split in load_dataset(str(photo_folder)).splits.values() for photo in split]
    ranked = photos[3:] + photos[:3]
    pairs = [scored(photo, 40.0 - ranked.index(photo)) for photo in photos[:7]]
    order = [photo.name for photo in ranked if photo in photos[:7]]
    extremes = choose_exhibits(pairs, 2, Bicubic())
    assert names(extremes.best) == order[:5]
    assert names(extremes.worst) == order[::-1][:5]
    assert {*extremes.best[2:]} == {*extremes.worst[2:]}
    assert [heading for _, heading, _ in extremes.titled(2)] == [
        "The 5 pictures with the highest PSNR at x2; 3 of them are among the worst too",
        "The 5 pictures with the lowest PSNR at x2; 3 of them are among the best too",
    ]
    few = choose_exhibits(pairs[:2], 2, Bicubic())
    for (_, heading, _), other in zip(few.titled(2), ("worst", "best"), strict=True):
        assert heading.endswith(f"; they are the {other} too, for there are no others")


def test_an_exhibit_holds_what_was_measured(photo_folder: Path) -> None:
    photo = load_dataset(str(photo_folder)).photos("test")[1]
    exhibit = choose_exhibits([scored(photo, 31.0)], 2, Bicubic()).best[0]
    plane = luma(Image.open(photo.path))
    cropped = plane[: plane.shape[0] // 2 * 2, : plane.shape[1] // 2 * 2]
    np.testing.assert_array_equal(
        exhibit.bicubic_luma, to_eight_bit(upscale(downscale(cropped, 2), 2))
    )
    np.testing.assert_array_equal(exhibit.srcnn_luma, exhibit.bicubic_luma)
    np.testing.assert_array_equal(np.asarray(exhibit.srcnn), np.asarray(exhibit.bicubic))
    assert exhibit.original.size == exhibit.bicubic.size == cropped.shape[::-1]


def test_an_exhibit_of_a_network_on_colours_holds_the_picture_that_was_measured(
    photo_folder: Path,
) -> None:
    photo = load_dataset(str(photo_folder)).photos("test")[1]

    class Tinting(Bicubic):
        def upscale_image(self, image: Image.Image) -> Image.Image:
            return Image.fromarray(np.asarray(super().upscale_image(image)) // 2)

    exhibit = choose_exhibits([scored(photo, 31.0)], 2, Tinting(), "rgb").best[0]
    original, small, bicubic = make_small(np.asarray(Image.open(photo.path)), 2)
    for image, pixels in (
        (exhibit.original, original),
        (exhibit.small, small),
        (exhibit.bicubic, bicubic),
    ):
        assert np.array_equal(np.asarray(image), pixels)
    assert np.array_equal(exhibit.srcnn_luma, luma(exhibit.srcnn))
    assert exhibit.srcnn_luma.mean() < exhibit.bicubic_luma.mean() - 20
