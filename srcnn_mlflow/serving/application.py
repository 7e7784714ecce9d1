"""What clients meet: MLflow's scoring protocol, pictures, and refusals that come in time."""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version as package_version
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from srcnn_mlflow.serving.choices import BICUBIC, SERVED
from srcnn_mlflow.serving.guests import Guests
from srcnn_mlflow.serving.limits import ServiceLimits
from srcnn_mlflow.serving.metrics import CONTENT_TYPE, Metrics
from srcnn_mlflow.serving.page import page_routes
from srcnn_mlflow.serving.reading import (
    RefusedError,
    accepted_format,
    named_version,
    read_body,
    read_picture,
)
from srcnn_mlflow.serving.responses import JSON, refusal, response
from srcnn_mlflow.serving.service import ScaleService
from srcnn_mlflow.serving.worker import Answer, Question

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wanted:
    """A question, and whom it is for: `bicubic`, `served`, or a version's number."""

    scale: int
    question: Question
    version: str = SERVED


class Application:
    """The routes, over one service a scale; the first scale is taken where none is named."""

    def __init__(
        self, services: Mapping[int, ScaleService], guests: Guests, limits: ServiceLimits
    ) -> None:
        self._services, self._guests, self._limits = services, guests, limits
        self._metrics = Metrics(services, guests)
        self._present = 0
        self._asgi = Starlette(
            routes=[
                Route("/invocations", self._invocations, methods=["POST"]),
                Route("/upscale", self._upscale, methods=["POST"]),
                Route("/ping", _ping),
                Route("/health", _ping),
                Route("/version", _version),
                Route("/versions", self._versions),
                Route("/metrics", self._numbers),
                *page_routes(services, limits),
            ],
            exception_handlers={HTTPException: _no_such_place},
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request, by ASGI."""
        await self._asgi(scope, receive, send)

    async def _invocations(self, request: Request) -> Response:
        async def read() -> Wanted:
            body = await read_body(request, self._limits)
            scale, body = await asyncio.to_thread(self._scale_and_body, request, body)
            return Wanted(scale, Question(body, request.headers.get("content-type")))

        return await self._noted(request, read)

    async def _upscale(self, request: Request) -> Response:
        async def read() -> Wanted:
            kind = accepted_format(request.headers.get("accept", "*/*"))
            named = request.query_params.get("scale")
            scale = self._named_scale(named)
            version = named_version(request.query_params.get("version", SERVED))
            form = await read_picture(request, self._limits)
            if named is None:
                scale = self._named_scale(form.fields.get("scale"))
            return Wanted(scale, Question(form.picture, format=kind), version)

        return await self._noted(request, read)

    async def _noted(self, request: Request, read: Callable[[], Awaitable[Wanted]]) -> Response:
        """Answer a request, and log that as a line of JSON, without anything that was sent."""
        begun, place = time.monotonic(), request.url.path
        answer = await self._in_time(request, read)
        seconds = time.monotonic() - begun
        self._metrics.note(place, answer.status_code, seconds)
        about = {
            "place": place,
            "status": answer.status_code,
            "seconds": round(seconds, 3),
            "version": answer.headers.get("X-Model-Version"),
        }
        logger.info("%s", json.dumps(about))
        return answer

    async def _versions(self, _: Request) -> Response:
        found = {
            scale: [asdict(one) for one in await service.choices()]
            for scale, service in self._services.items()
        }
        return Response(json.dumps(found), media_type=JSON)

    async def _numbers(self, _: Request) -> Response:
        return Response(self._metrics.text(), media_type=CONTENT_TYPE)

    async def _in_time(self, request: Request, read: Callable[[], Awaitable[Wanted]]) -> Response:
        """Read a request and answer it, or refuse it by its deadline."""
        if self._present >= self._limits.requests:
            return refusal(429, "the service has as much to do as it takes on; try again soon")
        self._present += 1
        stage = _Stage()
        work = asyncio.create_task(self._answer(read, stage))
        leaving = asyncio.create_task(_leaves(request, stage))
        try:
            await asyncio.wait(
                {work, leaving},
                timeout=self._limits.seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if work.done():
                return response(work)
            if leaving.done():
                return Response(status_code=499)
            return refusal(*stage.too_late(self._limits.seconds))
        finally:
            self._present -= 1
            for task in (work, leaving):
                task.cancel()

    async def _answer(self, read: Callable[[], Awaitable[Wanted]], stage: "_Stage") -> Answer:
        wanted = await read()
        stage.read.set()
        service = self._services[wanted.scale]
        if wanted.version == BICUBIC:
            return await service.bicubic(wanted.question)
        if wanted.version in (SERVED, str(service.number)):
            return await service.answer(wanted.question)
        number = int(wanted.version)
        name = (wanted.scale, number)
        return await self._guests.answer(
            name, partial(service.begin_guest, number), wanted.question
        )

    def _named_scale(self, text: str | None) -> int:
        if text is None:
            return next(iter(self._services))
        for scale in self._services:
            if text == str(scale):
                return scale
        served = " and ".join(map(str, self._services))
        raise RefusedError(400, f"scale {text[:16]!r} is not served here; give {served}")

    def _scale_and_body(self, request: Request, body: bytes) -> tuple[int, bytes]:
        """The scale that a request names, by its address or its `params`; without these."""
        named = request.query_params.get("scale")
        if named is not None or b'"params"' not in body:
            return self._named_scale(named), body
        try:
            content = json.loads(body)
            scale = content["params"].pop("scale")
        except (ValueError, KeyError, TypeError, AttributeError):
            # The model says what is wrong with it.
            return self._named_scale(None), body
        return self._named_scale(str(scale)), json.dumps(content).encode()


class _Stage:
    """How far a request has come."""

    def __init__(self) -> None:
        self.read = asyncio.Event()

    def too_late(self, seconds: float) -> tuple[int, str]:
        """What a client is told whose request is not answered by its deadline."""
        if not self.read.is_set():
            return 408, f"the request was not sent within {seconds:g} seconds; send it again"
        return 504, (
            f"the request was not answered within {seconds:g} seconds, and is given up; send "
            "smaller or fewer pictures, or try again when there is less to do"
        )


async def _leaves(request: Request, stage: _Stage) -> None:
    """End when the client has gone, once its request is read."""
    await stage.read.wait()
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _ping(_: Request) -> Response:
    return Response("\n", media_type=JSON)


async def _version(_: Request) -> Response:
    return Response(package_version("mlflow"), media_type=JSON)


async def _no_such_place(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    places = "POST /invocations or /upscale; GET /, /ping, /health, /version, /versions or /metrics"
    answer = refusal(error.status_code, f"{error.detail}; there are {places}")
    answer.headers.update(error.headers or {})
    return answer
