"""Sets by name: found by their pixels, or fetched from a real server that does everything wrong.

The six real sets are fetched too where `SRCNN_REAL_SETS` names a folder with their files, laid out
as at their public address (`owner/repository/commit/folder/file`).
"""

import hashlib
import io
import os
import random
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from srcnn_mlflow.machine.errors import DatasetError
from srcnn_mlflow.machine.places import home
from srcnn_mlflow.pictures import download, sets
from srcnn_mlflow.pictures.datasets import SPLITS, load_dataset
from srcnn_mlflow.pictures.photos import digest, examine
from srcnn_mlflow.pictures.sets import (
    FOLDER_VARIABLE,
    SETS_FOLDER,
    ListedPicture,
    NamedSet,
    find_set,
    named_sets,
)
from srcnn_mlflow.pictures.sets_download import ADDRESS_VARIABLE, FIRST_TRIES
from tests.conftest import answered_by, textured_pixels

ADDRESS = "owner/repository/0123abc/data/small"
NAMES = ("one.png", "two.png", "three.png", "four.png")


def png(seed: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(textured_pixels(120, 160, seed)).save(file, "PNG")
    return file.getvalue()


CONTENTS = {f"file_{name}": png(seed) for seed, name in enumerate(NAMES)}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    return tmp_path


@pytest.fixture
def small(tmp_path_factory: pytest.TempPathFactory) -> NamedSet:
    """A set of four pictures, listed as the real ones are."""
    folder = tmp_path_factory.mktemp("listed")
    for name, contents in CONTENTS.items():
        (folder / name).write_bytes(contents)
    photos, _ = examine("small", [folder / f"file_{name}" for name in NAMES])
    pictures = [
        ListedPicture(
            name,
            f"file_{name}",
            len(CONTENTS[f"file_{name}"]),
            hashlib.sha256(CONTENTS[f"file_{name}"]).hexdigest(),
            photo.digest,
        )
        for name, photo in zip(NAMES, photos, strict=True)
    ]
    return NamedSet("small", "Four textures.", True, ADDRESS, tuple(pictures))


@dataclass
class Server:
    """What a server has, how it behaves, and what it was asked for."""

    files: dict[str, bytes] = field(default_factory=dict)
    folder: Path | None = None
    cuts: int = 0
    ignore_ranges: bool = False
    status: int = 200
    asked: list[str] = field(default_factory=list)

    def contents(self, path: str) -> bytes | None:
        name = path.rpartition("/")[2]
        if name in self.files:
            return self.files[name]
        file = self.folder / path.lstrip("/") if self.folder else None
        return file.read_bytes() if file and file.is_file() else None


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    state = Server(dict(CONTENTS))
    lock, chance = threading.Lock(), random.Random(5)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.path)
            contents = state.contents(self.path)
            if contents is None or state.status != 200:
                self.send_error(404 if contents is None else state.status)
                return
            start, asked = 0, self.headers.get("Range")
            if asked and not state.ignore_ranges:
                start = int(asked.removeprefix("bytes=").removesuffix("-"))
                self.send_response(206)
                self.send_header(
                    "Content-Range", f"bytes {start}-{len(contents) - 1}/{len(contents)}"
                )
            else:
                self.send_response(200)
            body = contents[start:]
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with lock:
                cut = state.cuts > 0 and len(body) > 1
                state.cuts -= cut
                end = chance.randrange(1, len(body)) if cut else len(body)
            self.wfile.write(body[:end])

        def log_message(self, *_: object) -> None:
            return

    monkeypatch.setattr(download, "LONGEST_WAIT", 0.0)
    with answered_by(Handler) as address:
        monkeypatch.setenv(ADDRESS_VARIABLE, f"{address}/")
        yield state


def own(small: NamedSet) -> Path:
    return home() / SETS_FOLDER / small.name


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


# The list.


