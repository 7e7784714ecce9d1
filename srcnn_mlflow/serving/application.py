"""What clients meet: MLflow's scoring protocol, pictures, and refusals that come in time."""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from importlib.metadata import version as package_version
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from srcnn_mlflow.serving.limits import ServiceLimits
from srcnn_mlflow.serving.service import ScaleService
from srcnn_mlflow.serving.worker import Answer, Question, WorkerEndedError

FORMATS = ("png", "jpeg", "webp")
_JSON = "application/json"
# As MLflow's own answers name them.
_CODES = {
    400: "INVALID_PARAMETER_VALUE",
    404: "ENDPOINT_NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "TEMPORARILY_UNAVAILABLE",
}

logger = logging.getLogger(__name__)


class RefusedError(Exception):
    """A request that is not answered, with the status and the reason that the client is told."""

    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        super().__init__(reason)


class Application:
    """The routes, over one service a scale; the first scale is taken where none is named."""

    def __init__(self, services: Mapping[int, ScaleService], limits: ServiceLimits) -> None:
        self._services, self._limits = services, limits
        self._present = 0
        self._asgi = Starlette(
            routes=[
                Route("/invocations", self._invocations, methods=["POST"]),
                Route("/upscale", self._upscale, methods=["POST"]),
                Route("/ping", _ping),
                Route("/health", _ping),
                Route("/version", _version),
            ],
            exception_handlers={HTTPException: _no_such_place},
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request, by ASGI."""
        await self._asgi(scope, receive, send)

    async def _invocations(self, request: Request) -> Response:
        async def read() -> tuple[int, Question]:
            body = await _body(request, self._limits)
            scale, body = await asyncio.to_thread(self._scale_and_body, request, body)
            return scale, Question(body, request.headers.get("content-type"))

        return await self._noted(request, read)

    async def _upscale(self, request: Request) -> Response:
        async def read() -> tuple[int, Question]:
            kind = accepted_format(request.headers.get("accept", "*/*"))
            scale = self._named_scale(request.query_params.get("scale"))
            body = await _body(request, self._limits)
            return scale, Question(body, format=kind)

        return await self._noted(request, read)

    async def _noted(
        self, request: Request, read: Callable[[], Awaitable[tuple[int, Question]]]
    ) -> Response:
        """Answer a request, and log that as a line of JSON, without anything that was sent."""
        begun = time.monotonic()
        response = await self._in_time(request, read)
        about = {
            "place": request.url.path,
            "status": response.status_code,
            "seconds": round(time.monotonic() - begun, 3),
            "version": response.headers.get("X-Model-Version"),
        }
        logger.info("%s", json.dumps(about))
        return response

    async def _in_time(
        self, request: Request, read: Callable[[], Awaitable[tuple[int, Question]]]
    ) -> Response:
        """Read a request and answer it, or refuse it by its deadline."""
        if self._present >= self._limits.requests:
            return _refusal(429, "the service has as much to do as it takes on; try again soon")
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
                return _response(work)
            if leaving.done():
                return Response(status_code=499)
            return _refusal(*stage.too_late(self._limits.seconds))
        finally:
            self._present -= 1
            for task in (work, leaving):
                task.cancel()

    async def _answer(
        self, read: Callable[[], Awaitable[tuple[int, Question]]], stage: "_Stage"
    ) -> Answer:
        scale, question = await read()
        stage.read.set()
        return await self._services[scale].answer(question)

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


async def _body(request: Request, limits: ServiceLimits) -> bytes:
    most = int(limits.request_megabytes * 1e6)
    refused = RefusedError(413, f"a request may have {limits.request_megabytes:g} MB; send less")
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > most:
        raise refused
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise refused
    return bytes(body)


def accepted_format(accept: str) -> str:
    """The kind of picture file that a client would like best, of those that are written.

    Raises:
        RefusedError: it takes none of them.

    >>> accepted_format("image/webp;q=0.8, image/jpeg"), accepted_format("*/*")
    ('jpeg', 'png')
    """
    best, liked = "", 0.0
    for one in accept.split(","):
        name, *about = (part.strip().lower() for part in one.split(";"))
        weight = next((part[2:] for part in about if part.startswith("q=")), "1")
        kind = "png" if name in ("", "*/*", "image/*") else name.removeprefix("image/")
        kind = "jpeg" if kind == "jpg" else kind
        try:
            wanted = float(weight)
        except ValueError:
            continue
        if kind in FORMATS and wanted > liked:
            best, liked = kind, wanted
    if not best:
        raise RefusedError(406, "answers are image/png, image/jpeg or image/webp; accept one")
    return best


def _response(work: "asyncio.Task[Answer]") -> Response:
    try:
        answer = work.result()
    except RefusedError as error:
        return _refusal(error.status, str(error))
    except ClientDisconnect:
        return Response(status_code=499)
    except WorkerEndedError as error:
        logger.error("a request was not answered: %s", error)
        return _refusal(503, "the model's process has ended, and is started anew; try again soon")
    except Exception:
        logger.exception("a request has failed")
        return _refusal(500, "the service has failed on the request; its log says more")
    return Response(
        answer.body,
        answer.status,
        headers={"X-Model-Version": answer.label},
        media_type=answer.content_type,
    )


def _refusal(status: int, reason: str) -> Response:
    told = {"error_code": _CODES.get(status, HTTPStatus(status).name), "message": reason}
    headers = {"Retry-After": "5"} if status in (429, 503) else {}
    if status in (408, 413, 504):
        # What is still on its way would be taken for the next request.
        headers["Connection"] = "close"
    return Response(json.dumps(told), status, headers=headers, media_type=_JSON)


async def _ping(_: Request) -> Response:
    return Response("\n", media_type=_JSON)


async def _version(_: Request) -> Response:
    return Response(package_version("mlflow"), media_type=_JSON)


async def _no_such_place(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    places = "POST /invocations or /upscale; GET /ping, /health or /version"
    answer = _refusal(error.status_code, f"{error.detail}; there are {places}")
    answer.headers.update(error.headers or {})
    return answer
