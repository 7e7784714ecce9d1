"""A study in Optuna: where it is kept, and who runs which trial."""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import OptunaError
from optuna.pruners import BasePruner, NopPruner
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from srcnn_mlflow.machine.callers_folder import given_source
from srcnn_mlflow.machine.credentials import without_credentials
from srcnn_mlflow.machine.database_faults import connection_fault
from srcnn_mlflow.machine.errors import SweepError
from srcnn_mlflow.machine.faults import missing_package
from srcnn_mlflow.machine.locking import one_at_a_time, temporary_lock
from srcnn_mlflow.machine.messages import undisturbed_logging
from srcnn_mlflow.machine.places import kept
from srcnn_mlflow.machine.processes import ProcessSign
from srcnn_mlflow.machine.text import differences, first_line
from srcnn_mlflow.tracking.store import connect_arguments

optuna.logging.set_verbosity(optuna.logging.WARNING)

SQLITE_PATIENCE = 120
# Below the folder of work.
SWEEPS_FOLDER, STUDIES_FOLDER = "sweeps", "studies"
# Of a study's name, in bytes: its file's name has an ending, and SQLite's own files another.
LONGEST_STUDY = 240
# Attributes of a trial: its MLflow run, and why it failed.
RUN_ID, FAILURE = "run_id", "failure"

Begin = Callable[[], Trial | None]
IsWanted = Callable[[FrozenTrial], bool]
IsSurplus = Callable[[Trial], bool]


class Place:
    """Where a study is kept: its name, and the database that holds it."""

    def __init__(self, name: str, storage: str | None, folder: str = SWEEPS_FOLDER) -> None:
        """Find the place.

        Args:
            name: of the study.
            storage: an SQLAlchemy URL; None for a SQLite file of the study's name.
            folder: of that file, below the folder of work.

        Raises:
            SweepError: the URL is none, or of a database that keeps nothing.
        """
        self.name = name
        try:
            own = URL.create("sqlite", database=str(kept(f"{folder}/{name}.db")))
            self.url: URL = make_url(storage) if storage else own
        except SQLAlchemyError:
            # It may hold a password, so it is not repeated.
            raise SweepError(
                "storage is not a database's URL; give one such as sqlite:///sweeps.db or "
                "postgresql://host/name, or auto"
            ) from None
        if self.is_sqlite and self.url.database in (None, "", ":memory:"):
            raise SweepError(
                f"storage {self} keeps nothing; name a file, as in sqlite:///sweeps.db"
            )
        if self.is_sqlite and storage and not str(self.url.database).startswith("file:"):
            self.url = self.url.set(database=str(given_source(str(self.url.database))))

    def __str__(self) -> str:
        """The URL as it may be shown: without its password."""
        return self.url.set(query={}).render_as_string(hide_password=True)

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a file."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def has_password(self) -> bool:
        """Whether the URL holds what must not be shown."""
        return bool(self._secrets())

    @property
    def lock(self) -> Path:
        """What the processes of a machine lock: beside a file, or else in the temporary folder."""
        if self.is_sqlite:
            return Path(f"{self.url.database}.lock")
        return temporary_lock("sweep", f"{self} {self.name}")

    @contextmanager
    def errors_told(self) -> Iterator[None]:
        """Turn what the database says into a message.

        Raises:
            SweepError: the database cannot be reached, read or written.
        """
        try:
            yield
        except (SQLAlchemyError, OptunaError, ImportError) as error:
            if isinstance(error, ImportError):
                lacking = missing_package(_innermost(error))
                if lacking is None:
                    raise
                raise SweepError(f"study {self.name} in {self}: {lacking}") from None
            said = error.__cause__ or error
            reason = (
                f"{first_line(said)}; check the database"
                if self.is_sqlite
                else connection_fault(str(said), "storage")
            )
            for secret in self._secrets():
                reason = reason.replace(secret, "***")
            raise SweepError(
                f"study {self.name} in {self}: {without_credentials(reason)}; then start the same "
                "command again, and it goes on"
            ) from None

    def _secrets(self) -> list[str]:
        query = self.url.query.get("password", ())
        given = [self.url.password, *([query] if isinstance(query, str) else query)]
        return [secret for secret in given if secret]

    def connect(self) -> RDBStorage:
        """Open the database, and create its tables where it has none; to be done under `lock`."""
        connect = {"timeout": SQLITE_PATIENCE} if self.is_sqlite else connect_arguments(self.url)
        with undisturbed_logging():
            address = self.url.render_as_string(hide_password=False)
            return RDBStorage(address, {"connect_args": connect})


def _innermost(error: ImportError) -> ImportError:
    """Optuna's error of a missing driver is made of Python's, which has the name of the module."""
    cause = error.__cause__ or error.__context__
    return cause if isinstance(cause, ImportError) else error


