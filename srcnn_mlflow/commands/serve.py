"""`serve`: a scoring server that follows an alias."""

import asyncio
from collections.abc import Sequence

from srcnn_mlflow.serving.limits import ServiceLimits
from srcnn_mlflow.serving.server import run_service
from srcnn_mlflow.tracking.store import check_store, environment, in_a_hurry


def serve(scales: Sequence[int], alias: str, host: str, port: int) -> None:
    """Serve registered models over HTTP until SIGTERM or Ctrl-C.

    Args:
        scales: the first is taken where a request names none.
        alias: of the versions to be served.
        host: name or address to listen at.
        port: to listen at.

    Raises:
        SrcnnError: a model or a limit cannot be used.
    """
    limits = ServiceLimits.from_environment()
    check_store()
    # It asks again by itself, and a question that went on for minutes could not be ended.
    with environment(in_a_hurry()):
        asyncio.run(run_service(scales, alias, host, port, limits))
