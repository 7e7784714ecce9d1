"""Whether a tracking server is away, or has said no."""

import requests
from mlflow.exceptions import MlflowException


def is_away(error: Exception) -> bool:
    """Whether asking again may help."""
    if isinstance(error, MlflowException):
        status: int = error.get_http_status_code()  # type: ignore[no-untyped-call]
        return status >= 500
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return error.response.status_code >= 500
    return isinstance(error, requests.RequestException)
