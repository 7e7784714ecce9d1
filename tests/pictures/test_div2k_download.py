"""Downloads from a real server on this machine that does everything wrong."""

import hashlib
import io
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from srcnn_mlflow.machine.errors import DatasetError
from srcnn_mlflow.pictures import download
from srcnn_mlflow.pictures.div2k_download import ADDRESS_VARIABLE, Archive, fetch_archives, unpack
from tests.conftest import answered_by


def zipped(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, contents in members.items():
            archive.writestr(name, contents)
    return file.getvalue()


def described(contents: bytes, pictures: int = 3) -> Archive:
    return Archive("SET_HR.zip", len(contents), hashlib.sha256(contents).hexdigest(), pictures)


PICTURES = {f"SET_HR/{number:04}.png": bytes([number]) * 40_000 for number in (1, 2, 3)}
GOOD = zipped(PICTURES)


@dataclass
class Server:
    """What the server has, how it behaves, and what it was asked for."""

    address: str = ""
    contents: bytes = GOOD
    cut_after: int | None = None
    ignore_ranges: bool = False
    wrong_range: bool = False
    failures: int = 0
    status: int = 200
    asked: list[str | None] = field(default_factory=list)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.headers.get("Range"))
            if state.failures:
                state.failures -= 1
                self.send_error(503)
                return
            if state.status != 200:
                self.send_error(state.status)
                return
            start, asked = 0, self.headers.get("Range")
            if asked and not state.ignore_ranges:
                start = int(asked.removeprefix("bytes=").removesuffix("-"))
                self.send_response(206)
                told = 0 if state.wrong_range else start
                end = len(state.contents) - 1
                self.send_header("Content-Range", f"bytes {told}-{end}/{end + 1}")
            else:
                self.send_response(200)
            body = state.contents[start:]
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: state.cut_after])

        def log_message(self, *_: object) -> None:
            return

    monkeypatch.setattr(download, "LONGEST_WAIT", 0.0)
    monkeypatch.setattr(download, "CHUNK", 10_000)
    with answered_by(Handler) as state.address:
        monkeypatch.setenv(ADDRESS_VARIABLE, state.address)
        yield state


def fetch(folder: Path, archive: Archive | None = None) -> None:
    fetch_archives([archive or described(GOOD)], folder)


def assert_complete(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {"SET_HR", "download.lock"}
    found = {f"SET_HR/{path.name}": path.read_bytes() for path in (folder / "SET_HR").iterdir()}
    assert found == PICTURES


def test_an_archive_is_fetched_once(server: Server, tmp_path: Path) -> None:
    fetch(tmp_path / "deep" / "down")
    assert_complete(tmp_path / "deep" / "down")
    fetch(tmp_path / "deep" / "down")
    assert server.asked == [None]


def test_a_cut_connection_is_resumed(server: Server, tmp_path: Path) -> None:
    server.cut_after = 50_000
    fetch(tmp_path)
    assert_complete(tmp_path)
    assert server.asked == [None, "bytes=50000-", "bytes=100000-"]


def test_a_broken_off_program_is_resumed(server: Server, tmp_path: Path) -> None:
    (tmp_path / "SET_HR.zip.partial").write_bytes(GOOD[:70_000])
    fetch(tmp_path)
    assert_complete(tmp_path)
    assert server.asked == ["bytes=70000-"]


def test_a_server_that_ignores_ranges_begins_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "SET_HR.zip.partial").write_bytes(GOOD[:70_000])
    server.ignore_ranges = True
    fetch(tmp_path)
    assert_complete(tmp_path)


def test_a_server_that_fails_for_a_while_is_tried_again(server: Server, tmp_path: Path) -> None:
    server.failures = 4
    fetch(tmp_path)
    assert_complete(tmp_path)
    assert len(server.asked) == 5


def test_a_server_that_always_fails_ends_it(server: Server, tmp_path: Path) -> None:
    server.failures = 1000
    with pytest.raises(DatasetError, match=r"cannot be fetched: 503.*put SET_HR\.zip into"):
        fetch(tmp_path)
    assert len(server.asked) == download.FRUITLESS_TRIES


