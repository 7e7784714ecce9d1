"""Scores, tables and pictures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from srcnn_mlflow.machine.errors import DatasetError, ImageError, ModelError
from srcnn_mlflow.measuring.ensemble import self_ensemble
from srcnn_mlflow.measuring.evaluation import (
    ImageScore,
    describe_protocol,
    score_colours,
    score_photos,
    score_plane,
    summarize,
)
from srcnn_mlflow.measuring.metrics import psnr, ssim
from srcnn_mlflow.measuring.tables import TableRow, describe_bias, markdown_table, table_rows
from srcnn_mlflow.pictures.colour import each_plane, luma_plane
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.pictures.imaging import (
    Plane,
    downscale,
    mod_crop,
    to_eight_bit,
    upscale,
    upscale_to_eight_bit,
)
from srcnn_mlflow.pictures.pairs import make_small
from tests.conftest import textured_pixels
from tests.photographs import ASTRONAUT


def bicubic(plane: Plane) -> Plane:
    return to_eight_bit(upscale(plane, 2))


def test_bicubic_against_itself_gains_nothing() -> None:
    plane = textured_pixels(41, 52, 1)[..., 0]
    score = score_plane("one", plane, 2, 2, bicubic)
    assert score.psnr_gain == 0
    original = mod_crop(plane, 2)
    assert score.bicubic_psnr == psnr(original, bicubic(downscale(original, 2)), 2)
    assert score.srcnn_ssim == ssim(original, bicubic(downscale(original, 2)), 2)


def test_a_perfect_model_is_infinitely_good() -> None:
    plane = textured_pixels(40, 40, 2)[..., 0]
    assert score_plane("one", plane, 2, 2, lambda _: plane).srcnn_psnr == np.inf


@pytest.mark.parametrize("shift", [-7, 0, 5])
def test_a_model_that_shifts_grey_is_seen(shift: int) -> None:
    plane = textured_pixels(41, 52, 1)[..., 0] // 2 + 50

    def shifted(small: Plane) -> Plane:
        return to_eight_bit(bicubic(small).astype(np.float32) + shift)

    score = score_plane("one", plane, 2, 2, shifted)
    assert score.srcnn_bias == pytest.approx(score.bicubic_bias + shift, abs=1e-9)
    assert abs(score.bicubic_bias) < 0.5


def test_pictures_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(ImageError, match="tiny: 11x15 is too small; SSIM needs 11"):
        score_plane("tiny", np.zeros((15, 11), np.uint8), 2, 2, bicubic)
    with pytest.raises(ImageError, match="plain: bicubic restores it perfectly"):
        score_plane("plain", np.full((40, 40), 7, np.uint8), 2, 2, bicubic)


def test_a_model_of_another_scale_is_refused() -> None:
    plane = textured_pixels(40, 48, 3)[..., 0]
    with pytest.raises(ModelError, match="makes 24x20 pixels into 72x60, which is not scale 2"):
        score_plane("one", plane, 2, 2, lambda small: to_eight_bit(upscale(small, 3)))


def test_summaries_average_and_subtract_unrounded_means() -> None:
    first = ImageScore("a", 30.0, 31.0, 0.9, 0.91, 100.0, 80.0, 0.5, -4.0)
    second = ImageScore("b", 20.0, 20.5, 0.5, 0.56, 300.0, 200.0, 0.1, 3.0)
    summary = summarize([first, second])
    assert summary.bicubic_psnr == 25
    assert summary.srcnn_psnr == 25.75
    assert summary.psnr_gain == 0.75
    assert summary.ssim_gain == pytest.approx(0.035)
    assert summary.mse_reduction_percent == pytest.approx(30)
    assert summary.images == 2
    assert summary.bicubic_bias == pytest.approx(0.3)
    assert summary.srcnn_bias == -0.5
    assert summary.srcnn_largest_bias == -4
    assert describe_bias(summary) == (
        "Mean luma shifted by -0.50 grey levels (bicubic +0.30), by -4.00 in the picture where "
        "most."
    )


def test_the_table_is_the_reports() -> None:
    score = ImageScore("a", 28.206, 29.443, 0.78821, 0.8252, 1.0, 0.7)
    summary = summarize([score])
    rows = table_rows(4, summary)
    lines = markdown_table(rows).splitlines()
    packed = [" ".join(line.split()) for line in lines]
    assert packed[0] == "| Scale | Metric | Bicubic | SRCNN | Improvement |"
    assert packed[2] == "| x4 | PSNR (dB) | 28.21 | 29.44 | +1.24 |"
    assert packed[3] == "| x4 | SSIM | 0.7882 | 0.8252 | +0.0370 |"
    assert len({len(line) for line in lines}) == 1
    assert [TableRow.from_cells(row.cells()) for row in rows] == rows


def test_a_self_ensemble_averages_over_the_eight_turns() -> None:
    plane = textured_pixels(12, 15, 4)[..., 0]
    seen: list[bytes] = []

    def spy(turned: Plane) -> Plane:
        seen.append(turned.tobytes())
        return bicubic(turned)

    # Bicubic treats every direction alike, so averaging over directions changes nothing.
    difference_from_one = self_ensemble(spy)(plane).astype(int) - bicubic(plane)
    assert np.abs(difference_from_one).max() <= 1
    assert len(set(seen)) == 8


def test_a_self_ensemble_cancels_what_depends_on_direction() -> None:
    plane = np.full((10, 10), 100, np.uint8)

    def lopsided(turned: Plane) -> Plane:
        enlarged = bicubic(turned)
        enlarged[:, :10] += 8
        return enlarged

    assert np.all(self_ensemble(lopsided)(plane) == 104)


def test_photos_that_cannot_be_scored_are_named_and_left_out(
    photo_folder: Path, said: list[str]
) -> None:
    Image.new("RGB", (40, 40), "navy").save(photo_folder / "test" / "plain.png")
    photos = load_dataset(str(photo_folder)).photos("test")
    scored = list(score_photos(photos, 2, 2, bicubic))
    assert [photo.name for photo, _ in scored] == ["test0.png", "test1.png", "test2.png"]
    assert said == [
        "left out: plain.png: bicubic restores it perfectly, so there is nothing to compare"
    ]


@pytest.mark.parametrize(
    ("kinds", "border", "told"),
    [
        ("plain", 2, "1 so plain that bicubic restores them perfectly (give some with detail)"),
        ("small", 2, "1 too small for it (give larger ones)"),
        ("small", 9, "1 too small for it (give larger ones or a smaller border)"),
        ("gone", 2, "1 unreadable since they were looked at (mend them, or leave them out)"),
        ("small plain plain2", 2, "1 too small for it (give larger ones), 2 so plain that "),
    ],
)
def test_why_no_picture_can_be_compared_is_told_by_its_cause(
    tmp_path: Path, kinds: str, border: int, told: str
) -> None:
    for kind in kinds.split():
        shade = "navy" if kind == "plain" else "teal"
        image = Image.new("RGB", (40, 40), shade)
        if kind in ("small", "gone"):
            image = Image.fromarray(textured_pixels(12, 12, 1))
        image.save(tmp_path / f"{kind}.png")
    photos = load_dataset(str(tmp_path)).photos("all")
    (tmp_path / "gone.png").unlink(missing_ok=True)
    with pytest.raises(DatasetError) as refused:
        list(score_photos(photos, 2, border, bicubic))
    text = str(refused.value)
    assert text.startswith(f"none of the {len(photos)} pictures can be compared at scale 2 with")
    assert f"a border of {border}: {told}" in text
    # No other cause, and what does not help, is named.
    assert ("give larger" in text) == ("small" in kinds)
    assert ("smaller border" in text) == (border > 2)
    assert ("detail" in text) == ("plain" in kinds)


def tinted(pixels: Plane) -> Plane:
    """Bicubic, and in colour too red by ten levels."""
    large = each_plane(pixels, lambda plane: upscale_to_eight_bit(plane, 2))
    if large.ndim == 2:
        return large
    tint = np.array([10, 0, 0], np.int16)
    made: Plane = np.clip(large + tint, 0, 255).astype(np.uint8)
    return made


PHOTOGRAPH = ASTRONAUT[100:180, 150:251]


def test_colours_are_measured_as_scikit_image_does() -> None:
    score = score_colours("a", PHOTOGRAPH, 2, 2, tinted, "rgb")
    original, small, bicubic = make_small(PHOTOGRAPH, 2)
    inside = slice(2, -2), slice(2, -2)
    for found, made in (
        (score.srcnn_rgb_psnr, tinted(small)),
        (score.bicubic_rgb_psnr, bicubic),
    ):
        expected = peak_signal_noise_ratio(original[inside], made[inside])  # type: ignore[no-untyped-call]
        assert found == pytest.approx(expected, abs=1e-9)
    # Luma is that of the picture which was made, and bicubic's that of luma, as always.
    assert score.srcnn_psnr == psnr(luma_plane(original), luma_plane(tinted(small)), 2)
    plain = score_plane("a", luma_plane(PHOTOGRAPH), 2, 2, tinted)
    assert score.bicubic_psnr == plain.bicubic_psnr == plain.srcnn_psnr
    assert score.rgb_psnr_gain is not None
    assert score.rgb_psnr_gain < -0.5


def test_a_network_on_luma_is_scored_on_luma_as_ever_where_colours_are_measured_too() -> None:
    score = score_colours("a", PHOTOGRAPH, 2, 2, tinted, "y")
    plain = score_plane("a", luma_plane(PHOTOGRAPH), 2, 2, tinted)
    assert replace(score, bicubic_rgb_psnr=None, srcnn_rgb_psnr=None) == plain
    assert score.rgb_psnr_gain is not None
    assert score.rgb_psnr_gain < -0.5


@pytest.mark.parametrize("channels", ["y", "rgb", "ycbcr"])
def test_a_grey_picture_is_its_own_luma_and_its_own_colours(channels: str) -> None:
    grey = PHOTOGRAPH[..., 1].copy()
    score = score_colours("a", grey, 2, 2, tinted, channels)
    plain = score_plane("a", grey, 2, 2, tinted)
    assert (score.bicubic_rgb_psnr, score.srcnn_rgb_psnr) == (plain.bicubic_psnr, plain.srcnn_psnr)
    assert replace(score, bicubic_rgb_psnr=None, srcnn_rgb_psnr=None) == plain


def test_colours_stand_in_the_table_where_they_were_measured() -> None:
    plain = ImageScore("a", 30.0, 31.0, 0.9, 0.91, 100.0, 80.0)
    first = replace(plain, bicubic_rgb_psnr=28.0, srcnn_rgb_psnr=28.5)
    second = replace(plain, bicubic_rgb_psnr=26.0, srcnn_rgb_psnr=26.25)
    summary = summarize([first, second])
    assert (summary.bicubic_rgb_psnr, summary.srcnn_rgb_psnr) == (27.0, 27.375)
    assert list(table_rows(2, summary)[-1].cells().values()) == [
        *("x2", "RGB PSNR (dB)", "27.00", "27.38", "+0.38")
    ]
    assert {"bicubic_rgb_psnr", "srcnn_rgb_psnr"} <= set(summary.metrics())
    # Without, everything is as it was.
    usual = summarize([plain, plain])
    assert [row.metric for row in table_rows(2, usual)] == ["PSNR (dB)", "SSIM"]
    assert not any("rgb" in name for name in usual.metrics())
    assert "RGB" not in describe_protocol(2)
    assert "RGB PSNR is that of the squared error averaged over" in describe_protocol(2, True)


def test_the_self_ensemble_turns_colours_as_it_turns_luma() -> None:
    seen = []

    def enlarge(pixels: Plane) -> Plane:
        seen.append(pixels)
        return each_plane(pixels, lambda plane: upscale_to_eight_bit(plane, 2))

    made = self_ensemble(enlarge)(PHOTOGRAPH)
    assert len({pixels.tobytes() for pixels in seen}) == 8
    assert np.array_equal(made, each_plane(PHOTOGRAPH, self_ensemble(bicubic)))
