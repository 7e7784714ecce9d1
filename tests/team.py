"""What a team has, from the commands and the configuration of docs/server.md.

PostgreSQL, an object store and nginx are real ones of the tests' own.
"""

import logging
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.conftest import BIN, ROOT, free_port, without
from tests.postgres import PASSWORD, USER, Postgres

PAGE = (ROOT / "docs" / "server.md").read_text(encoding="utf-8")
# The page's fenced blocks, in their order.
_BLOCKS = re.findall(r"```\w+\n(.*?)```", PAGE, re.DOTALL)
SMALL_SERVER, SMALL_MOVE, SMALL_WORK, SMALL_SERVING = _BLOCKS[:4]
DATABASE, INSTALLATION, SERVER, NGINX, LOGIN, WORK, PROMOTION, SERVING = _BLOCKS[4:]
# Passwords that need care in an address.
SECRETS = {
    "DATABASE-PASSWORD": "Data/base@pass:word1",
    "KEYS-SECRET": "wJalrXUtn/EMI+K7MDENG",
    "ANNAS-PASSWORD": "Annas@own/pass:word2",
}
_SURROUNDINGS = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;{user}
events {{}}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    include {folder}/nginx/sites-enabled/*;
    # One that is not of the page, and refuses what is larger than a small picture.
    server {{
        listen 127.0.0.1:{narrow};
        client_max_body_size 100k;
        location / {{ proxy_pass http://127.0.0.1:{tracking}; proxy_set_header Host localhost; }}
    }}
}}
"""


@dataclass(frozen=True)
class Team:
    """Servers as the page has them, and what of it was replaced.

    Attributes:
        folder: with nginx's files, and the log of MLflow's server.
        table: what stands for which words of the page.
        database: the URI of the server's database, for the tests.
        store: the address of the object store.
        narrow: host and port of a proxy to the same server that refuses all but small artifacts.
    """

    folder: Path
    table: dict[str, str]
    database: str
    store: str
    narrow: str

    @property
    def address(self) -> str:
        """Of the tracking server, as users give it."""
        return self.table["https://tracking.example.org"]

    @property
    def environment(self) -> dict[str, str]:
        """What a user's shell has before it begins with the page."""
        return shell_environment() | {
            "MLFLOW_TRACKING_SERVER_CERT_PATH": str(self.folder / "ssl/tracking.crt"),
            # It would lie in the checkout.
            "SRCNN_HOME": str(self.folder / "work"),
        }

    def written(self, block: str) -> str:
        """A block of the page with its words replaced."""
        return replaced(block, self.table)

    def objects(self) -> dict[str, bytes]:
        """Everything in the object store."""
        key = {"aws_access_key_id": "KEY", "aws_secret_access_key": SECRETS["KEYS-SECRET"]}
        bucket = boto3.resource("s3", endpoint_url=self.store, **key).Bucket("experiments")
        return {one.key: one.get()["Body"].read() for one in bucket.objects.all()}


def replaced(block: str, table: dict[str, str]) -> str:
    """A block of the page with its words replaced."""
    for words in sorted(table, key=len, reverse=True):
        block = block.replace(words, table[words])
    return block


def shell_environment() -> dict[str, str]:
    """The environment with this one's programs, and without what a page sets."""
    own = {name: text for name, text in os.environ.items() if not name.startswith(("AWS_", "PG"))}
    path = os.pathsep.join([str(BIN), own["PATH"], "/usr/sbin"])
    # A machine of Amazon's would be asked for more credentials otherwise.
    return own | {"PATH": path, "PYTHONPATH": str(ROOT), "AWS_EC2_METADATA_DISABLED": "true"}


def bash(script: str, cwd: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a block of the page."""
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@contextmanager
def started(
    *command: str | Path, cwd: Path, environment: dict[str, str], healthy: str, log: Path
) -> Iterator[None]:
    """Let a program serve until the block ends.

    Args:
        command: the program.
        cwd: where it runs.
        environment: with which.
        healthy: an address that answers once it is there.
        log: the file for what it says.
    """
    with log.open("w") as file:
        process = subprocess.Popen(
            command, cwd=cwd, env=environment, stdout=file, stderr=file, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(healthy, timeout=5).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"{command} did not start: {log.read_text()}")
                time.sleep(0.2)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=3)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def nginx() -> str:
    """The program; skips the test where it, or openssl for its certificate, is not installed."""
    found = [shutil.which(name, path=shell_environment()["PATH"]) for name in ("nginx", "openssl")]
    if None in found:
        without("needs nginx and openssl", "SERVERS")
    return str(found[0])


@contextmanager
def team(folder: Path, postgres: Postgres) -> Iterator[Team]:
    """A team's servers, started by the commands of the page, until the block ends."""
    program = nginx()
    with ExitStack() as stack:
        # It would log every request.
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        objects = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        objects.start()
        stack.callback(objects.stop)
        store = f"http://127.0.0.1:{objects.get_host_and_port()[1]}"
        tracking, https, narrow = free_port(), free_port(), free_port()
        table = SECRETS | {
            "sudo -u postgres ": "",
            "https://tracking.example.org": f"https://localhost:{https}",
            "tracking.example.org": "localhost",
            "database.example.org": f"127.0.0.1:{postgres.port}",
            "https://objects.example.org": store,
            "--port 5000": f"--port {tracking}",
            "127.0.0.1:5000": f"127.0.0.1:{tracking}",
            "localhost:5000": f"localhost:{tracking}",
            "-p 5001": f"-p {free_port()}",
            "listen 443 ssl": f"listen 127.0.0.1:{https} ssl",
            "/etc/": f"{folder}/",
            # What takes minutes on the page takes seconds here.
            "--workers 2": "--workers 1",
            "--epochs 8": "--architecture 9-1-5 --init-from shipped-9-1-5 --max-minutes 0.05",
        }
        for words in table:
            assert words in PAGE, f"the page has {words} no more"
        database = postgres.address("mlflow")
        yours = Team(folder, table, database, store, f"127.0.0.1:{narrow}")
        _prepare(yours, postgres)
        user = " user root;" if os.geteuid() == 0 else ""
        places = {"folder": folder, "user": user, "narrow": narrow, "tracking": tracking}
        (folder / "nginx.conf").write_text(_SURROUNDINGS.format(**places))
        stack.enter_context(
            started(
                *("bash", "-euo", "pipefail", "-c", yours.written(SERVER)),
                cwd=folder,
                environment=shell_environment(),
                healthy=f"http://127.0.0.1:{tracking}/health",
                log=folder / "server.log",
            )
        )
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("SSL_CERT_FILE", str(folder / "ssl/tracking.crt"))
        stack.enter_context(
            started(
                *(program, "-e", folder / "error.log", "-c", folder / "nginx.conf"),
                cwd=folder,
                environment=shell_environment(),
                healthy=f"{yours.address}/health",
                log=folder / "nginx.log",
            )
        )
        yield yours


def _prepare(team: Team, postgres: Postgres) -> None:
    """The database, the bucket, the certificate, and nginx's files."""
    folder = team.folder
    admin = {"PGHOST": "127.0.0.1", "PGPORT": str(postgres.port), "PGUSER": USER}
    admin |= {"PGPASSWORD": PASSWORD, "PGDATABASE": "postgres"}
    for block, more in ((DATABASE, admin), (LOGIN, {})):
        (folder / "nginx/sites-enabled").mkdir(parents=True, exist_ok=True)
        done = bash(team.written(block), folder, shell_environment() | more)
        assert done.returncode == 0, done.stderr
    boto3.client(
        "s3", endpoint_url=team.store, aws_access_key_id="KEY", aws_secret_access_key="x"
    ).create_bucket(Bucket="experiments")
    (folder / "ssl").mkdir()
    made = bash(
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost "
        "-addext subjectAltName=DNS:localhost -keyout tracking.key -out tracking.crt",
        folder / "ssl",
        shell_environment(),
    )
    assert made.returncode == 0, made.stderr
    (folder / "nginx/sites-enabled/tracking").write_text(team.written(NGINX))
