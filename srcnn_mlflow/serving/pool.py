"""The processes of a model's version, who waits for them, and how another version takes over."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from srcnn_mlflow.serving.worker import Answer, Question, Share, Worker, WorkerEndedError

# A photograph of 256x256 pixels as base64 of a PNG is smaller, one of a megapixel larger.
SMALL_REQUEST = 300_000
# How long until a process that cannot be replaced is tried again.
_SECONDS_TO_RETRY = 5.0

logger = logging.getLogger(__name__)

# Starts a process, for small requests only where it has a share of the processors.
Start = Callable[[Share | None], Awaitable[Worker]]


@dataclass(eq=False)
class _Waiting:
    small: bool
    turn: "asyncio.Future[Worker]"


class Pool:
    """Processes of one version: one for all requests, and some kept free for small ones.

    A large picture uses all cores by itself, so that two at once would gain nothing, and let all
    others wait. A small one is decoded and encoded by one core for longer than all compute: several
    go faster where each keeps to cores of its own, and one by itself where it has all of them.
    """

    def __init__(self, *, for_small_ones: int) -> None:
        """Make it without processes; see `take_over`.

        Args:
            for_small_ones: how many are for small requests only.
        """
        shares = [Share(number, for_small_ones) for number in range(for_small_ones)]
        self._shares = (None, *shares)
        self._start: Start | None = None
        self._all: set[Worker] = set()
        self._idle: list[Worker] = []
        self._waiting: deque[_Waiting] = deque()
        self._chores: set[asyncio.Task[None]] = set()

    @property
    def workers(self) -> frozenset[Worker]:
        """The processes of the present version."""
        return frozenset(self._all)

    @property
    def waiting(self) -> int:
        """How many requests wait for one of them."""
        return len(self._waiting)

    async def take_over(self, start: Start, check: Callable[[Worker], Awaitable[None]]) -> None:
        """Start a version's processes and check them; then all that is new goes to them.

        What the former ones work on they finish. Where this one fails, they go on.

        Args:
            start: starts one of its processes.
            check: asks one of them something, and raises where the answer is wrong.
        """
        workers = [await start(share) for share in self._shares]
        try:
            await asyncio.gather(*map(check, workers))
        except BaseException:
            await asyncio.gather(*(worker.close() for worker in workers))
            raise
        former, self._idle = self._idle, []
        self._start, self._all = start, set(workers)
        for worker in workers:
            self._free(worker)
        for worker in former:
            self._begin(worker.close())

    async def answer(self, question: Question) -> Answer:
        """Wait for a free process, and ask it.

        Raises:
            WorkerEndedError: it has ended in the middle.
        """
        worker = await self._take(len(question.body) < SMALL_REQUEST)
        try:
            return await worker.ask(question)
        finally:
            self._begin(self._give_back(worker))

    async def close(self) -> None:
        """End all processes."""
        self._start = None
        workers, self._all, self._idle = self._all, set(), []
        for chore in self._chores:
            chore.cancel()
        await asyncio.gather(*(worker.close() for worker in workers))

    async def _take(self, small: bool) -> Worker:
        # Beside others a small request takes what is kept for those first, and of these the last
        # one that was taken: what it needs is still in the processor's cache.
        alone = len(self._idle) == len(self._all)
        for worker in sorted(reversed(self._idle), key=lambda one: one.small_only is alone):
            if not small and worker.small_only:
                continue
            self._idle.remove(worker)
            if worker.is_alive:
                return worker
            self._begin(self._replace(worker))
        waiting = _Waiting(small, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        try:
            return await waiting.turn
        except asyncio.CancelledError:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
            elif not waiting.turn.cancelled():
                self._free(waiting.turn.result())
            raise

    async def _give_back(self, worker: Worker) -> None:
        await worker.settle()
        if worker not in self._all:
            await worker.close()
        elif worker.is_alive:
            self._free(worker)
        else:
            await self._replace(worker)

    def _free(self, worker: Worker) -> None:
        for waiting in self._waiting:
            if waiting.small or not worker.small_only:
                self._waiting.remove(waiting)
                if not waiting.turn.cancelled():
                    waiting.turn.set_result(worker)
                    return
                self._free(worker)
                return
        self._idle.append(worker)

    async def _replace(self, worker: Worker) -> None:
        await worker.close()
        logger.warning("a process of %s has ended and is started anew", worker.label)
        while worker in self._all and self._start is not None:
            start = self._start
            another = await start(worker.share)
            try:
                # It answers once its model is loaded.
                await another.ask(Question(b"", "none"))
            except WorkerEndedError as error:
                logger.warning("%s", error)
                await another.close()
                await asyncio.sleep(_SECONDS_TO_RETRY)
                continue
            if worker in self._all:
                self._all.remove(worker)
                self._all.add(another)
                self._free(another)
            else:
                await another.close()

    def _begin(self, chore: Coroutine[Any, Any, None]) -> None:
        """Do something beside the requests."""
        task = asyncio.create_task(chore)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)
