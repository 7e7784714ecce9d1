"""What a training has to tell the tracking server, on disk until the server has it."""

import json
import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout
from mlflow import MlflowClient
from mlflow.entities import Metric
from PIL import Image

from srcnn_mlflow.machine.errors import SrcnnError, TrackingError, WriteError
from srcnn_mlflow.machine.faults import explain, reason_of
from srcnn_mlflow.machine.places import former_home, home, kept
from srcnn_mlflow.machine.server_faults import server_fault
from srcnn_mlflow.machine.text import first_line, rounded
from srcnn_mlflow.tracking.reachability import is_away
from srcnn_mlflow.tracking.runs import log_file
from srcnn_mlflow.tracking.store import tracking_address

# Below the folder of work.
OUTBOX_FOLDER = "outbox"
logger = logging.getLogger(__name__)
# A server that answers again is noticed within this time, and MLflow's own waiting.
SECONDS_BETWEEN_TRIES = 2.0
_FACTS, _FILES, _IMAGE = "facts.json", "files", "image.png"


@dataclass(frozen=True)
class Parcel:
    """What belongs to one epoch, and is kept as a whole or not at all.

    Attributes:
        step: the epoch.
        metrics: values by name.
        files: local files.
        folder: where among the run's artifacts these go.
        image: a picture that the UI shows by the step, and its key; None for no picture.
    """

    step: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    files: Sequence[Path] = ()
    folder: str = ""
    image: tuple[str, Image.Image] | None = None


class Outbox:
    """The parcels of one run, sent in their order by a thread while the training goes on.

    A parcel is on disk before `put` returns, and leaves the disk when the server has it, so that
    neither a server that is away nor a killed process loses any.
    """

    def __init__(self, run_id: str) -> None:
        self._run_id, self._folder = run_id, folder_of(run_id)
        self._changed = threading.Condition()
        # Tries that have begun, and the last that found the server away.
        self._tries, self._failed = 0, 0
        self._reason = ""
        self._refusal: Exception | None = None
        self._closing = False
        # When the last parcel was put, in milliseconds since 1970.
        self._latest = 0

    def put(self, parcel: Parcel) -> None:
        """Keep a parcel, and have it sent.

        Raises:
            TrackingError: the server refuses what was put before.
            WriteError: the disk does not take it.
        """
        self._check_refusal()
        with self._changed:
            # The server puts a metric's values in the order of their times.
            self._latest = max(int(time.time() * 1000), self._latest + 1)
            _write(parcel, self._folder, self._latest)
            self._changed.notify_all()

    @contextmanager
    def open(self) -> Iterator[None]:
        """Send what is put, and what an earlier process has left, until the block ends.

        The end waits until all is sent, or until one more try has found the server away; how long
        a try lasts is decided by `MLFLOW_HTTP_REQUEST_MAX_RETRIES`.

        Raises:
            TrackingError: another process sends for this run, the server refuses a parcel, or it
                is away when all is done.
        """
        with _held(self._folder):
            self._closing = False
            thread = threading.Thread(target=self._send_all, name="outbox", daemon=True)
            thread.start()
            try:
                yield
                self._wait()
            except TrackingError:
                raise
            except BaseException:
                try:
                    self._wait()
                except TrackingError as error:
                    # The first error is raised; what it leaves behind is told beside it.
                    logger.warning(str(error))
                raise
            finally:
                self._close()
                # It removes what it has just sent; but it may be waiting for a server.
                thread.join(timeout=1)

    def send(self) -> int:
        """Send all parcels that lie here, and give their number.

        Raises:
            TrackingError: another process sends for this run, or the server is away or refuses.
        """
        sent = 0
        with _held(self._folder):
            for parcel in _parcels(self._folder):
                try:
                    _send(parcel, self._run_id)
                except Exception as error:
                    if not is_away(error):
                        raise self._refused(error) from error
                    self._reason = _reason(error)
                    raise self._away() from error
                sent += 1
        return sent

    def _send_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or bool(_parcels(self._folder)))
                if self._closing:
                    return
                self._tries += 1
                parcel = _parcels(self._folder)[0]
            try:
                _send(parcel, self._run_id)
                pause = 0.0
            except Exception as error:
                if not is_away(error):
                    with self._changed:
                        self._refusal = error
                        self._changed.notify_all()
                    return
                self._reason, pause = _reason(error), SECONDS_BETWEEN_TRIES
            with self._changed:
                if pause:
                    self._failed = self._tries
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._closing, timeout=pause)

    def _wait(self) -> None:
        with self._changed:
            last = self._tries
            self._changed.wait_for(
                lambda: self._refusal or self._failed > last or not _parcels(self._folder)
            )
        self._check_refusal()
        if _parcels(self._folder):
            # It has been waited for; what is left to say to it should not wait as long again.
            os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
            raise self._away()

    def _close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def _check_refusal(self) -> None:
        if self._refusal is not None:
            raise self._refused(self._refusal) from self._refusal

    def _refused(self, error: Exception) -> TrackingError:
        kept = f"it is kept in {self._folder}, and `srcnn-mlflow send` tries again"
        what = f"what run {self._run_id} has measured"
        if isinstance(error, SrcnnError):
            return TrackingError(f"{what} cannot be sent: {error}; {kept}")
        if isinstance(error, OSError) and server_fault(error) is None:
            return TrackingError(f"{what} cannot be sent: {_reason(error)}; {kept}")
        return TrackingError(
            f"{tracking_address()} does not take {what} ({_reason(error)}); {kept}"
        )

    def _away(self) -> "TrackingError":
        return TrackingError(
            f"{tracking_address()} does not answer ({self._reason}); "
            f"{len(_parcels(self._folder))} epoch(s) of run {self._run_id} are kept in "
            f"{self._folder}, and `srcnn-mlflow send` sends them when it is back"
        )


