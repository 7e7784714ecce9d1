"""A large set in several prepared files: the same set, whose parts are made and lost alone."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from srcnn_mlflow.machine.errors import StoreError
from srcnn_mlflow.pictures import shards
from srcnn_mlflow.pictures.datasets import Dataset, Split, load_dataset
from srcnn_mlflow.pictures.photos import Photo
from srcnn_mlflow.pictures.plane_reader import PlaneReader
from srcnn_mlflow.pictures.store import open_store
from srcnn_mlflow.pictures.store_file import StoreSettings
from srcnn_mlflow.pictures.store_writer import prepare
from tests.conftest import ROOT, textured_pixels

SETTINGS = StoreSettings(2, 21, 9)
COLOURS = StoreSettings(2, 21, 9, planes=3)
# A picture has about 3,000 pixels, so about four go into a file.
SMALL = 25_000


def write(folder: Path, number: int) -> None:
    pixels = textured_pixels(50 + number % 7, 60 - number % 5, number)
    Image.fromarray(pixels).save(folder / f"{number:03}.png")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for split, numbers in (("train", range(30)), ("valid", range(100, 106))):
        (tmp_path / "many" / split).mkdir(parents=True)
        for number in numbers:
            write(tmp_path / "many" / split, number)
    return tmp_path / "many"


@pytest.fixture
def dataset(folder: Path) -> Dataset:
    return load_dataset(str(folder))


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_BYTES", SMALL)


@pytest.mark.parametrize("chosen", [SETTINGS, COLOURS])
def test_it_is_the_set_that_one_file_holds(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: StoreSettings
) -> None:
    whole = open_store(*prepare(dataset, chosen, tmp_path / "whole").files)
    monkeypatch.setattr(shards, "SHARD_BYTES", SMALL * chosen.planes)
    prepared = prepare(dataset, chosen, tmp_path / "parts")
    store = open_store(*prepared.files)
    assert len(prepared.files) > 7
    assert all(path.stat().st_size < SMALL * chosen.planes + 40_000 for path in prepared.files)
    assert store.checksum() == whole.checksum()
    assert len(store.patches) == len(whole.patches)
    for one, other in ((store.train, whole.train), (store.valid, whole.valid)):
        assert len(one) == len(other)
        for picture in range(len(one)):
            assert np.array_equal(one.original(picture), other.original(picture))
            assert np.array_equal(one.pair(picture), other.pair(picture))
    for number in range(0, len(store.patches), 7):
        assert np.array_equal(store.patch(number), whole.patch(number))


def test_a_set_that_was_prepared_into_one_file_is_read_from_it(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    whole = prepare(dataset, SETTINGS, tmp_path / "out")
    monkeypatch.setattr(shards, "SHARD_BYTES", SMALL)
    assert prepare(dataset, SETTINGS, tmp_path / "out").files == whole.files
    assert said[-1] == f"already prepared: {whole.files[0]}"


@pytest.mark.usefixtures("in_parts")
def test_only_what_is_lost_or_damaged_is_made_again(
    dataset: Dataset, tmp_path: Path, said: list[str]
) -> None:
    files = prepare(dataset, SETTINGS, tmp_path / "out").files
    content = [path.read_bytes() for path in files]
    written = [path.stat().st_mtime_ns for path in files]
    files[1].unlink()
    files[3].write_bytes(content[3][:-1])
    files[4].write_bytes(bytes([*content[4][:-5], content[4][-5] ^ 8, *content[4][-4:]]))
    for number in (1, 3, 4):
        with pytest.raises(StoreError, match=files[number].name):
            open_store(*files[: number + 1] if number == 1 else files[number : number + 1])
    said.clear()
    assert prepare(dataset, SETTINGS, tmp_path / "out").files == files
    assert f"{files[3]} is damaged, so it is made again" in said
    assert f"preparing 3 of {len(files)} files in {tmp_path / 'out'}: " in "\n".join(said)
    assert [path.read_bytes() for path in files] == content
    again = [path.stat().st_mtime_ns != then for path, then in zip(files, written, strict=True)]
    assert [number for number, made in enumerate(again) if made] == [1, 3, 4]


@pytest.mark.usefixtures("in_parts")
def test_pictures_that_are_added_leave_other_files_as_they_are(
    folder: Path, dataset: Dataset, tmp_path: Path
) -> None:
    before = prepare(dataset, SETTINGS, tmp_path / "out").files
    for number in (30, 31, 32):
        write(folder / "train", number)
    after = prepare(load_dataset(str(folder)), SETTINGS, tmp_path / "out").files
    assert len(set(before) - set(after)) <= 1


@given(place=st.integers(0, 4000), seed=st.integers(0, 2**32))
@settings(max_examples=8, deadline=None)
def test_a_picture_between_others_changes_the_file_that_it_falls_into(
    place: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    photos = [fake(random) for _ in range(4000)]
    more = [*photos[:place], fake(random), *photos[place:]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SHARD_BYTES", 50 * 2 * 90 * 90)
        before, after = (digests(tuple(one)) for one in (photos, more))
    assert 60 < len(before) < 140
    # The one, and by chance those behind it until both end at the same picture.
    assert len(before - after) <= 12


def fake(random: np.random.Generator) -> Photo:
    width, height = map(int, random.integers(60, 120, 2))
    name = random.bytes(32).hex()
    return Photo(Path("none.png"), width, height, name, name, ())


def digests(photos: tuple[Photo, ...]) -> set[str]:
    """What the training pictures of each file are called."""
    train, valid = (Split("many", split, photos, "") for split in ("train", "valid"))
    return {part[0].digest for part in shards.divide(train, valid, SETTINGS) if part[0].photos}


@pytest.mark.usefixtures("in_parts")
def test_a_file_that_was_made_again_is_not_read_for_the_one_that_was_opened(
    dataset: Dataset, tmp_path: Path
) -> None:
    files = prepare(dataset, SETTINGS, tmp_path / "out").files
    store = open_store(*files)
    reader = PlaneReader(store)
    start = int(store.train.offsets[5])
    assert np.array_equal(reader.read(True, start, 50), store.train.pair(5)[0].ravel()[:50])
    assert np.array_equal(reader.read(False, start, 50), store.train.pair(5)[1].ravel()[:50])
    for enlarged, parts in ((True, store.train.lr), (False, store.train.hr)):
        assert np.array_equal(reader.read_all(enlarged), np.concatenate(parts))
    for path in files:
        content = path.read_bytes()
        path.rename(path.with_suffix(".old"))
        path.write_bytes(content)
    with pytest.raises(StoreError, match=r"was made again since it was opened; start again with"):
        reader.read(True, start, 50)
    for path in files[1:]:
        path.unlink()
    # What was mapped lives on, and is what was opened.
    for enlarged, parts in ((True, store.train.lr), (False, store.train.hr)):
        assert np.array_equal(reader.read_all(enlarged), np.concatenate(parts))
    files[0].unlink()
    with pytest.raises(StoreError, match=r"cannot read .*No such file.*; start again"):
        reader.read(True, start, 50)


@pytest.mark.usefixtures("in_parts")
def test_planes_are_read_whatever_way_leads_to_their_files(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = prepare(dataset, SETTINGS, tmp_path / "out").files
    (tmp_path / "link").symlink_to("out")
    monkeypatch.chdir(tmp_path)
    for folder in (Path("out"), tmp_path / "link", Path("link")):
        store = open_store(*(folder / path.name for path in files))
        reader = PlaneReader(store)
        assert np.array_equal(reader.read(True, 0, 50), store.train.pair(0)[0].ravel()[:50])
        assert np.array_equal(reader.read_all(False), np.concatenate(store.train.hr))


@pytest.mark.slow
def test_processes_share_the_making_and_a_killed_one_repeats_its_file(
    folder: Path, tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from srcnn_mlflow.pictures import shards, store_writer\n"
        "from srcnn_mlflow.pictures.datasets import load_dataset\n"
        "from srcnn_mlflow.pictures.photos import load_luma\n"
        "from srcnn_mlflow.pictures.store_file import StoreSettings\n"
        f"shards.SHARD_BYTES = {SMALL}\n"
        "write = store_writer._write\n"
        "def tell(path, *rest):\n"
        "    print(path.name, flush=True)\n"
        "    write(path, *rest)\n"
        "store_writer._write = tell\n"
        "def read(photo):\n"
        "    time.sleep(0.01)\n"
        "    return load_luma(photo)\n"
        "dataset = load_dataset(sys.argv[1])\n"
        "rank, ready = int(sys.argv[3]), Path(sys.argv[4])\n"
        "ready.joinpath(str(rank)).touch()\n"
        "while len(list(ready.iterdir())) < int(sys.argv[5]):\n"
        "    time.sleep(0.01)\n"
        "store_writer.prepare(\n"
        "    dataset, StoreSettings(2, 21, 9), Path(sys.argv[2]), read, rank)\n"
    )
    monkeypatch.setattr(shards, "SHARD_BYTES", SMALL)
    expected = prepare(dataset, SETTINGS, tmp_path / "alone").files

    def start(rank: int, size: int) -> subprocess.Popen[str]:
        ready = tmp_path / f"of {size}"
        ready.mkdir(exist_ok=True)
        arguments = (folder, tmp_path / "shared", rank, ready, size)
        return subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
        )

    killed = start(0, 1)
    assert killed.stdout is not None
    begun = [killed.stdout.readline().strip() for _ in range(3)]
    killed.kill()
    killed.communicate()
    both = [start(0, 2), start(4, 2)]
    made = [process.communicate()[0].split() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    # Whole files of the killed one are kept; all others are made once, by one of the two.
    assert sorted(begun[:2] + made[0] + made[1]) == sorted(path.name for path in expected)
    assert made[0]
    assert made[1]
    for path in expected:
        assert (tmp_path / "shared" / path.name).read_bytes() == path.read_bytes()
