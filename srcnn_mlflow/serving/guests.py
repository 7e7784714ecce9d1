"""Versions that are asked for beside the served one: a few at once, and only while they are."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from srcnn_mlflow.serving.pool import Pool
from srcnn_mlflow.serving.reading import RefusedError
from srcnn_mlflow.serving.worker import Answer, Question, Worker

# Each is a process with a model in it.
_MOST = 2
_SECONDS_KEPT = 120.0

logger = logging.getLogger(__name__)

# A scale, and the number of a version.
Name = tuple[int, int]


@dataclass(eq=False)
class _Guest:
    pool: Pool
    asked: float
    busy: int = 0


class Guests:
    """Pools of a process each, which make room for others and end when nobody asks them."""

    def __init__(self) -> None:
        self._present: dict[Name, _Guest] = {}
        self._arriving = asyncio.Lock()
        self._chores: set[asyncio.Task[None]] = set()

    def workers(self, scale: int) -> list[Worker]:
        """The processes of a scale."""
        return [
            worker
            for (of_scale, _), guest in self._present.items()
            if of_scale == scale
            for worker in guest.pool.workers
        ]

    async def answer(
        self, name: Name, begin: Callable[[], Awaitable[Pool]], question: Question
    ) -> Answer:
        """Ask a version, which is loaded where it is not yet.

        Args:
            name: its scale and number.
            begin: loads it.
            question: for it.

        Raises:
            RefusedError: as many others as there may be are at work.
            WorkerEndedError: its process has ended in the middle.
        """
        guest = self._present.get(name)
        if guest is None:
            # Whoever leaves meanwhile leaves it to the next one who asks.
            guest = await asyncio.shield(asyncio.create_task(self._arrive(name, begin)))
        guest.busy += 1
        try:
            return await guest.pool.answer(question)
        finally:
            guest.busy -= 1
            guest.asked = time.monotonic()
            asyncio.get_running_loop().call_later(_SECONDS_KEPT, self._end_if_unasked, name)

    async def close(self) -> None:
        """End all of them."""
        guests, self._present = list(self._present.values()), {}
        await asyncio.gather(*(guest.pool.close() for guest in guests), *self._chores)

    async def _arrive(self, name: Name, begin: Callable[[], Awaitable[Pool]]) -> _Guest:
        async with self._arriving:
            if name in self._present:
                return self._present[name]
            await self._make_room()
            guest = _Guest(await begin(), time.monotonic())
            self._present[name] = guest
            return guest

    async def _make_room(self) -> None:
        if len(self._present) < _MOST:
            return
        free = [name for name, guest in self._present.items() if not guest.busy]
        if not free:
            raise RefusedError(429, "other versions are being compared; try again soon")
        longest_unasked = min(free, key=lambda name: self._present[name].asked)
        await self._present.pop(longest_unasked).pool.close()

    def _end_if_unasked(self, name: Name) -> None:
        guest = self._present.get(name)
        if guest and not guest.busy and time.monotonic() - guest.asked >= _SECONDS_KEPT:
            del self._present[name]
            chore = asyncio.create_task(guest.pool.close())
            self._chores.add(chore)
            chore.add_done_callback(self._chores.discard)
