"""What clients are told: a model's answer, or a refusal in the words of MLflow's own."""

import asyncio
import json
import logging
from http import HTTPStatus

from starlette.requests import ClientDisconnect
from starlette.responses import Response

from srcnn_mlflow.machine.errors import ModelError
from srcnn_mlflow.serving.reading import RefusedError
from srcnn_mlflow.serving.worker import Answer, WorkerEndedError

JSON = "application/json"
# As MLflow's own answers name them.
_CODES = {
    400: "INVALID_PARAMETER_VALUE",
    404: "ENDPOINT_NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "TEMPORARILY_UNAVAILABLE",
}

logger = logging.getLogger(__name__)


def response(work: "asyncio.Task[Answer]") -> Response:
    """What comes of work that has ended, whichever way."""
    try:
        answer = work.result()
    except RefusedError as error:
        return refusal(error.status, str(error))
    except ClientDisconnect:
        return Response(status_code=499)
    except ModelError as error:
        logger.warning("%s", error)
        return refusal(400, "the version cannot be used; GET /versions names those there are")
    except WorkerEndedError as error:
        logger.error("a request was not answered: %s", error)
        return refusal(503, "the model's process has ended, and is started anew; try again soon")
    except Exception:
        logger.exception("a request has failed")
        return refusal(500, "the service has failed on the request; its log says more")
    told = {
        "X-Model-Version": answer.label,
        # Without what it has waited.
        "Server-Timing": f"work;dur={1000 * answer.seconds:.1f}",
    }
    return Response(answer.body, answer.status, headers=told, media_type=answer.content_type)


def refusal(status: int, reason: str) -> Response:
    """An answer that says why there is no other."""
    told = {"error_code": _CODES.get(status, HTTPStatus(status).name), "message": reason}
    headers = {"Retry-After": "5"} if status in (429, 503) else {}
    if status in (408, 413, 504):
        # What is still on its way would be taken for the next request.
        headers["Connection"] = "close"
    return Response(json.dumps(told), status, headers=headers, media_type=JSON)
