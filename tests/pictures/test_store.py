import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from srcnn_mlflow.machine.errors import DatasetError, StoreError, WriteError
from srcnn_mlflow.pictures import store_file
from srcnn_mlflow.pictures.datasets import Dataset, load_dataset
from srcnn_mlflow.pictures.imaging import (
    Plane,
    downscale,
    mod_crop,
    to_eight_bit,
    upscale,
    upscale_to_eight_bit,
)
from srcnn_mlflow.pictures.patch_grid import PatchGrid
from srcnn_mlflow.pictures.photos import Photo, load_luma, load_pixels
from srcnn_mlflow.pictures.store import open_store
from srcnn_mlflow.pictures.store_file import StoreSettings
from srcnn_mlflow.pictures.store_plan import SplitPlan, check_room, estimate_effort, patch_corners
from srcnn_mlflow.pictures.store_writer import prepare
from tests.conftest import COMMANDS, ROOT, largest_file, textured_pixels
from tests.nursery import Forked


@pytest.fixture
def dataset(photo_folder: Path) -> Dataset:
    return load_dataset(str(photo_folder))


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 20), st.integers(1, 9))
def test_corners_are_those_of_the_classical_loops(
    height: int, width: int, size: int, stride: int
) -> None:
    expected = [
        (top, left)
        for top in range(0, height - size + 1, stride)
        for left in range(0, width - size + 1, stride)
    ]
    assert patch_corners(height, width, size, stride).tolist() == [list(one) for one in expected]


@settings(max_examples=15, deadline=None)
@given(
    sizes=st.lists(st.tuples(st.integers(20, 50), st.integers(20, 50)), min_size=1, max_size=3),
    scale=st.sampled_from([2, 3, 4]),
    patch_size=st.integers(3, 20),
    stride=st.integers(2, 15),
    seed=st.integers(0, 1000),
)
def test_every_patch_is_the_one_cut_from_the_picture(
    tmp_path_factory: pytest.TempPathFactory,
    sizes: list[tuple[int, int]],
    scale: int,
    patch_size: int,
    stride: int,
    seed: int,
) -> None:
    folder = tmp_path_factory.mktemp("photos")
    for split, shift in (("train", 0), ("valid", 100)):
        (folder / split).mkdir()
        for number, (height, width) in enumerate(sizes):
            pixels = textured_pixels(height, width, seed + shift + number)
            Image.fromarray(pixels).save(folder / split / f"{number}.png")
    dataset = load_dataset(str(folder))
    if min(min(h - h % scale, w - w % scale) for h, w in sizes) < patch_size:
        return
    store = open_store(*prepare(dataset, StoreSettings(scale, patch_size, stride), folder).files)
    expected = []
    for photo in dataset.photos("train"):
        hr = mod_crop(load_luma(photo), scale)
        lr = to_eight_bit(upscale(downscale(hr, scale), scale))
        for top in range(0, hr.shape[0] - patch_size + 1, stride):
            for left in range(0, hr.shape[1] - patch_size + 1, stride):
                window = slice(top, top + patch_size), slice(left, left + patch_size)
                expected.append((lr[window], hr[window]))
    assert len(store.patches) == len(expected)
    for index, pair in enumerate(expected):
        assert np.array_equal(store.patch(index), pair)


def test_validation_planes_are_whole(dataset: Dataset, tmp_path: Path) -> None:
    store = open_store(*prepare(dataset, StoreSettings(3, 33, 14), tmp_path).files)
    assert len(store.valid) == 2
    original = mod_crop(load_luma(dataset.photos("valid")[1]), 3)
    assert np.array_equal(store.valid.pair(1)[1], original)


def test_materialized_patches_are_read_without_this_package(
    dataset: Dataset, tmp_path: Path
) -> None:
    plain = open_store(*prepare(dataset, StoreSettings(2, 33, 14), tmp_path).files)
    path = prepare(dataset, StoreSettings(2, 33, 14, materialize=True), tmp_path).files[0]
    with h5py.File(path) as file:
        lr, hr = file["lr"][:], file["hr"][:]
    assert lr.dtype == hr.dtype == np.float32
    assert lr.shape == hr.shape == (len(plain.patches), 33, 33)
    for index in range(len(lr)):
        assert np.array_equal(plain.patch(index), (lr[index], hr[index]))
    with pytest.raises(StoreError, match="materialized"):
        open_store(path)


