"""The HTTP server around the application, and the services beside it, from start to end."""

import asyncio
import logging
import socket
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import FrameType
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from srcnn_mlflow.machine.errors import ServiceError
from srcnn_mlflow.serving.application import Application
from srcnn_mlflow.serving.guests import Guests
from srcnn_mlflow.serving.limits import ServiceLimits
from srcnn_mlflow.serving.service import ScaleService

# For the headers of a request, and for a client to go on taking an answer.
_SECONDS_OF_SILENCE = 20.0

logger = logging.getLogger(__name__)


async def run_service(
    scales: Sequence[int], alias: str, host: str, port: int, limits: ServiceLimits
) -> None:
    """Serve until SIGTERM or Ctrl-C; what has been begun is answered before it ends.

    Raises:
        SrcnnError: the address or a model cannot be used.
    """
    services = {scale: ScaleService(scale, alias, limits) for scale in scales}
    async with AsyncExitStack() as stack:
        listening = stack.enter_context(_bound(host, port))
        for service in services.values():
            stack.push_async_callback(service.close)
            await service.start()
        following = [asyncio.create_task(service.follow()) for service in services.values()]
        for task in following:
            stack.callback(task.cancel)
        guests = Guests()
        stack.push_async_callback(guests.close)
        config = uvicorn.Config(
            Application(services, guests, limits),
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=round(limits.seconds),
        )
        listening.listen(config.backlog)
        logger.info("serving at http://%s:%d", host, port)
        await _Server(config).serve([listening])


def _bound(host: str, port: int) -> socket.socket:
    """A socket that has the address, and listens when the models are loaded."""
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    # Names that no network knows are refused by codecs, too.
    except (OSError, ValueError) as error:
        listening.close()
        raise ServiceError(
            f"cannot listen at {host} port {port}: {getattr(error, 'strerror', None) or error}; "
            "give another host or port"
        ) from None
    return listening


class _Server(uvicorn.Server):
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Stop; the signal is not raised once more, as nothing is left that it could end."""
        self.force_exit = self.should_exit
        self.should_exit = True


class _Protocol(H11Protocol):
    """HTTP with clients that do not send, or do not take, what they have begun."""

    def connection_made(self, transport: Any) -> None:
        """Wait for the first request."""
        super().connection_made(transport)
        self._unsent: asyncio.TimerHandle | None = None
        self._untaken: asyncio.TimerHandle | None = None
        self._await_headers()

    def data_received(self, data: bytes) -> None:
        """Take what was sent, which may be a part of headers."""
        super().data_received(data)
        self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        super().connection_lost(exc)
        for timer in (self._unsent, self._untaken):
            if timer is not None:
                timer.cancel()

    def pause_writing(self) -> None:
        """Wait for the client to take what was answered."""
        super().pause_writing()
        self._untaken = self.loop.call_later(_SECONDS_OF_SILENCE, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on."""
        super().resume_writing()
        if self._untaken is not None:
            self._untaken.cancel()

    def _await_headers(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            if self._unsent is not None:
                self._unsent.cancel()
            self._unsent = None
        elif self._unsent is None:
            self._unsent = self.loop.call_later(_SECONDS_OF_SILENCE, self.transport.abort)
