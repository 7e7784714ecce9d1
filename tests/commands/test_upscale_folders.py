"""`upscale` for whole folders: formats, what is done already, and batches that are killed."""

import os
import re
import signal
import time
from pathlib import Path
from subprocess import PIPE

import numpy as np
import pytest
from PIL import Image

from srcnn_mlflow.commands.upscale import ChosenModel, shipped_model, upscale_files
from srcnn_mlflow.commands.upscale_steps import Wanted
from srcnn_mlflow.machine.errors import ImageError
from srcnn_mlflow.pictures.formats import FORMATS
from tests.conftest import start_command, textured_pixels

COUNT = 15


@pytest.fixture(scope="module")
def model() -> ChosenModel:
    return shipped_model(2, "shipped-9-1-5")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for number, name in enumerate(("a.jpg", "b.png", "c.webp", "d.gif", "e.TIF")):
        Image.fromarray(textured_pixels(20, 24, number)).save(folder / name)
    return folder


def names_of(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


@pytest.mark.parametrize("form", FORMATS)
def test_a_folder_becomes_files_of_one_format(
    model: ChosenModel, photos: Path, tmp_path: Path, form: str
) -> None:
    done = upscale_files(model, 2, [str(photos)], tmp_path / "out", False, Wanted(form))
    ending = FORMATS[form].endings[0]
    assert names_of(done.written) == [f"{name}-x2{ending}" for name in "abcde"]
    for path in done.written:
        assert Image.open(path).format == FORMATS[form].title.upper()
        assert Image.open(path).size == (48, 40)


def test_the_same_format_is_each_pictures_own(
    model: ChosenModel, photos: Path, tmp_path: Path, said: list[str]
) -> None:
    done = upscale_files(model, 2, [str(photos)], tmp_path / "out", True, Wanted("same", 70))
    assert names_of(done.written)[::2] == [
        *("a-x2.jpg", "b-x2.png", "c-x2.webp", "d-x2.png", "e-x2.TIF")
    ]
    assert names_of(done.written)[1] == "a-x2-bicubic.jpg"
    told = f"wrote 5 picture(s), with bicubic's beside each, to {tmp_path / 'out'} with "
    assert any(line.startswith(told) for line in said)
    page = (tmp_path / "out" / "comparison-x2.html").read_text(encoding="utf-8")
    assert "a-x2.jpg" in page
    assert "e-x2" not in page  # browsers show no TIFF
    assert not any("skipped" in line for line in said)
    # Into the folder itself: what was made is not taken for a picture.
    for _ in range(2):
        again = upscale_files(model, 2, [str(photos)], photos, False, Wanted("same"))
        assert len(again.written) == 5


def test_the_page_names_pictures_with_their_folders(model: ChosenModel, tmp_path: Path) -> None:
    for name in ("in/2019/may/a.png", "in/2019/z.png", "in/a.png", "in/b.png", "other/a.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(textured_pixels(20, 24, 1)).save(tmp_path / name)

    def headings(*inputs: str, output: Path = tmp_path / "out") -> list[str]:
        upscale_files(model, 2, [str(tmp_path / one) for one in inputs], output, True)
        (page,) = tmp_path.glob("out/*comparison*.html")
        return re.findall(r"<h3[^>]*>(.*?)</h3>", page.read_text(encoding="utf-8"))

    assert headings("in") == ["a.png", "b.png", "2019/z.png", "2019/may/a.png"]
    assert headings("in/b.png", "in/a.png", "other") == ["b.png", "a.png", "other/a.png"]
    (tmp_path / "out" / "comparison-x2.html").unlink()
    assert headings("other/a.png", output=tmp_path / "out" / "large.png") == ["a.png"]


def test_what_a_format_cannot_hold_is_told(
    model: ChosenModel, tmp_path: Path, said: list[str]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    Image.fromarray(textured_pixels(20, 24, 1)).convert("RGBA").save(folder / "solid.png")
    clear = np.dstack([textured_pixels(20, 24, 1), np.full((20, 24), 99, np.uint8)])
    Image.fromarray(clear).save(folder / "clear.png")
    Image.new("L", (9000, 2)).save(folder / "wide.png")
    done = upscale_files(model, 2, [str(folder)], tmp_path / "out", False, Wanted("jpeg"))
    assert names_of(done.written) == ["clear-x2.jpg", "solid-x2.jpg", "wide-x2.jpg"]
    assert said[0] == "note: of clear.png, its transparency is laid on white, as JPEG has none"
    assert len(said) == 2
    done = upscale_files(model, 2, [str(folder)], tmp_path / "webp", False, Wanted("webp"))
    assert names_of(done.written) == ["clear-x2.webp", "solid-x2.webp"]
    told = "skipped: wide.png would be 18000x4 pixels, and a WebP file holds at most 16,383 a side;"
    assert said[-2] == f"{told} give format=png or tiff"


def test_a_name_and_a_quality_that_do_not_fit_the_format_are_refused(
    model: ChosenModel, photos: Path, tmp_path: Path
) -> None:
    one = [str(photos / "a.jpg")]
    with pytest.raises(ImageError, match=r"r\.webp would be a PNG file; .* format=webp, or a fol"):
        upscale_files(model, 2, one, tmp_path / "r.webp", False)
    with pytest.raises(ImageError, match=r"r\.png would be a JPEG file; .* ends in \.jpg, or a f"):
        upscale_files(model, 2, one, tmp_path / "r.png", False, Wanted("same"))
    with pytest.raises(ImageError, match="quality is 80, and tiff loses nothing"):
        upscale_files(model, 2, one, tmp_path / "r.tif", False, Wanted("tiff", 80))
    done = upscale_files(model, 2, one, tmp_path / "r.jpeg", False, Wanted("jpeg"))
    assert names_of(done.written) == ["r.jpeg"]


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_done_is_left_alone_until_something_changes(
    model: ChosenModel, photos: Path, tmp_path: Path, said: list[str], form: str
) -> None:
    output = tmp_path / "out"

    def made(model: ChosenModel, wanted: Wanted, compare: bool = False) -> list[str]:
        """Which pictures are enlarged anew."""
        before = {path: path.stat().st_mtime_ns for path in output.glob("*")}
        done = upscale_files(model, 2, [str(photos)], output, compare, wanted)
        left = {path for path in before if path.stat().st_mtime_ns == before[path]}
        assert not left & set(done.written)
        assert len(done.pictures) + len(done.done_before) == 5
        return names_of(done.pictures)

    every = ["a.jpg", "b.png", "c.webp", "d.gif", "e.TIF"]
    wanted = Wanted(form, None, skip_done=True)
    assert made(model, Wanted(form)) == every
    assert made(model, wanted) == []
    assert said[-1] == "wrote nothing; 5 picture(s) were done before"
    Image.fromarray(textured_pixels(20, 24, 77)).save(photos / "b.png")
    assert made(model, wanted) == ["b.png"]
    assert said[-1].endswith("; 4 picture(s) were done before")
    one = next(output.glob("c-x2*"))
    one.write_bytes(one.read_bytes()[:40])
    assert made(model, wanted) == ["c.webp"]
    if FORMATS[form].quality is not None:
        assert made(model, Wanted(form, 30, skip_done=True)) == every
        assert made(model, wanted) == every
    # Bicubic's results are not there yet, and then they are.
    assert made(model, wanted, compare=True) == every
    assert made(model, wanted, compare=True) == []
    assert made(model, Wanted(form)) == every
    other = shipped_model(2, "shipped-9-5-5")
    assert made(other, wanted) == every
    assert made(other, wanted) == []


@pytest.mark.slow
def test_a_killed_batch_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(COUNT):
        Image.fromarray(textured_pixels(150, 200, number)).save(folder / f"{number:02}.png")
    options = ("upscale", "--model", "shipped-9-1-5", "--input", "in", "--skip-done", "true")
    output = tmp_path / "upscaled"
    process = start_command(*options, cwd=tmp_path, stdout=PIPE, stderr=PIPE)
    while len(list(output.glob("*.png"))) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    times = {path: path.stat().st_mtime_ns for path in output.glob("*.png")}
    assert 2 <= len(times) < COUNT
    finished = start_command(*options, cwd=tmp_path, stdout=PIPE, stderr=PIPE)
    told, _ = finished.communicate(timeout=100)
    assert finished.returncode == 0
    assert f"wrote {COUNT - len(times)} picture(s)" in told
    assert f"; {len(times)} picture(s) were done before" in told
    assert {path: path.stat().st_mtime_ns for path in times} == times
    for path in (results := list(output.glob("*.png"))):
        Image.open(path).load()
    assert len(results) == COUNT