def test_the_same_request_finds_the_file_and_another_makes_one(
    dataset: Dataset, tmp_path: Path, said: list[str]
) -> None:
    first = prepare(dataset, StoreSettings(2, 33, 14), tmp_path / "out").files[0]
    written = first.stat().st_mtime_ns
    assert prepare(dataset, StoreSettings(2, 33, 14), tmp_path / "out").files[0] == first
    assert first.stat().st_mtime_ns == written
    assert said[-1] == f"already prepared: {first}"
    for other in (StoreSettings(3, 33, 14), StoreSettings(2, 21, 14), StoreSettings(2, 33, 10)):
        assert prepare(dataset, other, tmp_path / "out").files[0] != first
    fewer = dataset.with_train_images(2)
    assert prepare(fewer, StoreSettings(2, 33, 14), tmp_path / "out").files[0] != first
    assert not list((tmp_path / "out").glob("*.partial"))


def test_the_file_says_where_it_comes_from(dataset: Dataset, tmp_path: Path) -> None:
    with h5py.File(prepare(dataset, StoreSettings(2, 33, 14), tmp_path).files[0]) as file:
        attributes = dict(file.attrs)
    assert attributes["scale"] == 2
    assert attributes["patch_size"] == 33
    assert attributes["stride"] == 14
    assert len(attributes["train_digest"]) == 32
    assert attributes["h5py"] == h5py.__version__


def test_the_file_is_the_same_byte_for_byte(dataset: Dataset, tmp_path: Path) -> None:
    files = [
        prepare(dataset, StoreSettings(2, 33, 14), tmp_path / name).files[0] for name in ("a", "b")
    ]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_the_file_is_the_same_whatever_prepares_it(photo_folder: Path, tmp_path: Path) -> None:
    """Cores, threads, working folder, and the order in which a folder lists its pictures."""
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:int(sys.argv[1])])\n"
        "from srcnn_mlflow.pictures.datasets import load_dataset\n"
        "from srcnn_mlflow.pictures.store_file import StoreSettings\n"
        "from srcnn_mlflow.pictures.store_writer import prepare\n"
        "dataset = load_dataset('photos')\n"
        "for materialize in (False, True):\n"
        "    prepare(dataset, StoreSettings(2, 33, 14, materialize), Path('out'))\n"
    )
    pictures = sorted(photo_folder.glob("*/*.png"))
    written = []
    for threads, order in ((1, pictures), (2, pictures[::-1])):
        folder = tmp_path / f"work{threads}"
        for picture in order:
            target = folder / picture.relative_to(tmp_path)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(picture, target)
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(threads)}
        command = [sys.executable, "-c", code, str(threads)]
        subprocess.run(command, cwd=folder, env=environment, check=True)
        written.append({path.name: path.read_bytes() for path in (folder / "out").glob("*.h5")})
    assert len(written[0]) == 2
    assert written[0] == written[1]


def test_the_checksum_is_of_every_plane_and_of_where_patches_lie(
    dataset: Dataset, tmp_path: Path
) -> None:
    store, again = (
        open_store(*prepare(dataset, StoreSettings(2, 33, 14), tmp_path / name).files)
        for name in ("a", "b")
    )
    assert re.fullmatch("[0-9a-f]{8}", store.checksum())
    assert again.checksum() == store.checksum()
    shifted = PatchGrid(store.train.shapes, 33, 13)
    others = [replace(store, patches=shifted)]
    for name in ("lr", "hr", "shapes", "offsets"):
        train, valid = (
            replace(planes, **{name: one_more(getattr(planes, name))})
            for planes in (store.train, store.valid)
        )
        others += [replace(store, train=train), replace(store, valid=valid)]
    assert len({one.checksum() for one in (store, *others)}) == 1 + 9


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="Linux tells what is resident")
def test_planes_do_not_stay_in_memory_for_their_checksum(dataset: Dataset, tmp_path: Path) -> None:
    store = open_store(*prepare(dataset, StoreSettings(2, 33, 14), tmp_path).files)
    count = 1 << 25
    large = np.memmap(tmp_path / "large", np.uint8, "w+", shape=(count,))
    large[:] = np.arange(count) % 251
    large.flush()
    mapped = np.memmap(tmp_path / "large", np.uint8, "c", shape=(count,))
    with_large = replace(store, train=replace(store.train, lr=(mapped,)))
    before = resident(tmp_path / "large")
    checksum = with_large.checksum()
    assert resident(tmp_path / "large") - before < count / 4
    copied = replace(store, train=replace(store.train, lr=(np.array(mapped),)))
    assert checksum == copied.checksum()


