"""Which file each picture becomes: none is lost, none is passed over without a word."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srcnn_mlflow.commands.upscale import shipped_model, upscale_files
from srcnn_mlflow.commands.upscale_targets import plan_targets
from srcnn_mlflow.machine.errors import ImageError
from srcnn_mlflow.pictures.picture_files import SUFFIXES, list_files, split_joined
from tests.conftest import run_here, textured_pixels


def write_picture(path: Path, seed: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(textured_pixels(12, 14, seed)).save(path, "PNG")
    return path


def planned(inputs: list[Path], output: Path) -> dict[str, str]:
    """Each picture with its result, within the folder of the output."""
    targets = plan_targets([str(path) for path in inputs], output, 2, compare=False)
    return {source.name: str(target.relative_to(output)) for source, target in targets.pairs}


def test_sub_folders_are_taken_and_repeated(tmp_path: Path) -> None:
    for name in ("a.png", "one/b.png", "one/two/c.png"):
        write_picture(tmp_path / "in" / name)
    assert planned([tmp_path / "in"], tmp_path / "out") == {
        "a.png": "a-x2.png",
        "b.png": "one/b-x2.png",
        "c.png": "one/two/c-x2.png",
    }


ENDINGS = (".jfif", ".jpe", ".heic", ".avif", ".gif", ".jp2", ".apng", ".ppm", ".qoi", ".tif")


@pytest.mark.parametrize("suffix", sorted({*SUFFIXES, *ENDINGS}))
def test_every_ending_that_is_read_is_taken_in_capitals_too(tmp_path: Path, suffix: str) -> None:
    write_picture(tmp_path / "in" / f"a{suffix.upper()}")
    assert planned([tmp_path / "in"], tmp_path / "out") == {f"a{suffix.upper()}": "a-x2.png"}


def test_what_is_no_picture_is_named_and_counted(tmp_path: Path) -> None:
    write_picture(tmp_path / "in" / "a.png")
    for name in ("notes.txt", "sub/film.mp4", ".DS_Store", ".hidden/a.png"):
        path = tmp_path / "in" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"something")
    finished = run_here("upscale", "--model", "shipped", "--input", "in", cwd=tmp_path)
    assert finished.returncode == 0
    lines = finished.stdout.splitlines()
    assert lines[:2] == [
        "left out: notes.txt is no picture, by its name",
        "left out: sub/film.mp4 is no picture, by its name",
    ]
    assert lines[-1].startswith(f"wrote 1 picture(s) to {tmp_path / 'upscaled'} with ")
    assert lines[-1].endswith("; left out 2 file(s), each named above")


def test_several_inputs_are_taken_one_by_one_and_joined(tmp_path: Path) -> None:
    pictures = [write_picture(tmp_path / name) for name in ("a.png", "b.png", "c+d.png")]
    folder = write_picture(tmp_path / "photos" / "e.png").parent
    expected = {
        **{"a.png": "a-x2.png", "b.png": "b-x2.png", "c+d.png": "c+d-x2.png"},
        "e.png": "photos/e-x2.png",
    }
    assert planned([*pictures, folder], tmp_path / "out") == expected
    joined = Path("+".join(map(str, [*pictures, folder])))
    assert planned([joined], tmp_path / "out") == expected
    options = ("--input", "a.png", "--input", "b.png+c+d.png", "--input", "photos")
    finished = run_here("upscale", "--model", "shipped", *options, cwd=tmp_path)
    assert finished.returncode == 0, finished.stdout
    assert "wrote 4 picture(s)" in finished.stdout


def test_a_name_that_is_not_there_or_empty_is_refused(tmp_path: Path) -> None:
    picture = write_picture(tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"input .*/missing\.png does not exist"):
        plan_targets(
            [str(picture), str(tmp_path / "missing.png")], tmp_path / "out", 2, compare=False
        )
    with pytest.raises(ImageError, match="has an empty part"):
        plan_targets([f"{picture}+"], tmp_path / "out", 2, compare=False)


def test_two_pictures_that_would_become_one_file_are_refused(tmp_path: Path) -> None:
    pictures = [write_picture(tmp_path / folder / "a.png") for folder in ("x", "y")]
    with pytest.raises(
        ImageError, match=r"x/a\.png and .*y/a\.png would both become .*a.png-x2.png"
    ):
        plan_targets([str(path) for path in pictures], tmp_path / "out", 2, compare=False)
    assert not (tmp_path / "out").exists()


def test_names_that_some_file_systems_take_for_one_keep_their_endings(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for name in ("Photo.png", "photo.jpg", "caf\u00e9.png", "cafe\u0301.jpg"):
        write_picture(folder / name)
    names = planned([folder], tmp_path / "out").values()
    assert sorted(names) == [
        "Photo.png-x2.png",
        "cafe\u0301.jpg-x2.png",
        "caf\u00e9.png-x2.png",
        "photo.jpg-x2.png",
    ]


def test_results_inside_the_folder_are_not_taken_the_next_time(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write_picture(folder / "a.png")
    write_picture(folder / "sub" / "b.png")
    model = shipped_model(2)
    for output in (folder / "results", folder):
        for _ in range(2):
            done = upscale_files(model, 2, [str(folder)], output, compare=True)
            assert [path.name for path in done.pictures] == ["a.png", "b.png"]
        if output != folder:
            left_out = plan_targets([str(folder)], output, 2, compare=True).left_out
            assert left_out == [f"{output} lies in {folder}, and is where results go"]
            for path in sorted(output.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
            output.rmdir()


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    write_picture(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "sub").mkdir()
    (tmp_path / "in" / "sub" / "up").symlink_to("..")
    found = list_files(tmp_path / "in").pictures
    assert len({path.resolve() for path in found}) == 1
    assert len(found) <= 2


@pytest.mark.parametrize(
    ("text", "ones", "names"),
    [
        ("a", set(), ["a"]),
        ("a+b", set(), ["a", "b"]),
        ("a+b", {"a+b"}, ["a+b"]),
        ("a+b+c", {"b+c"}, ["a", "b+c"]),
        ("a + b+c ", {"b+c"}, ["a", "b+c"]),
        ("a+", set(), ["a", ""]),
        ("a+", {"a+"}, ["a+"]),
        ("a+b+c", {"a+b", "b+c"}, ["a+b", "c"]),
    ],
)
def test_joined_names(text: str, ones: set[str], names: list[str]) -> None:
    assert split_joined(text, ones.__contains__) == names


LIMITED = """
import resource, sys
import numpy, onnxruntime, imagecodecs
from srcnn_mlflow.cli import main
now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + int(sys.argv.pop(1)),) * 2)
main()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are set as Linux has them")
@pytest.mark.parametrize("command", ["upscale", "prepare"])
def test_a_picture_that_does_not_fit_the_memory_is_left_out_like_a_broken_one(
    tmp_path: Path, command: str
) -> None:
    """A folder with one picture of 120 megapixels, where there is room for small ones."""
    for name in ("a.png", "z.png", "b.png", "c.png"):
        write_picture(tmp_path / "in" / "train" / name, seed=ord(name[0]))
        write_picture(tmp_path / "in" / "valid" / name, seed=ord(name[0]) + 100)
    Image.fromarray(np.zeros((10_000, 12_000), np.uint8)).save(tmp_path / "in/train/large.png")
    if command == "upscale":  # decoded it fits, and enlarged it does not
        Image.fromarray(np.zeros((5000, 6000), np.uint8)).save(tmp_path / "in/train/middle.png")
    options = {
        "upscale": ("--model", "shipped", "--input", "in"),
        "prepare": ("--dataset", "in", "--patch-size", "12"),
    }[command]
    finished = subprocess.run(
        [sys.executable, "-c", LIMITED, str(300_000_000), command, *options],
        cwd=tmp_path,
        # The limit counts what threads reserve for themselves and never use.
        env={**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "Traceback" not in finished.stderr
    assert "large.png does not fit the memory of this machine" in finished.stdout
    if command == "upscale":
        assert "wrote 8 picture(s)" in finished.stdout
        assert "middle.png does not fit the memory of this machine" in finished.stdout
        assert finished.stdout.splitlines()[-1].endswith("left out 2 file(s), each named above")
