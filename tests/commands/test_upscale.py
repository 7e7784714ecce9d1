"""`upscale` and the weights that ship with the package."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srcnn_mlflow.commands.upscale import ChosenModel, shipped_model, upscale_files
from srcnn_mlflow.machine.errors import ImageError, ModelError
from srcnn_mlflow.measuring.evaluation import score_photos, summarize
from srcnn_mlflow.network.architecture import Architecture
from srcnn_mlflow.network.shipped import SHIPPED_NAMES, shipped_network
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.pictures.decoding import open_image
from tests.conftest import ROOT, textured_pixels


@pytest.fixture(scope="module")
def model() -> ChosenModel:
    return shipped_model(2, "shipped-9-1-5")


def test_a_folder_is_upscaled_whole(model: ChosenModel, tmp_path: Path, said: list[str]) -> None:
    source = tmp_path / "in"
    source.mkdir()
    pixels = textured_pixels(30, 40, 1)
    for name in ("a.png", "a.jpg", "b.webp", "grüße und mehr.bmp"):
        Image.fromarray(pixels).save(source / name)
    (source / "broken.png").write_bytes(b"no picture")
    (source / "notes.txt").write_text("ignored")
    written = upscale_files(model, 2, [str(source)], tmp_path / "out", False).written
    assert [path.name for path in written] == [
        "a.jpg-x2.png",
        "a.png-x2.png",
        "b-x2.png",
        "grüße und mehr-x2.png",
    ]
    assert {Image.open(path).size for path in written} == {(80, 60)}
    assert said[0] == "left out: notes.txt is no picture, by its name"
    assert said[1].startswith("skipped: broken.png is not a PNG")
    assert said[2].startswith("wrote 4 picture(s)")
    assert said[2].endswith("; left out 2 file(s), each named above")


def test_one_picture_goes_where_it_is_told(model: ChosenModel, tmp_path: Path) -> None:
    Image.fromarray(textured_pixels(20, 20, 2)).save(tmp_path / "a.png")
    target = tmp_path / "deep" / "result.png"
    written = upscale_files(model, 2, [str(tmp_path / "a.png")], target, True).written
    assert [path.name for path in written] == ["result.png", "result-bicubic.png"]
    page = (tmp_path / "deep" / "result-comparison.html").read_text(encoding="utf-8")
    assert 'src="./result.png"' in page
    assert 'src="./result-bicubic.png"' in page
    # Both are the same picture, and not the same pixels.
    sharp, bicubic = (np.asarray(Image.open(path)).astype(int) for path in written)
    assert 0 < np.abs(sharp - bicubic).mean() < 20


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "CMYK", "I;16"])
def test_every_kind_of_picture_comes_out_right(
    model: ChosenModel, tmp_path: Path, mode: str
) -> None:
    pixels = textured_pixels(24, 32, 3)
    if mode == "I;16":
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    else:
        image = Image.fromarray(pixels).convert(mode)
    path = tmp_path / ("a.tif" if mode in ("CMYK", "I;16") else "a.png")
    image.save(path)
    (written,) = upscale_files(model, 2, [str(path)], tmp_path / "out", False).written
    # What is 16 bits deep stays so.
    assert (Image.open(written).mode == "I;16") == (mode == "I;16")
    result, opened = open_image(written), open_image(path)
    assert result.mode == opened.mode
    small = result.resize(opened.size, Image.Resampling.BICUBIC)
    assert np.abs(np.asarray(small).astype(int) - np.asarray(opened)).mean() < 6


def test_a_wrong_scale_is_refused(model: ChosenModel, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"upscales by 2, not by 4; give scale=2"):
        upscale_files(model, 4, [str(tmp_path)], tmp_path, False)


def test_a_folder_of_broken_pictures_is_an_error(model: ChosenModel, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(ImageError, match=r"none of the 1 picture\(s\)"):
        upscale_files(model, 2, [str(tmp_path)], tmp_path / "out", False)
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ImageError, match="is a file; give a folder, or for one picture"):
        upscale_files(model, 2, [str(tmp_path)], tmp_path / "out", False)


every_shipped = pytest.mark.parametrize(
    ("name", "scale"), [(name, scale) for name in SHIPPED_NAMES[1:] for scale in (2, 3, 4)]
)


@every_shipped
def test_the_shipped_weights_score_what_is_written_beside_them(
    shared: Callable[[str], Path], name: str, scale: int
) -> None:
    file = shipped_network(scale, name).with_suffix(".json")
    written = json.loads(file.read_text(encoding="utf-8"))
    photos = load_dataset(str(shared("Set5"))).photos("all")
    upscaler = shipped_model(scale, name).upscaler
    scored = score_photos(photos, scale, scale, upscaler.upscale_luma)
    summary = summarize(score for _, score in scored)
    assert summary.srcnn_psnr == pytest.approx(written["set5"]["srcnn_psnr"], abs=0.005)
    assert summary.srcnn_ssim == pytest.approx(written["set5"]["srcnn_ssim"], abs=0.0001)
    assert summary.bicubic_psnr == pytest.approx(written["set5"]["bicubic_psnr"], abs=0.005)


@every_shipped
def test_the_shipped_weights_beat_bicubic_on_the_samples(name: str, scale: int) -> None:
    photos = load_dataset("samples").photos("test")
    upscaler = shipped_model(scale, name).upscaler
    scored = score_photos(photos, scale, scale, upscaler.upscale_luma)
    summary = summarize(score for _, score in scored)
    assert summary.psnr_gain > 0.5
    assert summary.ssim_gain > 0.01


@pytest.mark.parametrize("pattern", ["checkerboard", "stripes"])
@every_shipped
def test_the_shipped_weights_shift_the_grey_of_patterns_as_much_as_is_written(
    name: str, scale: int, pattern: str
) -> None:
    row, column = np.mgrid[0:40, 0:40]
    plane = np.uint8(255) * (((row + column) if pattern == "checkerboard" else column) % 2 == 1)
    shift = shipped_model(scale, name).upscaler.upscale_luma(plane).mean() - plane.mean()
    text = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
    start = f"| {pattern} of one pixel | {name.removeprefix('shipped-')} |"
    line = next(line for line in text.splitlines() if line.startswith(start))
    assert shift == pytest.approx(float(line.split("|")[scale + 1]), abs=0.06)


@every_shipped
def test_flat_fields_keep_their_grey_to_the_level(name: str, scale: int) -> None:
    upscaler = shipped_model(scale, name).upscaler
    for level in (0, 1, 16, 100, 128, 200, 235, 254, 255):
        assert (upscaler.upscale_luma(np.full((9, 8), level, np.uint8)) == level).all()


@every_shipped
def test_the_shipped_weights_take_little_more_than_their_numbers(name: str, scale: int) -> None:
    network = Architecture(name.removeprefix("shipped-"))
    assert shipped_network(scale, name).stat().st_size < 4 * network.weights + 2_000


def test_how_large_a_picture_may_be_is_set_from_outside(
    model: ChosenModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    Image.new("L", (40, 30)).save(tmp_path / "a.png")
    Image.new("1", (15_000, 12_000)).save(tmp_path / "large.png")
    written = upscale_files(model, 2, [str(tmp_path)], tmp_path / "out", False).written
    assert [path.name for path in written] == ["a-x2.png"]
    assert said[0].endswith("15000x12000, 180,000,000 pixels; the most allowed is 178,956,970")
    monkeypatch.setenv("SRCNN_MAX_MEGAPIXELS", "0.001")
    with pytest.raises(ImageError, match="none of the 1 picture"):
        upscale_files(model, 2, [str(tmp_path / "a.png")], tmp_path / "out", False)
    assert "1,200 pixels; the most allowed is 1,000" in said[-1]
    monkeypatch.setenv("SRCNN_MAX_MEGAPIXELS", "0.0012")
    assert upscale_files(model, 2, [str(tmp_path / "a.png")], tmp_path / "out", False).written


def write_picture(path: Path) -> bytes:
    Image.fromarray(textured_pixels(20, 20, 2)).save(path)
    return path.read_bytes()


@pytest.mark.parametrize("spelled", ["the same", "another way", "by a link", "through a hard link"])
def test_a_target_that_is_the_source_is_refused(
    model: ChosenModel, tmp_path: Path, spelled: str
) -> None:
    source = tmp_path / "a.png"
    original = write_picture(source)
    link = tmp_path / "link.png"
    if spelled == "by a link":
        link.symlink_to(source)
    elif spelled == "through a hard link":
        link.hardlink_to(source)
    target = {"the same": source, "another way": tmp_path / ".." / tmp_path.name / "a.png"}
    with pytest.raises(ImageError, match=r"is the input .* itself, which it would replace; give"):
        upscale_files(model, 2, [str(source)], target.get(spelled, link), False)
    assert source.read_bytes() == original
    assert link.is_symlink() == (spelled == "by a link")


def test_bicubics_result_does_not_replace_the_source_either(
    model: ChosenModel, tmp_path: Path
) -> None:
    original = write_picture(tmp_path / "a-bicubic.png")
    with pytest.raises(ImageError, match="which it would replace"):
        upscale_files(model, 2, [str(tmp_path / "a-bicubic.png")], tmp_path / "a.png", True)
    assert (tmp_path / "a-bicubic.png").read_bytes() == original
    assert not (tmp_path / "a.png").exists()


def test_a_folder_into_itself_takes_no_result_for_a_picture(
    model: ChosenModel, tmp_path: Path, said: list[str]
) -> None:
    originals = {name: write_picture(tmp_path / name) for name in ("deep.png", "b.jpg", "c-x2.png")}
    # Nothing is named c here, so that one is a picture of its own.
    expected = {*originals, "c-x2-x2.png", "c-x2-x2-bicubic.png", "comparison-x2.html"}
    expected |= {f"{stem}-x2{end}.png" for stem in ("deep", "b") for end in ("", "-bicubic")}
    for _ in range(3):
        written = upscale_files(model, 2, [str(tmp_path)], tmp_path, True).written
        assert len(written) == 6
        assert {path.name for path in tmp_path.iterdir()} == expected
    told = "left out: deep-x2.png was made of another picture of its folder"
    assert said.count(told) == 2
    assert not any("html is no picture" in text for text in said)
    assert {name: (tmp_path / name).read_bytes() for name in originals} == originals
