"""A PostgreSQL server of the tests' own, which is gone with them.

A test that takes `postgres` can make databases by `postgres.new_database()`. One that takes
`postgres_store` is given the address of a database of its module's own, with MLflow's tables in it:

    def test_something(postgres_store: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", postgres_store)
"""

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine
from psycopg import sql

from srcnn_mlflow.machine.messages import undisturbed_logging
from tests.conftest import free_port, without

USER, PASSWORD = "tester", "the-password-of-tests"
# What keeps data through a loss of power, and what other programs might find.
_QUICK = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "unix_socket_directories": "",
}


@dataclass(frozen=True)
class Postgres:
    """A running server, and the databases in it.

    Attributes:
        port: of 127.0.0.1, at which it listens; every login needs its password.
        programs: the folder of `pg_dump` and of PostgreSQL's other programs.
    """

    port: int
    programs: Path
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def address(self, database: str, password: str = PASSWORD) -> str:
        """The URI of a database."""
        return f"postgresql://{USER}:{password}@127.0.0.1:{self.port}/{database}"

    def new_database(self, with_tables: bool = False) -> str:
        """Make a database, and give its URI.

        Args:
            with_tables: whether it has MLflow's tables; else it is empty.
        """
        name = f"tests{next(self._numbers)}"
        template = self._template() if with_tables else "template1"
        self.execute("CREATE DATABASE {} TEMPLATE {}", name, template)
        return self.address(name)

    def execute(self, command: LiteralString, *names: str) -> list[tuple[Any, ...]]:
        """Run a command as the administrator, with names put in for its brackets."""
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            words = sql.SQL(command).format(*map(sql.Identifier, names))
            done = connection.execute(words)
            return done.fetchall() if done.description else []

    def _template(self) -> str:
        """A database with MLflow's tables, which takes seconds to make and none to copy."""
        name = "with_tables"
        if not self.execute("SELECT 1 FROM pg_database WHERE datname = 'with_tables'"):
            self.execute("CREATE DATABASE {}", name)
            engine = create_sqlalchemy_engine(self.address(name))  # type: ignore[no-untyped-call]
            with undisturbed_logging():
                _initialize_tables(engine)  # type: ignore[no-untyped-call]
            engine.dispose()
        return name


@contextmanager
def _running(programs: Path) -> Iterator[Postgres]:
    """A server until the block ends; PostgreSQL refuses to run as root."""
    account: dict[str, Any] = {}
    # No folder of pytest's own, into which nobody else may look.
    folder = Path(tempfile.mkdtemp(prefix="tests-postgres-"))
    if os.geteuid() == 0:
        account = {"user": "postgres", "group": "postgres", "extra_groups": []}
        shutil.chown(folder, "postgres", "postgres")
    password = folder / "password"
    password.write_text(PASSWORD)
    password.chmod(0o644)
    how: dict[str, Any] = {"cwd": folder, **account, "stdout": subprocess.DEVNULL}
    subprocess.run(
        [
            *(programs / "initdb", "--pgdata", "data", "--no-sync"),
            *("--locale", "C", "--encoding", "UTF8"),
            *("--auth", "scram-sha-256", "--username", USER, "--pwfile", password),
        ],
        check=True,
        **how,
    )
    postgres = Postgres(free_port(), programs)
    process = subprocess.Popen(
        [
            *(programs / "postgres", "-D", "data", "-h", "127.0.0.1", "-p", str(postgres.port)),
            *(f"--{name}={value}" for name, value in _QUICK.items()),
        ],
        stderr=(folder / "log").open("w"),
        **how,
    )
    try:
        _wait_for(postgres, process, folder / "log")
        yield postgres
    finally:
        # Ends the connections that are left, too.
        process.send_signal(signal.SIGINT)
        process.wait()
        shutil.rmtree(folder)


def _wait_for(postgres: Postgres, process: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(600):
        try:
            postgres.execute("SELECT 1")
            return
        except psycopg.OperationalError:
            if process.poll() is not None:
                break
            time.sleep(0.05)
    pytest.fail(f"PostgreSQL did not start: {log.read_text()}")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server; skips the test where PostgreSQL is not installed.

    With SRCNN_REQUIRE_SERVERS set, the test fails instead.
    """
    debians = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parts[-2])
    found = shutil.which("initdb", path=os.pathsep.join([os.environ["PATH"], *map(str, debians)]))
    if found is None:
        without("needs PostgreSQL's initdb, on the PATH or in /usr/lib/postgresql", "SERVERS")
    with _running(Path(found).resolve().parent) as running:
        yield running


@pytest.fixture(scope="module")
def postgres_store(postgres: Postgres) -> str:
    """The address of a tracking store in PostgreSQL, with nothing in it."""
    return postgres.new_database(with_tables=True)
