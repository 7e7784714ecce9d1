"""The store of the runs and the registry: whether it can be used, before anything is begun."""

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from srcnn_mlflow.machine.addresses import shown_address
from srcnn_mlflow.machine.atomic_write import atomic_write
from srcnn_mlflow.machine.database_faults import connection_fault
from srcnn_mlflow.machine.errors import TrackingError
from srcnn_mlflow.machine.faults import explain
from srcnn_mlflow.machine.locking import one_at_a_time
from srcnn_mlflow.machine.server_faults import server_fault
from srcnn_mlflow.machine.text import first_line

# A server that is being started is waited for, and so is one that thinks; not for MLflow's minutes.
SECONDS_TO_START, SECONDS_TO_ANSWER = 3.0, 10
# How drivers call the longest time to connect, in seconds.
_TIMEOUTS = {
    "psycopg": "connect_timeout",
    "psycopg2": "connect_timeout",
    "pymysql": "connect_timeout",
    "mysqldb": "connect_timeout",
    "mysqlconnector": "connection_timeout",
    "pyodbc": "timeout",
}
_OTHER_SCHEMA = re.compile(r"database schema \(found version (\w+), but expected (\w+)\)")


def check_store() -> None:
    """Make sure that the tracking store and the registry can be used; to be done once a command.

    Raises:
        TrackingError: one does not answer, is of another version, or does not let us in.
        WriteError: it is a new file, which cannot be written.
    """
    for uri in dict.fromkeys((tracking_uri(), str(mlflow.get_registry_uri()))):
        check_store_at(uri)


def check_store_at(uri: str) -> None:
    """The same for one store by its address."""
    scheme = urlsplit(uri).scheme.partition("+")[0]
    if is_server(uri):
        with environment(in_a_hurry()):
            _wait_for_server(uri)
    elif scheme == "sqlite":
        _create_file(Path(make_url(uri).database or ""))
        _open(uri)
    elif scheme in ("postgresql", "mysql", "mssql"):
        _connect(uri)
        _open(uri)


def tracking_uri() -> str:
    """Of the tracking store, with whatever credentials it has."""
    return str(mlflow.get_tracking_uri())


def is_server(uri: str) -> bool:
    """Whether a store's address is that of a server, which keeps its data and artifacts itself."""
    return urlsplit(uri).scheme in ("http", "https")


def tracking_address() -> str:
    """Of the tracking store, as it may be shown and kept."""
    return shown_address(tracking_uri())


def connect_arguments(url: URL) -> dict[str, int]:
    """What lets a database's driver give up in time; empty where that is not known."""
    name = _TIMEOUTS.get(url.get_driver_name())
    return {} if name is None else {name: SECONDS_TO_ANSWER}


def _create_file(path: Path) -> None:
    """Let one process at a time create the tables of a local store, which MLflow does not.

    MLflow cannot go on with a database whose creation has broken off, so it has its name only
    when it is complete.
    """
    if path.exists():
        # MLflow tries for more than a minute to open one that cannot be opened.
        path.open("r+b").close()
        return
    with one_at_a_time(path.with_name(f"{path.name}.lock"), f"creates {path}"):
        if not path.exists():
            with atomic_write(path) as partial:
                partial_uri = URL.create("sqlite", database=str(partial)).render_as_string()
                # Artifacts beside it; MLflow would have them below the present folder.
                artifacts = path.absolute().parent / "mlruns"
                SqlAlchemyStore(partial_uri, str(artifacts))  # type: ignore[no-untyped-call]


def _open(uri: str) -> None:
    """Ask for what every command needs, in the way in which MLflow will ask for it."""
    try:
        MlflowClient(uri, uri).search_experiments(max_results=1)
    except MlflowException as error:
        reason = _explain_schema(error) or explain(error) or first_line(error)
        raise TrackingError(reason) from error


def _wait_for_server(uri: str) -> None:
    last_start = time.monotonic() + SECONDS_TO_START
    while True:
        try:
            _open(uri)
            return
        except TrackingError as error:
            fault = error.__cause__ and server_fault(error.__cause__)
            if not fault or not fault.is_starting or time.monotonic() > last_start:
                raise
        time.sleep(0.5)


def in_a_hurry() -> dict[str, str]:
    """Variables with which MLflow asks a server once, and waits for seconds and not for minutes."""
    return {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": os.environ.get(
            "MLFLOW_HTTP_REQUEST_TIMEOUT", str(SECONDS_TO_ANSWER)
        ),
    }


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Let variables have other values while a block runs."""
    former = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in former.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _connect(uri: str) -> None:
    """Connect to a database once, which MLflow does again and again for minutes."""
    url = make_url(uri)
    try:
        engine = create_engine(url, connect_args=connect_arguments(url))
        engine.connect().close()
        engine.dispose()
    except ImportError as error:
        raise TrackingError(explain(error) or first_line(error)) from error
    except SQLAlchemyError as error:
        variable = "MLFLOW_TRACKING_URI" if uri == tracking_uri() else "MLFLOW_REGISTRY_URI"
        raise TrackingError(
            f"the database {shown_address(uri)} cannot be connected to: "
            f"{connection_fault(str(error), variable)}"
        ) from error


def _explain_schema(error: MlflowException) -> str | None:
    """Say which of MLflow and its store is the older; None where they are of one age.

    MLflow by itself takes every other store for an older one.
    """
    found = _OTHER_SCHEMA.search(str(error))
    if found is None:
        return None
    known = files("mlflow.store.db_migrations").joinpath("versions").iterdir()
    if any(file.name.startswith(f"{found[1]}_") for file in known):
        return (
            f"the store {tracking_address()} is of an older MLflow than {mlflow.__version__}; make "
            "a copy of it, then mlflow db upgrade with its address makes it one of this MLflow"
        )
    return (
        f"the store {tracking_address()} is of a newer MLflow than {mlflow.__version__}, or of "
        "another program; install that MLflow, or set MLFLOW_TRACKING_URI to another store"
    )