def test_a_server_that_never_gets_further_ends_it(server: Server, tmp_path: Path) -> None:
    server.cut_after, server.ignore_ranges = 50_000, True
    with pytest.raises(DatasetError, match="What has arrived is kept for the next try"):
        fetch(tmp_path)
    assert not (tmp_path / "SET_HR").exists()
    assert (tmp_path / "SET_HR.zip.partial").stat().st_size <= 50_000


def test_another_part_than_asked_is_never_appended(server: Server, tmp_path: Path) -> None:
    (tmp_path / "SET_HR.zip.partial").write_bytes(GOOD[:70_000])
    server.wrong_range = True
    with pytest.raises(DatasetError, match="another part of the file than asked"):
        fetch(tmp_path)
    assert (tmp_path / "SET_HR.zip.partial").read_bytes() == GOOD[:70_000]


def test_a_missing_file_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(DatasetError, match=f"404.*{ADDRESS_VARIABLE}"):
        fetch(tmp_path)
    assert server.asked == [None]


def test_no_server_at_all_says_what_to_put_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ADDRESS_VARIABLE, "http://127.0.0.1:9")
    monkeypatch.setattr(download, "LONGEST_WAIT", 0.0)
    with pytest.raises(DatasetError) as error:
        fetch(tmp_path)
    assert f"put SET_HR.zip into {tmp_path}" in str(error.value)
    assert f"its pictures into {tmp_path / 'SET_HR'}" in str(error.value)


def test_wrong_bytes_are_deleted(server: Server, tmp_path: Path) -> None:
    server.contents = GOOD[:-1] + bytes([GOOD[-1] ^ 1])
    with pytest.raises(DatasetError, match="its SHA-256 is not"):
        fetch(tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["download.lock"]
    server.contents = GOOD
    fetch(tmp_path)
    assert_complete(tmp_path)


def test_too_many_bytes_are_refused(server: Server, tmp_path: Path) -> None:
    server.contents = GOOD + b"more"
    with pytest.raises(DatasetError, match="not the expected file"):
        fetch(tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["download.lock"]


def test_what_a_killed_unpacking_left_is_cleared_away(server: Server, tmp_path: Path) -> None:
    left = tmp_path / "SET_HR.partial"
    left.mkdir()
    (left / "0009.png").write_bytes(b"half")
    fetch(tmp_path)
    assert server.asked == [None]
    assert_complete(tmp_path)


def test_two_that_fetch_at_once_fetch_once(server: Server, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(fetch, [tmp_path, tmp_path]))
    assert server.asked == [None]
    assert_complete(tmp_path)


def test_a_truncated_zip_is_refused(server: Server, tmp_path: Path) -> None:
    server.contents = GOOD[:90_000]
    with pytest.raises(DatasetError, match="is not a usable zip file"):
        fetch(tmp_path, described(server.contents))
    assert not (tmp_path / "SET_HR").exists()
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize(
    "name",
    ["../evil.png", "/etc/evil.png", "SET_HR/../../evil.png", "SET_HR/0001.exe", "OTHER/0001.png"],
)
def test_no_path_leaves_the_folder(tmp_path: Path, name: str) -> None:
    contents = zipped({**PICTURES, name: b"evil"})
    path = tmp_path / "in" / "SET_HR.zip"
    path.parent.mkdir()
    path.write_bytes(contents)
    with pytest.raises(DatasetError, match=r"where only pictures such as SET_HR/0001\.png belong"):
        unpack(path, described(contents, 4), tmp_path / "in")
    assert [one.name for one in tmp_path.glob("**/*")] == ["in", "SET_HR.zip"]


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("SET_HR/0001.png", bytes(50_000_000))
    path = tmp_path / "SET_HR.zip"
    path.write_bytes(file.getvalue())
    with pytest.raises(DatasetError, match="would unpack to 50,000,000 bytes"):
        unpack(path, described(file.getvalue(), 1), tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["SET_HR.zip"]


def test_the_number_of_pictures_must_be_right(tmp_path: Path) -> None:
    path = tmp_path / "SET_HR.zip"
    path.write_bytes(GOOD)
    with pytest.raises(DatasetError, match="holds 3 pictures, not 800"):
        unpack(path, described(GOOD, 800), tmp_path)


def test_a_full_disk_is_noticed_before_anything_is_fetched(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"needs 2000000\.0 GB under .* are free; make room"):
        fetch(tmp_path, replace(described(GOOD), size=10**15))
    assert server.asked == []