def folder_of(run_id: str) -> Path:
    """Where a run's parcels lie, or would."""
    return kept(f"{OUTBOX_FOLDER}/{run_id}")


def waiting_runs() -> list[str]:
    """The ids of the runs that have parcels waiting."""
    folders = (home() / OUTBOX_FOLDER, former_home() / OUTBOX_FOLDER)
    runs = (path for folder in folders for path in folder.glob("*") if path.is_dir())
    return sorted({path.name for path in runs if _parcels(path)})


def server_of(run_id: str) -> str | None:
    """The address of the server that a run's parcels were put up for; None where they do not say.

    It has no credentials, and the same server may have another address by now.
    """
    for parcel in _parcels(folder_of(run_id)):
        # Whatever a parcel lacks is told when it is sent.
        with suppress(OSError, ValueError):
            facts = json.loads((parcel / _FACTS).read_text(encoding="utf-8"))
            return str(facts["server"]) if "server" in facts else None
    return None


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Let no other process send the same parcels; the folder is gone when it is empty."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_suffix(".lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise TrackingError(
            f"another process of this machine works on run {folder.name}; wait for it, or end it"
        ) from None
    try:
        for rest in folder.glob("*.partial"):
            shutil.rmtree(rest)
        yield
    finally:
        if not any(folder.iterdir()):
            folder.rmdir()
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def _parcels(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.suffix != ".partial")


def _next_number(folder: Path) -> int:
    """The place of a new parcel, behind all that wait; no clock, which may go back, has a say."""
    numbers = [re.match(r"\d+", path.name) for path in folder.glob("*")]
    return 1 + max((int(number[0]) for number in numbers if number), default=0)


def _write(parcel: Parcel, folder: Path, timestamp: int) -> None:
    """Put a parcel on disk; it has its final name only when it is whole."""
    number = _next_number(folder)
    partial = folder / f"{number}.partial"
    try:
        (partial / _FILES).mkdir(parents=True)
        _fill(partial, parcel, timestamp)
        partial.replace(folder / f"{number:015d}-{parcel.step:06d}")
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        size = sum(file.stat().st_size for file in parcel.files)
        reason = reason_of(error, Path.cwd(), size)
        raise WriteError(
            f"cannot write epoch {parcel.step} to {folder}, where it waits to be sent: {reason}"
        ) from error


def _fill(partial: Path, parcel: Parcel, timestamp: int) -> None:
    facts = {
        "server": tracking_address(),
        "step": parcel.step,
        "timestamp": timestamp,
        "metrics": {name: rounded(value) for name, value in parcel.metrics.items()},
        "folder": parcel.folder,
    }
    for file in parcel.files:
        shutil.copyfile(file, partial / _FILES / file.name)
    if parcel.image is not None:
        facts["image"], picture = parcel.image
        picture.save(partial / _IMAGE)
    (partial / _FACTS).write_text(json.dumps(facts), encoding="utf-8")
    for path in partial.glob("**/*"):
        if path.is_file():
            _flush(path)


def _flush(path: Path) -> None:
    """Let a file survive a loss of power."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _send(parcel: Path, run_id: str) -> None:
    """Send a parcel, and remove it; sending one twice adds nothing, but for the picture."""
    try:
        facts = json.loads((parcel / _FACTS).read_text(encoding="utf-8"))
    except ValueError as error:
        raise TrackingError(f"{parcel} is damaged; remove it to give that epoch up") from error
    client, step, timestamp = MlflowClient(), facts["step"], facts["timestamp"]
    for file in sorted((parcel / _FILES).iterdir()):
        log_file(run_id, file, facts["folder"])
    if "image" in facts:
        with Image.open(parcel / _IMAGE) as image:
            client.log_image(
                run_id,
                image,
                key=facts["image"],
                step=step,
                timestamp=timestamp,
                synchronous=True,
            )
    metrics = [Metric(name, value, timestamp, step) for name, value in facts["metrics"].items()]
    client.log_batch(run_id, metrics=metrics, synchronous=True)
    # Renamed first, because removing a folder takes more than one step.
    rest = parcel.with_suffix(".partial")
    parcel.replace(rest)
    shutil.rmtree(rest)


def _reason(error: Exception) -> str:
    """Why a parcel was not taken, without what a person can do about it."""
    fault = server_fault(error)
    return fault.said if fault else explain(error) or first_line(error)
