"""What is said of servers that refuse, hang, or are something else, met over real connections."""

import http.server
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar

import pytest
import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository

from srcnn_mlflow.machine.addresses import server_of, shown_address
from srcnn_mlflow.machine.credentials import without_credentials
from srcnn_mlflow.machine.faults import explain
from srcnn_mlflow.machine.server_faults import server_fault
from tests.conftest import answered_by, free_port

PAGE = b"<html><head><title>Sorry</title></head><body>" + b"<p>filler</p>" * 300 + b"</body></html>"


class Answer(http.server.BaseHTTPRequestHandler):
    """Gives one answer to everything."""

    status: ClassVar[int] = 200
    body: ClassVar[bytes] = PAGE

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def answering(status: int, body: bytes = PAGE) -> Iterator[str]:
    """A server that gives one answer; its address, with credentials."""
    Answer.status, Answer.body = status, body
    with answered_by(Answer) as address:
        yield address.replace("//", "//me:hunter2@")


@contextmanager
def silent() -> Iterator[str]:
    """Accepts connections, and says nothing."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://me:hunter2@127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")


def ask(address: str, _: Path) -> None:
    MlflowClient(address, address).search_experiments(max_results=1)


def put_file(address: str, folder: Path) -> None:
    file = folder / "state.bin"
    file.write_bytes(b"state")
    artifacts_of(address).log_artifact(file)


def get_file(address: str, folder: Path) -> None:
    artifacts_of(address).download_artifacts("state.bin", str(folder))


def artifacts_of(address: str) -> Any:
    repository: Any = HttpArtifactRepository
    return repository(f"{address}/api/2.0/mlflow-artifacts/artifacts/1")


WAYS: dict[str, Callable[[str, Path], None]] = {"ask": ask, "put": put_file, "get": get_file}


def told(way: str, address: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The line in which a failure is told."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with pytest.raises(Exception) as error:  # noqa: PT011 (which it is, is what is tested)
        WAYS[way](address, folder)
    line = explain(error.value)
    assert line is not None
    assert "\n" not in line
    assert "<" not in line
    assert "hunter2" not in line
    assert "file" not in line
    assert len(line) < 400
    return line


STATUS = {
    301: "may stand before MLflow",
    400: "may stand before MLflow",
    401: "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    403: "ask whoever runs it for the right",
    404: "check the path in MLFLOW_TRACKING_URI",
    405: "may stand before MLflow",
    407: "log in to the proxy",
    413: "client_max_body_size in nginx",
    429: "it is asked too often; wait",
    500: "look into its log",
    502: "look into its log",
    503: "look into its log",
    504: "look into its log",
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("status", STATUS)
def test_an_answer_with_a_page_is_told_by_its_status(
    status: int, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if status == 301 and way != "ask":
        pytest.skip("MLflow takes a redirection without an address for an artifact that is empty")
    with answering(status) as address:
        line = told(way, address, tmp_path, monkeypatch)
    phrase = HTTPStatus(status).phrase
    port = address.rpartition(":")[2]
    expected = f"the server http://127.0.0.1:{port} answers {status} ({phrase}); "
    assert line.startswith(expected)
    assert STATUS[status] in line


def test_a_page_of_another_program_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(200) as address:
        for way in ("ask", "get"):
            line = told(way, address, tmp_path, monkeypatch)
            assert "answers with something that is not of MLflow; check MLFLOW_TRACKING" in line


def test_a_sentence_of_the_servers_own_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering(403, b"Invalid Host header") as address:
        line = told("ask", address, tmp_path, monkeypatch)
    assert "answers 403 (Forbidden): Invalid Host header; " in line


def test_what_mlflow_itself_refuses_stays_as_it_is(tmp_path: Path) -> None:
    body = b'{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "No run 7"}'
    with answering(404, body) as address, pytest.raises(MlflowException) as error:
        ask(address, tmp_path)
    assert server_fault(error.value) is None
    assert explain(error.value) == "RESOURCE_DOES_NOT_EXIST: No run 7"


@pytest.mark.parametrize("way", ["ask", "put"])
def test_a_server_that_does_not_answer_is_told_by_how(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    line = told(way, f"http://me:hunter2@127.0.0.1:{port}", tmp_path, monkeypatch)
    assert line == (
        f"the server http://127.0.0.1:{port} cannot be connected to (Connection refused); start "
        "it, or set MLFLOW_TRACKING_URI to one that is well"
    )
    with silent() as address:
        line = told(way, address, tmp_path, monkeypatch)
    assert "says nothing for too long; " in line
    assert "MLFLOW_HTTP_REQUEST_TIMEOUT" in line
    line = told(way, "http://me:hunter2@nowhere.invalid", tmp_path, monkeypatch)
    assert "http://nowhere.invalid has a name that no address is found for" in line
    with answering(200) as address:
        line = told(way, address.replace("http:", "https:"), tmp_path, monkeypatch)
    assert "cannot be spoken to by TLS" in line
    assert "http or https" in line
    line = told(way, "http://me:hunter2@", tmp_path, monkeypatch)
    assert "is no address that can be asked" in line or "no address is found" in line


def test_a_registry_of_its_own_is_named_by_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"http://me:hunter2@127.0.0.1:{free_port()}"
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"{address}/registry")
    with pytest.raises(MlflowException) as error:
        ask(address, tmp_path)
    assert "set MLFLOW_REGISTRY_URI to one" in str(explain(error.value))


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device", "state.bin"),
        ValueError("API request to nowhere"),
        MlflowException("No such run"),
    ],
)
def test_faults_of_other_kinds_are_none_of_a_server(error: Exception) -> None:
    error.__context__ = requests.ConnectionError("before")
    assert server_fault(error) is None


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ConnectionResetError(104, "Connection reset by peer"), "cannot reach another machine: "),
        (TimeoutError("timed out"), "cannot reach another machine: timed out; check the network"),
        (socket.gaierror(-2, "Name or service not known"), "cannot reach another machine: "),
        (ssl.SSLError(1, "wrong version"), "cannot reach another machine: "),
        (BrokenPipeError(32, "Broken pipe"), "whoever was to read this has ended"),
        (ModuleNotFoundError("No module", name="psycopg"), "pip install 'psycopg[binary]'"),
        (ModuleNotFoundError("No module", name="boto3.session"), "pip install 'boto3'"),
        (PermissionError(13, "Permission denied", "a.txt"), "cannot read or write a.txt: no perm"),
    ],
)
def test_every_error_of_the_system_is_told_as_what_it_is(error: Exception, line: str) -> None:
    assert line in str(explain(error))


@pytest.mark.parametrize(
    "error", [ModuleNotFoundError("No module named 'numpy'", name="numpy"), KeyError("a defect")]
)
def test_a_defect_is_explained_as_nothing_else(error: Exception) -> None:
    assert explain(error) is None


def test_a_fault_of_a_database_names_whose_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    locked = MlflowException("INTERNAL_ERROR: (sqlite3.OperationalError) database is locked\n[SQL]")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hunter2@tracking:5000")
    assert str(explain(locked)).startswith(
        "the server http://tracking:5000 cannot use its database: another process holds it"
    )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///my.db")
    assert str(explain(locked)).startswith("cannot use the MLflow database my.db: another process")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:hunter2@db/runs?password=hunter2")
    lost = MlflowException("(psycopg.OperationalError) server closed the connection\n[SQL: x]")
    assert explain(lost) == (
        "cannot use the MLflow database postgresql://db/runs: (psycopg.OperationalError) server "
        "closed the connection"
    )


ADDRESSES: dict[str, Any] = {
    "http://me:hunter2@host:5000/path": ("http://host:5000/path", "http://host:5000"),
    "http://hunter2@host": ("http://host", "http://host"),
    "https://me:hun%40ter2@[::1]:5000": ("https://[::1]:5000", "https://[::1]:5000"),
    "https://me:p@hunter2@host/x": ("https://host/x", "https://host"),
    "postgresql+psycopg://me:hunter2@h/db?sslmode=require": ("postgresql+psycopg://h/db", None),
    "postgresql://h/db?password=hunter2&user=me": ("postgresql://h/db", None),
    "https://h/x?X-Amz-Signature=hunter2": ("https://h/x", "https://h"),
    "sqlite:////data/mlflow.db": ("/data/mlflow.db", None),
    "C:/runs": ("C:/runs", None),
}


@pytest.mark.parametrize("uri", ADDRESSES)
def test_no_credentials_are_shown(uri: str) -> None:
    shown, server = ADDRESSES[uri]
    assert shown_address(uri) == shown
    assert server is None or server_of(uri) == server
    assert "hunter2" not in without_credentials(f"cannot open {uri}, nor '{uri}'")
