"""One scale of the service: the version that its alias points to, and the next one."""

import asyncio
import logging
import time
from dataclasses import dataclass, replace

from srcnn_mlflow.machine.errors import DamagedModelError, ModelError, SrcnnError
from srcnn_mlflow.machine.faults import explain
from srcnn_mlflow.machine.processors import available_cores
from srcnn_mlflow.machine.text import first_line
from srcnn_mlflow.network.shipped import SHIPPED
from srcnn_mlflow.serving.choices import BICUBIC, Choice, choices
from srcnn_mlflow.serving.limits import ServiceLimits
from srcnn_mlflow.serving.loading import load
from srcnn_mlflow.serving.pool import Pool
from srcnn_mlflow.serving.worker import Answer, Question
from srcnn_mlflow.tracking.registry import (
    CHAMPION,
    FoundModel,
    find_model,
    model_name,
    version_with_alias,
)
from srcnn_mlflow.tracking.version_list import ListedVersion, list_versions

# How long a promotion waits until it is seen.
SECONDS_BETWEEN_LOOKS = 2.0
# Processes that are kept free for small requests, each of some 240 MB.
MOST_FOR_SMALL_ONES = 2
# How long a version that cannot be run is left alone: twice as long each time.
_FIRST_PAUSE, _LONGEST_PAUSE = 10.0, 600.0
# Of the registered versions, the newest may be chosen; how long they are not looked for again.
_MOST_LISTED, _SECONDS_LISTED = 50, 5.0

logger = logging.getLogger(__name__)


@dataclass
class _Pause:
    """A version that could not be run, until when it is left alone, and for how long."""

    version: int
    until: float
    seconds: float


class ScaleService:
    """Answers with the version that an alias points to, and takes up another when it moves.

    Attributes:
        pool: its processes.
        pixels: of the pictures that it has made.
        swaps: how many versions have taken over from another one.
        refusals: how many times a version could not be run.
    """

    def __init__(self, scale: int, alias: str, limits: ServiceLimits) -> None:
        self.scale = scale
        self._alias = alias
        self._megapixels = limits.output_megapixels / scale**2
        self._pause: _Pause | None = None
        self._told = ""
        self._present: FoundModel | None = None
        self._listed: list[ListedVersion] = []
        self._listed_until = 0.0
        self._guests: dict[int, FoundModel] = {}
        self.pool = Pool(for_small_ones=min(MOST_FOR_SMALL_ONES, available_cores()))
        self.pixels = self.swaps = self.refusals = 0

    @property
    def label(self) -> str:
        """The version that is served, as answers name it; empty before there is one."""
        return "" if self._present is None else self._present.label

    @property
    def number(self) -> int | None:
        """Its number in the registry; None for the weights that ship."""
        return None if self._present is None else self._present.version

    async def start(self) -> None:
        """Begin with what the alias points to, or with the shipped weights in place of a champion.

        Raises:
            SrcnnError: there is no such version, or it cannot be loaded or run.
        """
        number = await asyncio.to_thread(version_with_alias, self.scale, self._alias)
        if number is None and self._alias != CHAMPION:
            raise ModelError(
                f"the registry has no {self._alias} of {model_name(self.scale)}; train one with "
                f"scale={self.scale} first, or give another alias"
            )
        if number is None:
            logger.info(
                "%s has no champion yet, so the shipped weights are served", model_name(self.scale)
            )
        await self._take_up(SHIPPED if number is None else str(number))

    async def follow(self) -> None:
        """Look again and again where the alias points to, and take up what is new there."""
        while True:
            await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
            try:
                await self._look()
            except Exception as error:
                self._tell_once(f"{model_name(self.scale)} stays as it is: {_reason(error)}")

    async def answer(self, question: Question) -> Answer:
        """Ask the present version.

        Raises:
            WorkerEndedError: its process has ended in the middle.
        """
        answer = await self.pool.answer(question)
        self.pixels += answer.pixels
        return answer

    async def bicubic(self, question: Question) -> Answer:
        """Let a process enlarge a picture by bicubic interpolation in place of its model.

        Raises:
            WorkerEndedError: it has ended in the middle.
        """
        answer = await self.answer(replace(question, bicubic=self.scale))
        return replace(answer, label=BICUBIC)

    async def choices(self) -> list[Choice]:
        """What may be compared; of the registry, what it had last where it does not answer."""
        await self._list()
        return choices(self.label, self.number, self._alias, self._listed)

    async def begin_guest(self, number: int) -> Pool:
        """Load another version into a process of its own.

        Raises:
            ModelError: there is none, or it cannot be run.
        """
        await self._list()
        if number not in [version.number for version in self._listed]:
            raise ModelError(
                f"{model_name(self.scale)} has no version {number} among its newest "
                f"{_MOST_LISTED}; GET /versions names them"
            )
        if number not in self._guests:
            self._guests[number] = await asyncio.to_thread(find_model, str(number), self.scale)
        pool = Pool(for_small_ones=0)
        await load(self._guests[number], self.scale, self._megapixels, pool)
        return pool

    async def close(self) -> None:
        """End its processes."""
        await self.pool.close()

    async def _list(self) -> None:
        if time.monotonic() < self._listed_until:
            return
        self._listed_until = time.monotonic() + _SECONDS_LISTED
        try:
            self._listed = await asyncio.to_thread(list_versions, self.scale, _MOST_LISTED)
        except Exception as error:
            self._tell_once(f"the versions of {model_name(self.scale)}: {_reason(error)}")

    async def _look(self) -> None:
        number = await asyncio.to_thread(version_with_alias, self.scale, self._alias)
        pause = self._pause if self._pause and self._pause.version == number else None
        if number is None or number == self.number or (pause and time.monotonic() < pause.until):
            return
        try:
            await self._take_up(str(number))
        except DamagedModelError:
            # A server that is away is asked again at once; loading a model takes a while.
            seconds = min(2 * pause.seconds, _LONGEST_PAUSE) if pause else _FIRST_PAUSE
            self._pause = _Pause(number, time.monotonic() + seconds, seconds)
            self.refusals += 1
            raise

    async def _take_up(self, reference: str) -> None:
        found = await asyncio.to_thread(find_model, reference, self.scale)
        await load(found, self.scale, self._megapixels, self.pool)
        self.swaps += self._present is not None
        self._present, self._pause = found, None
        self._told = ""
        logger.info("%s is served", found.name)

    def _tell_once(self, message: str) -> None:
        if message != self._told:
            logger.warning("%s", message)
        self._told = message


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, SrcnnError) else explain(error) or first_line(error)
