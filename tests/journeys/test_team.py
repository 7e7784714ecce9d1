"""The page "A tracking server for a team", run as it stands there, and what must not be told."""

import base64
import importlib.metadata
import json
import os
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from mlflow import MlflowClient
from packaging.requirements import Requirement

from srcnn_mlflow.pictures import download
from tests.conftest import ROOT, free_port, put_store, run_here, write_crops
from tests.postgres import Postgres
from tests.team import (
    INSTALLATION,
    PROMOTION,
    SERVING,
    SMALL_MOVE,
    SMALL_SERVER,
    SMALL_SERVING,
    SMALL_WORK,
    WORK,
    Team,
    bash,
    replaced,
    shell_environment,
    started,
    team,
)


@pytest.fixture(scope="module")
def yours(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """The team's servers."""
    with team(tmp_path_factory.mktemp("team"), postgres) as running:
        yield running


@pytest.mark.exhaustive
def test_the_small_form_takes_over_what_was_trained_before(
    tmp_path: Path, empty_store: Path
) -> None:
    put_store(empty_store, tmp_path)
    write_crops(tmp_path / "crops", 96, train=3, valid=1, test=5)
    trained = "--architecture 9-1-5 --init-from shipped-9-1-5 --max-minutes 0.03"
    done = run_here(*f"main --scale 2 --dataset crops {trained}".split(), cwd=tmp_path)
    assert "version 1 is champion of srcnn-x2" in done.stdout, done.stderr

    table = {f"{port}": str(free_port()) for port in (5000, 5001)}
    table["/srv/mlflow"] = str(tmp_path / "small")
    (tmp_path / "small").mkdir()
    shell = shell_environment() | {"SRCNN_HOME": str(tmp_path / "data")}
    with started(
        *("bash", "-euo", "pipefail", "-c", replaced(SMALL_SERVER, table)),
        cwd=tmp_path / "small",
        environment=shell,
        healthy=f"http://127.0.0.1:{table['5000']}/health",
        log=tmp_path / "server.log",
    ):
        moved = bash(replaced(SMALL_MOVE + SMALL_WORK, table), tmp_path, shell)
        assert moved.returncode == 0, moved.stdout + moved.stderr
        assert "copied srcnn-x2 version 1 to " in moved.stdout
        assert "on 5 pictures of crops test:" in moved.stdout
        assert "x2: srcnn-x2/1 (champion), report.html" in moved.stdout
        port = table["5001"]
        with started(
            *("bash", "-euo", "pipefail", "-c", replaced(SMALL_SERVING, table)),
            cwd=tmp_path,
            environment=shell | {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{table['5000']}"},
            healthy=f"http://127.0.0.1:{port}/health",
            log=tmp_path / "serve.log",
        ):
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/upscale",
                (ROOT / "docs/screenshots/runs.png").read_bytes(),
                {"Content-Type": "image/png"},
            )
            with urllib.request.urlopen(request) as answer:
                assert answer.read().startswith(b"\x89PNG")


def test_the_extra_is_what_is_installed() -> None:
    assert INSTALLATION == "python -m pip install -r requirements.txt '.[server]'\n"
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for requirement in map(Requirement, extras["server"]):
        installed = importlib.metadata.version(requirement.name)
        assert requirement.specifier.contains(installed)


@pytest.fixture(scope="module")
def worked(yours: Team, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the commands of the page's users say, and their report is larger than 1 MB."""
    done = bash(yours.written(WORK), tmp_path_factory.mktemp("anna"), yours.environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_users_work_with_it(worked: str, yours: Team) -> None:
    assert "version 1 is champion of srcnn-x4" in worked
    page = f"{yours.address}/#/experiments/1/runs/"
    assert f"table, pictures and report.html: {page}" in worked
    assert f"best first: {yours.address}/#/experiments/1/runs?workflowType=" in worked
    assert "127.0.0.1" not in worked
    assert "mlflow-artifacts:" not in worked
    reports = [text for name, text in yours.objects().items() if name.endswith("report.html")]
    assert max(map(len, reports)) > 2**20


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 401), ({"Host": "other.example.org"}, 403), ({"Origin": "https://other.example"}, 403)],
)
def test_others_are_refused(headers: dict[str, str], status: int, yours: Team) -> None:
    login = base64.b64encode(f"anna:{yours.table['ANNAS-PASSWORD']}".encode()).decode()
    own = {"Authorization": f"Basic {login}"} if headers else {}
    request = urllib.request.Request(
        f"{yours.address}/api/2.0/mlflow/experiments/search",
        json.dumps({"max_results": 1}).encode(),
        {"Content-Type": "application/json", **own, **headers},
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == status


@pytest.mark.exhaustive
@pytest.mark.usefixtures("worked")
def test_a_champion_is_not_promoted_again(yours: Team, tmp_path: Path) -> None:
    login = yours.written(WORK).partition("srcnn-mlflow")[0]
    done = bash(login + yours.written(PROMOTION), tmp_path, yours.environment)
    assert done.returncode == 1
    assert "it is the champion of srcnn-x4 already" in done.stdout


@pytest.mark.usefixtures("worked")
def test_the_champion_is_served_from_it(yours: Team, tmp_path: Path) -> None:
    port = yours.table["-p 5001"].split()[1]
    with started(
        *("bash", "-euo", "pipefail", "-c", yours.written(SERVING)),
        cwd=tmp_path,
        environment=yours.environment,
        healthy=f"http://127.0.0.1:{port}/health",
        log=tmp_path / "log",
    ):
        picture = base64.b64encode((ROOT / "docs/screenshots/runs.png").read_bytes()).decode()
        body = {"dataframe_split": {"columns": ["image"], "data": [[picture]]}}
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/invocations",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            (made,) = json.loads(answer.read())["predictions"]
    assert base64.b64decode(made["image"]).startswith(b"\x89PNG")


# A secret for each place where one can be; all have what needs care in an address.
PLACES = {
    place: f"{place}@s3cret/of:its own+1%".replace("_", "-")
    for place in (
        *("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"),
        *("MLFLOW_REGISTRY_URI", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
        *("MLFLOW_S3_ENDPOINT_URL", "PGPASSWORD", "storage", "storage_query", "model"),
        *("SRCNN_SETS_ADDRESS", "SRCNN_DIV2K_ADDRESS", "presigned", "HTTP_PROXY", "HTTPS_PROXY"),
    )
}
IN_ADDRESS = {place: quote(secret, safe="") for place, secret in PLACES.items()}


def forms(secret: str) -> set[str]:
    """How a secret may be written."""
    encoded = {quote(secret), quote(secret, safe=""), quote_plus(secret)}
    login = base64.b64encode(f"anna:{secret}".encode()).decode()
    return {secret, *encoded, *(one.lower() for one in encoded), json.dumps(secret)[1:-1], login}


def found(text: str) -> set[str]:
    """The places whose secrets stand in a text."""
    return {place for place, secret in PLACES.items() if any(one in text for one in forms(secret))}


def contents(folder: Path) -> Iterator[str]:
    """All files below a folder, as texts."""
    for file in folder.glob("**/*"):
        if file.is_file():
            yield file.read_bytes().decode(errors="replace")


def kept(yours: Team, postgres: Postgres) -> Iterator[str]:
    """All that the team's servers keep: the database, the artifacts, and the logs."""
    command = [str(postgres.programs / "pg_dump"), "--dbname", yours.database]
    yield subprocess.run(command, check=True, capture_output=True, text=True).stdout
    yield from (text.decode(errors="replace") for text in yours.objects().values())
    yield from contents(yours.folder)


@pytest.fixture
def secretive(yours: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An environment full of secrets; the address of a server that refuses large artifacts."""
    monkeypatch.setattr(download, "LONGEST_WAIT", 0.0)
    nobody = f"127.0.0.1:{free_port()}"
    proxy = f"http://me:{IN_ADDRESS['HTTP_PROXY']}@{nobody}"
    for name, text in {
        **{name: secret for name, secret in PLACES.items() if name.isupper()},
        "SRCNN_SETS_ADDRESS": f"http://me:{IN_ADDRESS['SRCNN_SETS_ADDRESS']}@{nobody}/sets",
        "SRCNN_DIV2K_ADDRESS": f"http://{IN_ADDRESS['SRCNN_DIV2K_ADDRESS']}@{nobody}/x"
        f"?X-Amz-Signature={IN_ADDRESS['presigned']}",
        "HTTP_PROXY": proxy,
        "HTTPS_PROXY": proxy.replace(IN_ADDRESS["HTTP_PROXY"], IN_ADDRESS["HTTPS_PROXY"]),
        "MLFLOW_S3_ENDPOINT_URL": f"http://me:{IN_ADDRESS['MLFLOW_S3_ENDPOINT_URL']}@{nobody}",
        "SRCNN_HOME": str(tmp_path / "data"),
        "NO_PROXY": "127.0.0.1,localhost",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    }.items():
        monkeypatch.setenv(name, text)
    # What somebody has of the sets would not be asked for.
    monkeypatch.delenv("SRCNN_SETS", raising=False)
    address = f"http://anna:{IN_ADDRESS['MLFLOW_TRACKING_URI']}@{yours.narrow}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setenv(
        "MLFLOW_REGISTRY_URI",
        address.replace(IN_ADDRESS["MLFLOW_TRACKING_URI"], IN_ADDRESS["MLFLOW_REGISTRY_URI"]),
    )
    return address


COMMANDS = {
    # Each with the number that it ends with, and a word of what it says.
    "a report that is refused": (1, "413", ("evaluate", "--model", "shipped")),
    "an outbox that is refused": (1, "is kept in", ("train", "--epochs", "1")),
    "a mirror that is away": (1, "set5", ("evaluate", "--model", "shipped", "--dataset", "set5")),
    "an archive that is away": (1, "DIV2K", ("train", "--dataset", "div2k")),
    "a model that is none": (
        1,
        "no model",
        ("evaluate", "--model", f"http://me:{IN_ADDRESS['model']}@127.0.0.1/x"),
    ),
    "a storage that is refused": (
        1,
        "password authentication failed",
        ("sweep", "--storage", f"postgresql://me:{IN_ADDRESS['storage']}@POSTGRES/x"),
    ),
}


def test_nothing_tells_a_secret(
    secretive: str, yours: Team, postgres: Postgres, photo_folder: Path, tmp_path: Path
) -> None:
    assert len(PLACES) >= 12
    said = ""
    for what, (code, word, command) in COMMANDS.items():
        given = [one.replace("POSTGRES", f"127.0.0.1:{postgres.port}") for one in command]
        photos = [] if "--dataset" in given else ["--dataset", str(photo_folder)]
        done = run_here(*given, *photos, cwd=tmp_path)
        assert done.returncode == code, what + done.stdout + done.stderr
        assert word in done.stderr, what + done.stderr
        said += done.stdout + done.stderr
    said += elsewhere(postgres, tmp_path) + direct(yours, photo_folder, tmp_path)
    assert "View run " in said
    assert any((tmp_path / "data" / "outbox").iterdir())
    failures = [
        run.data.tags["failure"]
        for run in MlflowClient(secretive).search_runs(["0", "1", "2", "3"])
        if "failure" in run.data.tags
    ]
    assert len(failures) >= 2
    assert found(said) == set()
    for text in (*kept(yours, postgres), *contents(tmp_path)):
        assert found(text) == set()


def elsewhere(postgres: Postgres, folder: Path) -> str:
    """What is said of stores behind proxies that are away, and of one that lets nobody in."""
    said = ""
    login = f"anna:{IN_ADDRESS['MLFLOW_TRACKING_URI']}"
    query = f"user=me&password={IN_ADDRESS['storage_query']}"
    for address, word in (
        (f"http://{login}@tracking.example.org", "proxy"),
        (f"https://{login}@tracking.example.org", "proxy"),
        (f"postgresql://127.0.0.1:{postgres.port}/x?{query}", "password authentication failed"),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_URI", address)
            patch.setenv("NO_PROXY", "")
            done = run_here("results", cwd=folder)
            assert word in done.stderr, done.stderr
            said += done.stdout + done.stderr
    return said


def direct(yours: Team, photos: Path, folder: Path) -> str:
    """What a command says that writes to the stores itself, of which one is away."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", yours.database)
        patch.setenv("MLFLOW_REGISTRY_URI", yours.database)
        patch.setenv("MLFLOW_EXPERIMENT_NAME", "direct")
        patch.setenv("AWS_MAX_ATTEMPTS", "1")
        MlflowClient(yours.database).create_experiment("direct", "s3://experiments/direct")
        done = run_here("evaluate", "--model", "shipped", "--dataset", str(photos), cwd=folder)
    assert done.returncode == 1, done.stderr
    assert "cannot use the store of the artifacts" in done.stderr
    return done.stdout + done.stderr


@pytest.mark.exhaustive
def test_without_the_masking_a_secret_is_told(
    secretive: str, photo_folder: Path, tmp_path: Path
) -> None:
    leaking = (
        "import sys; from srcnn_mlflow.machine import credentials; "
        "credentials.without_credentials = lambda text: text; "
        "from srcnn_mlflow.cli import main; main()"
    )
    command = ("evaluate", "--model", "shipped", "--dataset", str(photo_folder))
    done = subprocess.run(
        [sys.executable, "-c", leaking, *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "MLFLOW_TRACKING_URI" in found(done.stdout)
    runs = MlflowClient(secretive).search_runs(["0", "1"], order_by=["start_time DESC"])
    assert "MLFLOW_TRACKING_URI" in found(runs[0].data.tags["failure"])
