"""One process that runs one version of a model, asked one thing at a time."""

import asyncio
import json
import logging
import os
import signal
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from srcnn_mlflow.machine.errors import DamagedModelError, ModelError
from srcnn_mlflow.machine.processors import take_own_cores

SCRIPT = Path(__file__).parents[1] / "tracking" / "serve_process.py"
# A picture is computed in tiles of less than a second; whoever does not stop between them is ended.
_SECONDS_TO_STOP = 3.0
# How much nicer a process is that works on large pictures, so that small ones go first.
_NICER, _NICEST = 15, 19
# Lines of standard error that tell why a process has ended.
_LAST_LINES = 20

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Share:
    """The share of the processors that a process for small requests keeps to.

    Attributes:
        number: which of these processes it is, from 0.
        processes: how many there are.
    """

    number: int
    processes: int


@dataclass(frozen=True)
class Question:
    """What a client asks of a model.

    Attributes:
        body: as it was sent.
        content_type: of the body; None where the client has not said.
        format: `png`, `jpeg` or `webp` where body and answer are picture files; None where they
            are those of MLflow's scoring server.
        bicubic: by how much bicubic interpolation is to enlarge it, in place of the model; None
            for the model.
    """

    body: bytes
    content_type: str | None = None
    format: str | None = None
    bicubic: int | None = None


@dataclass(frozen=True)
class Answer:
    """What a client is told.

    Attributes:
        status: of HTTP.
        content_type: of the body.
        body: the answer.
        label: the version that has answered.
        seconds: from the question to it.
        pixels: of the enlarged pictures in it.
    """

    status: int
    content_type: str
    body: bytes
    label: str
    seconds: float
    pixels: int


class WorkerEndedError(Exception):
    """The process is no more; the message says what it said last."""


class Worker:
    """A model's process."""

    def __init__(self, process: Process, label: str, share: Share | None) -> None:
        """Take a process that has been started; see `start`."""
        self.label, self.share = label, share
        self._process = process
        self._said: deque[str] = deque(maxlen=_LAST_LINES)
        self._listening = asyncio.create_task(self._listen())
        self._reading: asyncio.Task[Answer] | None = None

    @classmethod
    async def start(
        cls, folder: Path, label: str, environment: Mapping[str, str], share: Share | None
    ) -> "Worker":
        """Start the process of a model, which answers once it has loaded it.

        Args:
            folder: of an MLflow model.
            label: the version, as answers name it.
            environment: variables to be set for it.
            share: of the processors, where it is kept free for requests that take little time;
                None for one that takes all requests, and lets the others go first.
        """
        inherited = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        # -P, and a folder of nothing: the model brings its own copy of this package.
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", str(SCRIPT), str(folder.absolute())),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            cwd=tempfile.gettempdir(),
            env={**inherited, **environment},
            # Ctrl-C is for the service, which lets its processes finish.
            start_new_session=True,
        )
        # It has no threads yet; those to come will have the same.
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if share is None:
                _let_others_go_first(process.pid)
            else:
                take_own_cores(share.number, share.processes, process.pid)
        return cls(process, label, share)

    @property
    def small_only(self) -> bool:
        """Whether it is kept free for requests that take little time."""
        return self.share is not None

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.returncode is None

    def resident_bytes(self) -> int:
        """How much memory it has; none once it has ended."""
        try:
            return int(psutil.Process(self._process.pid).memory_info().rss)
        except psutil.NoSuchProcess:
            return 0

    async def ask(self, question: Question) -> Answer:
        """Ask, and wait for the answer; where nobody waits any more, its work is stopped.

        Raises:
            WorkerEndedError: it has ended instead.
        """
        self._reading = asyncio.create_task(self._exchange(question))
        try:
            return await asyncio.shield(self._reading)
        except asyncio.CancelledError:
            if self.is_alive:
                self._process.send_signal(signal.SIGUSR1)
            raise

    async def settle(self) -> None:
        """Wait until it does nothing any more; end it where that takes too long."""
        if self._reading is None:
            return
        done, _ = await asyncio.wait({self._reading}, timeout=_SECONDS_TO_STOP)
        if not done:
            logger.warning("%s did not stop its work, so its process is ended", self.label)
            self.kill()
            await asyncio.wait({self._reading})
        # Whoever has asked has been told of it.
        self._reading.exception()
        self._reading = None

    def kill(self) -> None:
        """End it at once."""
        if self.is_alive:
            self._process.kill()

    async def close(self) -> None:
        """End it, and wait for that."""
        self.kill()
        await self._process.wait()
        await self._listening

    def ended(self) -> ModelError:
        """Why it has ended, for a person."""
        code = self._process.returncode
        said = self._said[-1] if self._said else f"its process ended with exit code {code}"
        return DamagedModelError(f"{self.label} cannot be run: {said}")

    async def _exchange(self, question: Question) -> Answer:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        about = {
            "length": len(question.body),
            "content_type": question.content_type,
            "format": question.format,
            "bicubic": question.bicubic,
        }
        begun = time.monotonic()
        try:
            self._process.stdin.write(json.dumps(about).encode() + b"\n")
            self._process.stdin.write(question.body)
            await self._process.stdin.drain()
            told = json.loads(await self._process.stdout.readline() or "null")
            if told is None:
                raise EOFError
            body = await self._process.stdout.readexactly(told["length"])
        except (OSError, EOFError):
            await self._process.wait()
            await self._listening
            raise WorkerEndedError(str(self.ended())) from None
        seconds = time.monotonic() - begun
        return Answer(
            told["status"], told["content_type"], body, self.label, seconds, told["pixels"]
        )

    async def _listen(self) -> None:
        """Hand on what the model logs."""
        assert self._process.stderr is not None
        try:
            async for line in self._process.stderr:
                text = line.decode(errors="replace").rstrip()
                if text:
                    self._said.append(text)
                    logger.info("%s: %s", self.label, text)
        except ValueError:
            # A line of more than 64 KB: nothing that a person reads.
            self._said.append("a line that is too long")
            self.kill()


def _let_others_go_first(pid: int) -> None:
    """Lower the priority of a process, on Linux."""
    if psutil.LINUX:
        process = psutil.Process(pid)
        process.nice(min(process.nice() + _NICER, _NICEST))