def test_the_list_holds_the_six_sets_of_the_field() -> None:
    counts = {name: len(one.pictures) for name, one in named_sets().items()}
    assert counts == {
        "t91": 91,
        "bsd200": 200,
        "set5": 5,
        "set14": 14,
        "bsd100": 100,
        "urban100": 100,
    }
    assert [name for name, one in named_sets().items() if not one.tests_only] == ["t91", "bsd200"]


def test_the_list_is_well_formed() -> None:
    everywhere: dict[str, str] = {}
    for name, one in named_sets().items():
        assert re.fullmatch(r"[\w-]+/[\w-]+/[0-9a-f]{40}/data/\S+", one.address)
        assert len({picture.name for picture in one.pictures}) == len(one.pictures)
        assert len({picture.file for picture in one.pictures}) == len(one.pictures)
        for picture in one.pictures:
            assert re.fullmatch(r"[0-9a-f]{64}", picture.sha256)
            assert re.fullmatch(r"[0-9a-f]{64}", picture.pixels)
            assert picture.size > 1000
            # No set shares a picture with another: what trains never tests.
            assert everywhere.setdefault(picture.pixels, name) == name


@pytest.mark.parametrize(("name", "folder"), [("t91", "T91"), ("bsd200", "BSD200")])
def test_a_training_set_by_name_is_split_like_its_folder(
    name: str, folder: str, shared: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = shared(folder)
    monkeypatch.setenv(FOLDER_VARIABLE, str(pictures.parent))
    by_name, by_path = load_dataset(name), load_dataset(str(pictures))
    for split in SPLITS:
        assert by_name.split(split).digest == by_path.split(split).digest


def test_a_test_set_by_name_only_tests(
    shared: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shared("Set5")
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder.parent))
    dataset = load_dataset("set5")
    assert dataset.split("test").digest == load_dataset(str(folder)).split("all").digest
    for split in ("train", "valid"):
        with pytest.raises(
            DatasetError, match=f"in its {split} split: set5 only tests; take another"
        ):
            dataset.photos(split)


# What is there already.


def save_as(folder: Path, suffix: str, small: NamedSet, **options: Any) -> None:
    folder.mkdir(parents=True)
    for number, picture in enumerate(small.pictures):
        image = Image.open(io.BytesIO(CONTENTS[picture.file]))
        image.save(folder / f"renamed{number}{suffix}", **options)


