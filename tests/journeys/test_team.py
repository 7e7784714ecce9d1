"""The page "A tracking server for a team", run as it stands there."""

import base64
import importlib.metadata
import json
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.conftest import ROOT
from tests.postgres import Postgres
from tests.team import INSTALLATION, PROMOTION, SERVING, WORK, Team, bash, started, team


@pytest.fixture(scope="module")
def yours(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """The team's servers."""
    with team(tmp_path_factory.mktemp("team"), postgres) as running:
        yield running


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
    assert f"to see and compare the runs, open {yours.address}/#/experiments/1/runs" in worked
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