class SharedStudy:
    """A study that several processes may work on at once.

    Every trial says which process runs it. What one process decides from what it reads, such as
    whether another trial is to begin, is done under a lock; where machines share the database,
    a trial that two of them have begun at once is withdrawn by the one that came second.
    """

    def __init__(
        self,
        place: Place,
        terms: Mapping[str, Any],
        before: Mapping[str, Any] | None = None,
        pruner: BasePruner | None = None,
    ) -> None:
        """Begin or join a study.

        Args:
            place: where it is kept.
            terms: what all its trials have to share, so that they can be compared.
            before: those of them that studies had before they were kept; None for unknown.
            pruner: says which trials are ended early; None for none.

        Raises:
            SweepError: the study was begun on other terms.
        """
        self._place = place
        with self.alone():
            self._study = optuna.create_study(
                study_name=place.name,
                storage=place.connect(),
                direction="maximize",
                pruner=pruner or NopPruner(),
                load_if_exists=True,
            )
            kept = self._study.user_attrs
            former = {**(before or {}), **kept} if kept else {}
            # A study that is refused stays as it is.
            for name, value in terms.items():
                if former.get(name, value) != value:
                    raise SweepError(
                        f"study {place.name} in {place} was begun with {name} {former[name]}, and "
                        f"not {value}; give the same, or another name in study"
                    )
            for name in terms.keys() - kept.keys():
                self._study.set_user_attr(name, terms[name])

    def changes(self, facts: Mapping[str, str]) -> str:
        """What differs from when the study was begun, in words; empty for nothing.

        Args:
            facts: what may differ, by name.
        """
        with self.alone():
            former = self._study.user_attrs
            for name in facts.keys() - former.keys():
                self._study.set_user_attr(name, facts[name])
        return differences(former, facts)

    @property
    def optuna(self) -> optuna.Study:
        """The study itself, for whoever only reads it."""
        return self._study

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """Trials in some states, or all, by number."""
        return self._study.get_trials(deepcopy=False, states=states or None)

    def take(self, begin: Begin, is_wanted: IsWanted, is_surplus: IsSurplus) -> Trial | None:
        """A trial for this process to run: one that a dead process left, or else a new one.

        Args:
            begin: gives a new trial, with all that is to be tried in it; None where no further
                one is wanted.
            is_wanted: whether a trial that was left behind is to be gone on with.
            is_surplus: whether another machine has begun the same before.

        Returns:
            The trial, signed by this process; None where no further one is wanted.
        """
        with self.alone():
            trial = self._left_behind(is_wanted)
            while trial is None and (trial := begin()) is not None:
                if is_surplus(trial):
                    self.fail(trial, "another machine has begun the same trial")
                    trial = None
            if trial is not None:
                for name, value in ProcessSign.own().tags().items():
                    trial.set_user_attr(name, value)
            return trial

    def finish(self, trial: Trial, value: float | None) -> None:
        """Let a trial be complete with a value, or pruned without one."""
        if value is None:
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, value)

    def fail(self, trial: Trial, reason: str) -> None:
        """Let a trial count for nothing."""
        trial.set_user_attr(FAILURE, without_credentials(reason))
        self._study.tell(trial, state=TrialState.FAIL)

    def describe_running(self) -> list[str]:
        """A line a trial that some process runs, and how to give up one of a lost machine."""
        lines = []
        for trial in self.trials(TrialState.RUNNING):
            process = ProcessSign.from_tags(trial.user_attrs)
            who = "an unknown process"
            if process is not None:
                who = f"process {process.number} on {process.host}"
            line = f"trial {trial.number} is still run by {who}"
            if process is None or not process.is_alive_here():
                named = ("--storage", str(self._place), "--study-name", self._place.name)
                number = ("--trial-number", str(trial.number))
                tell = shlex.join(["optuna", "tell", *named, *number, "--state", "fail"])
                line += f"; if that is lost, {tell} lets the next start replace it"
            lines.append(line)
        return lines

    def alone(self) -> AbstractContextManager[object]:
        """Keep the other processes of this machine from the study while a block runs."""
        return one_at_a_time(self._place.lock, f"uses study {self._place.name}")

    def _left_behind(self, is_wanted: IsWanted) -> Trial | None:
        for trial in self.trials(TrialState.RUNNING):
            process = ProcessSign.from_tags(trial.user_attrs)
            if process is not None and process.is_dead_here() and is_wanted(trial):
                return Trial(self._study, trial._trial_id)
        return None


def counted(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Trials but for those that have failed, which count for nothing."""
    return [trial for trial in trials if trial.state != TrialState.FAIL]