def resident(path: Path) -> int:
    """Bytes of a file that this process has mapped and in memory."""
    kilobytes, within = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if re.match("[0-9a-f]+-[0-9a-f]+ ", line):
            within = line.endswith(str(path))
        elif within and line.startswith("Rss:"):
            kilobytes += int(line.split()[1])
    return kilobytes * 1024


def one_more(arrays: Any) -> Any:
    """A copy, of which the last number is another."""
    if isinstance(arrays, tuple):
        return (*arrays[:-1], one_more(arrays[-1]))
    copy = np.array(arrays)
    copy.flat[-1] ^= 1
    return copy


def damage(whole: bytes) -> dict[str, bytes]:
    """A file's content, damaged in every way that is not a flipped bit."""
    return {
        "cut in half": whole[: len(whole) // 2],
        "one byte short": whole[:-1],
        "one byte long": whole + b"\0",
        "without its first block": whole[512:],
        "only its first block": whole[:512],
        "empty": b"",
        "zeros": bytes(len(whole)),
        "text": b"no HDF5 file\n" * 100,
    }


@pytest.mark.parametrize("materialize", [False, True])
def test_a_damaged_file_is_refused_and_made_again(
    dataset: Dataset, tmp_path: Path, materialize: bool, said: list[str]
) -> None:
    wanted = StoreSettings(2, 33, 14, materialize)
    path = prepare(dataset, wanted, tmp_path).files[0]
    whole = path.read_bytes()
    for content in damage(whole).values():
        path.write_bytes(content)
        with pytest.raises(StoreError, match=r"is damaged .*delete it and run prepare again"):
            open_store(path)
        said.clear()
        assert prepare(dataset, wanted, tmp_path).files[0] == path
        assert said[0] == f"{path} is damaged, so it is made again"
        assert path.read_bytes() == whole


@pytest.mark.parametrize("materialize", [False, True])
def test_any_flipped_bit_is_noticed(dataset: Dataset, tmp_path: Path, materialize: bool) -> None:
    wanted = StoreSettings(2, 33, 14, materialize)
    path = prepare(dataset, wanted, tmp_path).files[0]
    whole = path.read_bytes()
    generator = np.random.default_rng(0)
    # The first block, HDF5's own structures and pixels alike.
    places = {*range(0, 512, 16), *range(512, 4096, 64), len(whole) - 1}
    places.update(generator.integers(0, len(whole), 150).tolist())
    with path.open("r+b", buffering=0) as file:
        for place in places:
            file.seek(place)
            file.write(bytes([whole[place] ^ (1 << int(generator.integers(8)))]))
            with pytest.raises(StoreError, match=r"is not as it was|does not begin"):
                open_store(path)
            file.seek(place)
            file.write(whole[place : place + 1])
    assert path.read_bytes() == whole
    assert prepare(dataset, wanted, tmp_path).files[0] == path


def test_a_changed_pixel_is_noticed(dataset: Dataset, tmp_path: Path) -> None:
    path = prepare(dataset, StoreSettings(2, 33, 14), tmp_path).files[0]
    with h5py.File(path, "r+") as file:
        file["train/hr"][100] ^= 1
    with pytest.raises(StoreError, match="it is not as it was written"):
        open_store(path)


def test_what_was_just_checked_is_not_read_again_unless_it_has_changed(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    whole = store_file.seal

    def seal(path: Path) -> bytes:
        read.append(path)
        return whole(path)

    monkeypatch.setattr(store_file, "seal", seal)
    made = prepare(dataset, StoreSettings(2, 33, 14), tmp_path)
    found = prepare(dataset, StoreSettings(2, 33, 14), tmp_path)
    path = found.files[0]
    assert read == [path]
    assert made.checked == found.checked
    open_store(path, checked=made.checked)
    assert read == [path]
    with path.open("r+b") as file:
        file.seek(3000)
        file.write(b"?")
    with pytest.raises(StoreError, match="it is not as it was written"):
        open_store(path, checked=made.checked)


def test_a_change_of_the_open_file_is_noticed(dataset: Dataset, tmp_path: Path) -> None:
    path = prepare(dataset, StoreSettings(2, 33, 14), tmp_path).files[0]
    store = open_store(path)
    store.check_unchanged()
    with path.open("r+b") as file:
        file.seek(3000)
        file.write(b"other pixels")
    os.utime(path, ns=(0, store.identities[0].modified + 1))  # clocks of file systems may be coarse
    with pytest.raises(StoreError, match="has changed since it was opened: something else"):
        store.check_unchanged()


def test_an_open_file_that_is_made_again_stays_as_it_was(dataset: Dataset, tmp_path: Path) -> None:
    path = prepare(dataset, StoreSettings(2, 33, 14), tmp_path).files[0]
    store = open_store(path)
    before = store.train.hr[0].copy()
    path.unlink()
    store.check_unchanged()
    prepare(dataset, StoreSettings(2, 33, 14), tmp_path)
    store.check_unchanged()
    assert np.array_equal(store.train.hr[0], before)


@pytest.mark.parametrize("materialize", [False, True])
def test_a_failed_write_leaves_nothing_and_can_be_tried_again(
    dataset: Dataset, tmp_path: Path, materialize: bool
) -> None:
    wanted = StoreSettings(2, 33, 14, materialize)
    whole = prepare(dataset, wanted, tmp_path / "whole").files[0].read_bytes()
    output = tmp_path / "out"
    threads = threading.active_count()
    for size in (1, 700, 3000, len(whole) // 3, len(whole) - 1):
        with (
            largest_file(size),
            pytest.raises(WriteError, match=r"cannot write .*\.h5: no file may be so large here"),
        ):
            prepare(dataset, wanted, output)
        assert {one.suffix for one in output.iterdir()} == {".lock"}
        # None is left to end where Python happens to look for garbage.
        assert threading.active_count() == threads
    assert prepare(dataset, wanted, output).files[0].read_bytes() == whole


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no prepared file"):
        open_store(tmp_path / "missing.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["lr"] = np.zeros(3)
    with pytest.raises(StoreError, match=r"is damaged \(it does not begin as a prepared file"):
        open_store(tmp_path / "other.h5")


def test_patches_larger_than_every_picture_are_refused(dataset: Dataset, tmp_path: Path) -> None:
    told = "none of the 4 training pictures .* holds a patch of 500x500 pixels, the largest being "
    with pytest.raises(StoreError, match=told + "82x80 when cropped to multiples of the scale; "):
        prepare(dataset, StoreSettings(2, 500, 14), tmp_path)


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ([(33, 90)], "holds a patch of 33x33 pixels, the largest being 32x90 when cropped"),
        ([(400, 9), (20, 21)], "holds a patch of 33x33 pixels, the largest being 20x20 when"),
        (
            [(1, 1)],
            "none of the 1 training pictures .* holds a patch of 33x33 pixels; ",
        ),
    ],
)
def test_why_there_is_no_patch_is_told(
    tmp_path: Path, sizes: list[tuple[int, int]], told: str
) -> None:
    for split, shapes in (("train", sizes), ("valid", [(60, 60)])):
        (tmp_path / split).mkdir()
        for number, (width, height) in enumerate(shapes):
            pixels = textured_pixels(height, width, number)
            Image.fromarray(pixels).save(tmp_path / split / f"{number}.png")
    with pytest.raises(StoreError, match=told):
        prepare(load_dataset(str(tmp_path)), StoreSettings(2, 33, 14), tmp_path)


@pytest.mark.parametrize("materialize", [False, True])
def test_a_byte_too_few_on_the_disk_is_one_too_few(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, materialize: bool
) -> None:
    settings = StoreSettings(2, 33, 14, materialize)
    plan = {name: SplitPlan(dataset.photos(name), settings) for name in ("train", "valid")}
    needed = check_room(plan, settings, "photos", tmp_path)
    # What is needed is what is written, but for HDF5's own few kilobytes.
    written = prepare(dataset, settings, tmp_path).files[0].stat().st_size
    assert needed < written < needed + 20_000
    free = "srcnn_mlflow.pictures.store_plan.free_bytes"
    monkeypatch.setattr(free, lambda _: needed)
    assert check_room(plan, settings, "photos", tmp_path) == needed
    monkeypatch.setattr(free, lambda _: needed - 1)
    told = r"preparing data set photos needs .* under .*, and .* are free; make room, or use fewer"
    with pytest.raises(StoreError, match=told):
        check_room(plan, settings, "photos", tmp_path)


def test_the_effort_is_that_of_one_picture_times_all_pixels(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = {
        name: SplitPlan(dataset.photos(name), StoreSettings(2, 33, 14))
        for name in ("train", "valid")
    }
    first = plan["train"].photos[0]
    clock = [50.0]

    def read(photo: Photo) -> Plane:
        clock[0] += 3.0 if photo is first else 1000.0
        return load_luma(photo)

    where = "srcnn_mlflow.pictures.store_plan"
    monkeypatch.setattr(f"{where}.time.perf_counter", lambda: clock[0])
    monkeypatch.setattr(f"{where}.available_cores", lambda: 2)
    seconds, memory = estimate_effort(plan, 2, read)
    sizes = [height * width for split in plan.values() for height, width in split.shapes.tolist()]
    assert seconds == pytest.approx(3.0 * sum(sizes) / (first.width * first.height) / 2)
    # 24 bytes a pixel, of two pictures for each core.
    assert memory == 24 * max(sizes) * 2 * 2


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_picture_exactly_as_small_as_the_scale_is_kept(
    tmp_path: Path, scale: int, said: list[str]
) -> None:
    sides = {
        "train": [(60, 60), (scale, scale), (scale - 1, 50), (50, scale - 1)],
        "valid": [(scale, scale), (scale, 50), (scale - 1, 50)],
    }
    for split, sizes in sides.items():
        (tmp_path / split).mkdir()
        for number, (width, height) in enumerate(sizes):
            pixels = textured_pixels(height, width, number + 10 * (split == "valid"))
            Image.fromarray(pixels).save(tmp_path / split / f"{split}{number}.png")
    dataset = load_dataset(str(tmp_path))
    store = open_store(*prepare(dataset, StoreSettings(scale, 33, 14), tmp_path).files)
    assert store.train.shapes.tolist() == [
        [60, 60],
        [scale, scale],
    ]
    assert store.valid.shapes.tolist() == [[scale, scale], [50 - 50 % scale, scale]]
    left_out = [line.split(":")[1].strip() for line in said if line.startswith("left out: valid")]
    assert left_out == ["valid2.png"]


def test_a_picture_that_cropping_leaves_without_a_patch_is_named(
    tmp_path: Path, said: list[str]
) -> None:
    for split, sides in (("train", (60, 33, 34, 20)), ("valid", (50,))):
        (tmp_path / split).mkdir()
        for side in sides:
            pixels = textured_pixels(side, side, side)
            Image.fromarray(pixels).save(tmp_path / split / f"{side}.png")
    store = open_store(
        prepare(load_dataset(str(tmp_path)), StoreSettings(2, 33, 14), tmp_path).files[0]
    )
    assert set(store.patches.pictures(np.arange(len(store.patches))).tolist()) == {2, 3}
    assert [line for line in said if line.startswith("left out")] == [
        "left out: 20.png: 20x20 is smaller than a patch, 33",
        "left out: 33.png: 33x33, cropped to multiples of 2, is smaller than a patch, 33",
    ]


def test_validation_pictures_smaller_than_the_scale_are_told_with_it(tmp_path: Path) -> None:
    for split, side in (("train", 60), ("valid", 3)):
        (tmp_path / split).mkdir()
        Image.fromarray(textured_pixels(side, side, side)).save(tmp_path / split / "a.png")
    told = "all 1 validation pictures .* have a side shorter than the scale, 4; give larger ones"
    with pytest.raises(StoreError, match=told):
        prepare(load_dataset(str(tmp_path)), StoreSettings(4, 33, 14), tmp_path)


def test_a_split_without_pictures_is_refused(photo_folder: Path, tmp_path: Path) -> None:
    for path in (photo_folder / "valid").iterdir():
        path.unlink()
    with pytest.raises(DatasetError, match="no picture in its valid split; add some, or choose"):
        prepare(load_dataset(str(photo_folder)), StoreSettings(2, 33, 14), tmp_path)


def start_preparing(folder: Path, output: Path, delay: float = 0.0) -> Forked:
    """Prepare a folder in a process of its own, which says `read` when it reads a picture."""
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from srcnn_mlflow.pictures.datasets import load_dataset\n"
        "from srcnn_mlflow.pictures.photos import load_luma\n"
        "from srcnn_mlflow.pictures.store_file import StoreSettings\n"
        "from srcnn_mlflow.pictures.store_writer import prepare\n"
        "def read(photo):\n"
        f"    time.sleep({delay})\n"
        "    print('read\\n', end='', flush=True)\n"
        "    return load_luma(photo)\n"
        "settings = StoreSettings(2, 33, 14)\n"
        "print('ready', flush=True)\n"
        "prepare(load_dataset(sys.argv[1]), settings, Path(sys.argv[2]), read)\n"
    )
    command = (sys.executable, "-c", code, str(folder), str(output))
    return COMMANDS.start(command, cwd=output.parent, stdout=subprocess.PIPE)


def wait_for_reading(process: Forked, times: int) -> None:
    """Return when a preparation has begun to read a picture for the so-manieth time."""
    assert process.stdout is not None
    while times > 0:
        line = process.stdout.readline()
        assert line, "the preparation ended before it had read so many pictures"
        times -= line == "read\n"


@pytest.mark.slow
def test_a_preparation_killed_at_any_moment_is_made_whole_by_the_next(
    dataset: Dataset, photo_folder: Path, tmp_path: Path
) -> None:
    settings = StoreSettings(2, 33, 14)
    expected = prepare(dataset, settings, tmp_path / "whole").files[0].read_bytes()
    pauses = np.random.default_rng(0).uniform(0.0, 0.03, 21)
    left_partial = 0
    for number, pause in enumerate(pauses):
        output = tmp_path / f"killed{number}"
        process = start_preparing(photo_folder, output, delay=0.03)
        # One picture is read for the estimate, and then all six.
        wait_for_reading(process, number % 7 + 1)
        time.sleep(pause)
        process.kill()
        process.communicate()
        assert {path.suffix for path in output.glob("*")} <= {".lock", ".partial", ".h5"}
        for finished in output.glob("*.h5"):
            assert finished.read_bytes() == expected
        left_partial += len(list(output.glob("*.partial")))
        path = prepare(dataset, settings, output).files[0]
        assert path.read_bytes() == expected
        assert {one.suffix for one in output.glob("*")} == {".lock", ".h5"}
    assert left_partial > 3  # else the kills came at no interesting moment


def test_a_second_process_waits_for_the_first(
    dataset: Dataset, photo_folder: Path, tmp_path: Path, said: list[str]
) -> None:
    output = tmp_path / "out"
    first = start_preparing(photo_folder, output, delay=0.2)
    while not list(output.glob("*.partial")):
        assert first.poll() is None
        time.sleep(0.01)
    path = prepare(dataset, StoreSettings(2, 33, 14), output).files[0]
    assert said == [
        f"waiting for another process that prepares {path}",
        f"already prepared: {path}",
    ]
    first.communicate()
    assert first.returncode == 0


def test_an_interrupted_preparation_leaves_nothing(dataset: Dataset, tmp_path: Path) -> None:
    def interrupt(photo: Photo) -> Plane:
        if photo.name == "train2.png":
            raise KeyboardInterrupt
        return load_luma(photo)

    with pytest.raises(KeyboardInterrupt):
        prepare(dataset, StoreSettings(2, 33, 14), tmp_path / "out", interrupt)
    assert {one.suffix for one in (tmp_path / "out").iterdir()} == {".lock"}


@pytest.fixture
def mixed(tmp_path: Path) -> Dataset:
    """Colour photographs with a grey one among those of each split."""
    folder = tmp_path / "mixed"
    for split, first in (("train", 0), ("valid", 5)):
        (folder / split).mkdir(parents=True)
        for number in range(first, first + 2):
            pixels = textured_pixels(70 + number, 61, number)
            Image.fromarray(pixels).save(folder / split / f"colour{number}.png")
        grey = textured_pixels(50, 58, 9 + first)[..., 0]
        Image.fromarray(grey).save(folder / split / "grey.png")
    return load_dataset(str(folder))


@pytest.mark.parametrize("scale", [2, 3])
def test_red_green_and_blue_lie_one_behind_another(
    mixed: Dataset, tmp_path: Path, scale: int
) -> None:
    store = open_store(
        *prepare(mixed, StoreSettings(scale, 25, 14, planes=3), tmp_path / "a").files
    )
    assert store.settings.planes == store.train.count == store.valid.count == 3
    for split, planes in (("train", store.train), ("valid", store.valid)):
        photos = mixed.photos(split)
        assert planes.grey is not None
        assert planes.grey.tolist() == [photo.name == "grey.png" for photo in photos]
        for number, photo in enumerate(photos):
            original = mod_crop(load_pixels(photo), scale)
            lr, hr = planes.pair(number)
            wanted = np.stack([original] * 3) if original.ndim == 2 else original.transpose(2, 0, 1)
            assert np.array_equal(hr, wanted)
            for low, plane in zip(lr, wanted, strict=True):
                assert np.array_equal(low, upscale_to_eight_bit(downscale(plane, scale), scale))
            assert np.array_equal(planes.original(number), original)
    for number in (0, len(store.patches) - 1):
        picture, top, left = store.patches.where(number)
        lr, hr = store.patch(number)
        assert lr.shape == hr.shape == (3, 25, 25)
        whole = store.train.pair(picture)[1]
        assert np.array_equal(hr, whole[:, top : top + 25, left : left + 25])


def test_files_of_luma_and_of_colours_stand_side_by_side(mixed: Dataset, tmp_path: Path) -> None:
    luma, colours = (
        prepare(mixed, StoreSettings(2, 25, 14, planes=planes), tmp_path / "out").files[0]
        for planes in (1, 3)
    )
    assert "-rgb-" in colours.name
    assert "rgb" not in luma.name
    assert colours.stat().st_size <= 3.2 * luma.stat().st_size
    with h5py.File(luma) as file:
        # As such files have always been, to the byte.
        assert "planes" not in file.attrs
        assert set(file["train"]) == {"lr", "hr", "shape", "offset", "name", "patches"}
    luma_store, colour_store = open_store(luma), open_store(colours)
    assert luma_store.train.count == 1
    assert np.array_equal(luma_store.patches.firsts, colour_store.patches.firsts)
    assert luma_store.checksum() != colour_store.checksum()


def test_a_file_of_luma_is_called_as_it_was_before_there_were_colours(
    dataset: Dataset, tmp_path: Path
) -> None:
    path = prepare(dataset, StoreSettings(2, 25, 14), tmp_path).files[0]
    digests = {split: dataset.split(split).digest for split in ("train", "valid")}
    identity = {"format": 2, "scale": 2, "patch_size": 25, "stride": 14, "materialize": False}
    text = json.dumps({**identity, **digests}, sort_keys=True)
    assert path.name == f"x2-25-14-{hashlib.sha256(text.encode()).hexdigest()[:12]}.h5"


def test_materialized_patches_of_colours_are_those_of_the_planes(
    mixed: Dataset, tmp_path: Path
) -> None:
    plain = open_store(*prepare(mixed, StoreSettings(2, 25, 14, planes=3), tmp_path).files)
    path = prepare(mixed, StoreSettings(2, 25, 14, materialize=True, planes=3), tmp_path).files[0]
    with h5py.File(path) as file:
        assert file["lr"].shape == (len(plain.patches), 3, 25, 25)
        for number in range(len(plain.patches)):
            for name, patch in zip(("lr", "hr"), plain.patch(number), strict=True):
                assert np.array_equal(file[name][number], patch)