@pytest.mark.parametrize("suffix", [".bmp", ".tiff", ".png", ".ppm"])
def test_pictures_are_known_in_any_lossless_format_and_under_any_name(
    suffix: str, small: NamedSet, server: Server, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_as(here / "sets" / "SMALL" / "deeper", suffix, small)
    monkeypatch.setenv(FOLDER_VARIABLE, "sets")
    found = find_set(small)
    assert [photo.digest for photo in found.photos] == [one.pixels for one in small.pictures]
    assert not server.asked
    assert not found.notes


def test_lossy_copies_are_not_taken(
    small: NamedSet, server: Server, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_as(here / "sets" / "small", ".jpg", small, quality=95)
    monkeypatch.setenv(FOLDER_VARIABLE, str(here / "sets"))
    found = find_set(small)
    assert len(server.asked) == 4
    assert {photo.path.parent for photo in found.photos} == {own(small)}
    assert "4 picture(s) that lie where small does are not of it, such as" in found.notes[0]


def test_what_a_given_folder_lacks_is_fetched_and_nothing_else(
    small: NamedSet, server: Server, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_as(here / "sets" / "Small", ".bmp", small)
    (here / "sets" / "Small" / "renamed2.bmp").write_bytes(b"no picture")
    monkeypatch.setenv(FOLDER_VARIABLE, str(here / "sets"))
    found = find_set(small)
    assert server.asked == [f"/{ADDRESS}/file_three.png"]
    assert [photo.digest for photo in found.photos] == [one.pixels for one in small.pictures]
    # A folder of the user's is only read.
    assert (here / "sets" / "Small" / "renamed2.bmp").read_bytes() == b"no picture"


@pytest.mark.usefixtures("server")
def test_a_picture_that_is_listed_twice_needs_two_files(small: NamedSet) -> None:
    first = small.pictures[0]
    again = ListedPicture("again.png", first.file, first.size, first.sha256, first.pixels)
    twice = NamedSet("small", "", True, ADDRESS, (*small.pictures, again))
    found = find_set(twice)
    assert [photo.name for photo in found.photos] == [*NAMES, "again.png"]


def test_a_folder_that_is_not_there_is_said(
    small: NamedSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, "nowhere")
    with pytest.raises(DatasetError, match=r"SRCNN_SETS is 'nowhere', which is no folder"):
        find_set(small)


# What is fetched.


def test_a_set_is_fetched_once_under_its_own_names(small: NamedSet, server: Server) -> None:
    found = find_set(small)
    assert [photo.name for photo in found.photos] == list(NAMES)
    assert names(own(small)) == set(NAMES)
    assert sorted(server.asked) == sorted(f"/{ADDRESS}/file_{name}" for name in NAMES)
    assert find_set(small).photos == found.photos
    assert len(server.asked) == 4


@pytest.mark.parametrize("ignore_ranges", [False, True])
def test_a_connection_that_is_cut_ten_times_goes_on(
    small: NamedSet, server: Server, ignore_ranges: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("srcnn_mlflow.pictures.sets_download.FIRST_TRIES", 12)
    monkeypatch.setattr("srcnn_mlflow.pictures.sets_download.FRUITLESS_TRIES", 12)
    server.cuts, server.ignore_ranges = 10, ignore_ranges
    find_set(small)
    assert len(server.asked) == 4 + 10
    assert {name: (own(small) / name).read_bytes() for name in NAMES} == {
        name: CONTENTS[f"file_{name}"] for name in NAMES
    }


@pytest.mark.usefixtures("server")
def test_a_broken_off_program_goes_on(small: NamedSet) -> None:
    own(small).mkdir(parents=True)
    whole = CONTENTS["file_one.png"]
    (own(small) / "one.png.partial").write_bytes(whole[:9_000])
    # What was never finished is no picture, whatever it is called.
    (own(small) / "two.png").write_bytes(CONTENTS["file_two.png"][:9_000])
    find_set(small)
    assert names(own(small)) == set(NAMES)
    assert (own(small) / "two.png").read_bytes() == CONTENTS["file_two.png"]


def test_a_changed_byte_is_fetched_again_once_and_then_refused(
    small: NamedSet, server: Server, said: list[str]
) -> None:
    good = server.files["file_three.png"]
    server.files["file_three.png"] = good[:-30] + bytes([good[-30] ^ 1]) + good[-29:]
    with pytest.raises(DatasetError, match=r"file_three\.png is not the expected file: its SHA"):
        find_set(small)
    assert server.asked.count(f"/{ADDRESS}/file_three.png") == 2
    assert "file_three.png is not the expected file; it is fetched once more" in "\n".join(said)
    assert not [one for one in names(own(small)) if "three" in one]
    server.files["file_three.png"] = good
    assert len(find_set(small).photos) == 4


@pytest.mark.usefixtures("server")
def test_a_kept_file_that_was_damaged_is_made_good(small: NamedSet) -> None:
    find_set(small)
    path = own(small) / "two.png"
    path.write_bytes(b"damaged")
    assert [photo.digest for photo in find_set(small).photos] == [
        picture.pixels for picture in small.pictures
    ]
    assert path.read_bytes() == CONTENTS["file_two.png"]


@pytest.mark.usefixtures("server")
def test_offline_says_which_files_to_put_where(
    small: NamedSet, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ADDRESS_VARIABLE, "http://name:password@127.0.0.1:9")
    with pytest.raises(DatasetError) as error:
        find_set(small)
    message = str(error.value)
    assert "set small cannot be fetched: http://127.0.0.1:9 cannot be connected to" in message
    assert (
        "put file_one.png, file_two.png, file_three.png, file_four.png of "
        "https://github.com/owner/repository/tree/0123abc/data/small into "
        f"{here / own(small)}, under any name" in message
    )
    assert FOLDER_VARIABLE in message
    assert ADDRESS_VARIABLE in message
    assert "password" not in message


@pytest.mark.parametrize(("status", "tries"), [(404, 1), (503, FIRST_TRIES)])
def test_a_server_that_refuses_is_told_by_its_status(
    small: NamedSet, server: Server, status: int, tries: int
) -> None:
    server.status = status
    with pytest.raises(DatasetError, match=f"cannot be fetched: .*{status}"):
        find_set(small)
    assert len(server.asked) == tries


def test_no_room_is_noticed_before_anything_is_fetched(
    small: NamedSet, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("srcnn_mlflow.pictures.sets_download.free_bytes", lambda _: 10)
    with pytest.raises(DatasetError, match=r"and 0\.0 MB are free; make room"):
        find_set(small)
    assert not server.asked


def test_grey_pixels_stored_as_colour_are_another_picture(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    # bridge of set14 is grey: as RGB its luma would be squeezed, and its PSNR higher.
    grey = np.asarray(Image.fromarray(textured_pixels(40, 50, 3)).convert("L"))
    file = io.BytesIO()
    Image.fromarray(grey).save(file, "PNG")
    server.files["grey.png"] = file.getvalue()
    Path("listed").mkdir()
    Path("listed/grey.png").write_bytes(file.getvalue())
    photos, _ = examine("grey", [Path("listed/grey.png")])
    sha256 = hashlib.sha256(file.getvalue()).hexdigest()
    picture = ListedPicture("grey.png", "grey.png", len(file.getvalue()), sha256, photos[0].digest)
    wanted = NamedSet("small", "", True, ADDRESS, (picture,))
    Path("sets/small").mkdir(parents=True)
    Image.fromarray(grey).convert("RGB").save("sets/small/grey.png")
    monkeypatch.setenv(FOLDER_VARIABLE, "sets")
    assert find_set(wanted).photos[0].path == home() / SETS_FOLDER / "small" / "grey.png"


# The real ones.


@pytest.fixture
def real(server: Server) -> Server:
    folder = os.environ.get("SRCNN_REAL_SETS")
    if not folder:
        pytest.skip("needs the files of the six sets, in a folder that SRCNN_REAL_SETS names")
    server.folder, server.files = Path(folder), {}
    return server


@pytest.mark.slow
@pytest.mark.parametrize("name", sets.named_sets())
def test_each_real_set_arrives_through_ten_cuts(name: str, real: Server) -> None:
    real.cuts = 10
    photos = load_dataset(name).photos("all")
    assert len(photos) == len(named_sets()[name].pictures)
    assert len(real.asked) == len(named_sets()[name].pictures) + 10
    asked = len(real.asked)
    assert digest(load_dataset(name).photos("all")) == digest(photos)
    assert len(real.asked) == asked


@pytest.mark.slow
@pytest.mark.parametrize("name", sets.named_sets())
def test_each_real_set_is_refused_with_one_byte_changed(name: str, real: Server) -> None:
    one = named_sets()[name].pictures[-1]
    contents = real.contents(f"{named_sets()[name].address}/{one.file}")
    assert contents is not None
    middle = len(contents) // 2
    changed = contents[:middle] + bytes([contents[middle] ^ 4]) + contents[middle + 1 :]
    real.files[one.file] = changed
    with pytest.raises(DatasetError, match=f"{one.file} is not the expected file"):
        load_dataset(name)
    assert one.name not in names(home() / SETS_FOLDER / name)
