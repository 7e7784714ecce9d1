"""What is wrong with a server that was asked over HTTP, by the error that this ended in.

Nothing heavy is imported here: the errors of `requests`, `urllib3` and MLflow are known by the
names of their types and by what they carry.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus

from srcnn_mlflow.machine.addresses import server_of, shown_address

# The errors of an address at which nothing listens.
_NOTHING_THERE = ("NewConnectionError", "ConnectionRefusedError")
_TRACKING, _REGISTRY = "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"
_ELSEWHERE = "or set {variable} to one that is well"
# By the types of errors, of which the first that is met decides: what the server does, and what
# a person can do.
_CONNECTION = {
    ("InvalidURL", "LocationParseError", "MissingSchema", "InvalidSchema"): (
        "is no address that can be asked",
        "write {variable} as http://host:port or https://host:port",
    ),
    ("NameResolutionError", "gaierror"): (
        "has a name that no address is found for",
        "check the name in {variable}, and this machine's network",
    ),
    ("ConnectTimeoutError", "ReadTimeoutError", "ConnectTimeout", "ReadTimeout"): (
        "says nothing for too long",
        f"see what it is busy with, {_ELSEWHERE}; MLFLOW_HTTP_REQUEST_TIMEOUT is how many seconds "
        "it may take",
    ),
    ("SSLError", "SSLCertVerificationError", "SSLEOFError", "CertificateError"): (
        "cannot be spoken to by TLS",
        "check whether {variable} has to begin with http or https, and give a certificate of your "
        "own in MLFLOW_TRACKING_SERVER_CERT_PATH",
    ),
    ("ProxyError",): (
        "is behind a proxy that cannot be reached",
        "check HTTP_PROXY, HTTPS_PROXY and NO_PROXY",
    ),
    _NOTHING_THERE: (
        "cannot be connected to",
        f"start it, {_ELSEWHERE}",
    ),
    ("ProtocolError", "RemoteDisconnected", "ConnectionResetError", "ChunkedEncodingError"): (
        "breaks off without an answer",
        f"see whether it is an HTTP server and well, {_ELSEWHERE}",
    ),
}
_STATUS = {
    401: "log in: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
    "MLFLOW_TRACKING_TOKEN",
    403: "ask whoever runs it for the right to do this, or log in as someone who has it",
    404: "check the path in {variable}: MLflow is not there",
    407: "log in to the proxy, in HTTP_PROXY or HTTPS_PROXY",
    413: "raise the size that it, or a proxy before it, takes (client_max_body_size in nginx)",
    429: "it is asked too often; wait, and start again",
}
_NO_MLFLOW = (
    "answers with something that is not of MLflow",
    "check {variable}; a page to log in at, or another program, may stand before MLflow",
)
# How MLflow and urllib3 write the status of an answer that they did not expect.
_FAILED_CODE = re.compile(r"API request to endpoint \S+ failed with error code (\d{3}) ")
_TOO_MANY = re.compile(r"too many (\d{3}) error responses")
_ASKED = re.compile(r"API request to |Invalid url: ")
_BODY = re.compile(r"Response (?:body: '|text: )([^<'\n]{1,150})'?\Z")
_ADDRESS = re.compile(r"https?://[^\s'\"]+")


@dataclass(frozen=True)
class ServerFault:
    """What a server did instead of what it was asked for.

    Attributes:
        address: of the server, without credentials.
        said: what it does, as a verb with what belongs to it.
        advice: what a person can do.
        status: of its HTTP answer; None where there was none.
        is_starting: whether it may only have been started a moment ago.
    """

    address: str
    said: str
    advice: str
    status: int | None = None
    is_starting: bool = False

    def __str__(self) -> str:
        """One line for the person at the keyboard."""
        return f"the server {self.address} {self.said}; {self.advice}"


def server_fault(error: BaseException) -> ServerFault | None:
    """Say what a server did wrong.

    Args:
        error: raised by `requests` or by MLflow.

    Returns:
        The fault; None where the error is of another kind, such as what MLflow itself refuses.
    """
    if not _is_of_http(error):
        return None
    chain = list(_chain(error))
    address = _address(chain)
    variable = _variable(address)
    status = next(filter(None, map(_status, chain)), None)
    if status is not None:
        said, advice = _by_status(status, str(error))
        return ServerFault(address, said, advice.format(variable=variable), status, status >= 500)
    for names, (said, advice) in _by_type(chain):
        said += _detail(chain, names)
        advice = advice.format(variable=variable)
        return ServerFault(address, said, advice, is_starting=names == _NOTHING_THERE)
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error with all that it was made of, from the outside."""
    waiting, seen = [error], set[int]()
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = (one.__cause__, one.__context__, getattr(one, "reason", None), *one.args)
        waiting += [other for other in inner if isinstance(other, BaseException)]


def _is_of_http(error: BaseException) -> bool:
    library = type(error).__module__.partition(".")[0]
    return library in ("requests", "urllib3") or (
        library == "mlflow" and _ASKED.match(str(error)) is not None
    )


def _status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    if response is not None:
        return int(response.status_code)
    found = _FAILED_CODE.match(str(error)) or _TOO_MANY.fullmatch(str(error))
    return int(found[1]) if found else None


def _by_status(status: int, text: str) -> tuple[str, str]:
    try:
        phrase = f" ({HTTPStatus(status).phrase})"
    except ValueError:
        phrase = ""
    # A sentence of the server's own says more; a page says less.
    body = _BODY.search(text)
    own = f": {body[1].strip()}" if body else ""
    said = f"answers {status}{phrase}{own}"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return said, f"look into its log, or that of a proxy before it, {_ELSEWHERE}"
    return said, _STATUS.get(status, _NO_MLFLOW[1])


def _by_type(
    chain: list[BaseException],
) -> Iterator[tuple[tuple[str, ...], tuple[str, str]]]:
    for names, told in _CONNECTION.items():
        if any(type(one).__name__ in names for one in chain):
            yield names, told
    if any(
        type(one).__name__ == "JSONDecodeError" or "not in a valid JSON format" in str(one)
        for one in chain
    ):
        yield (), _NO_MLFLOW


def _detail(chain: list[BaseException], names: tuple[str, ...]) -> str:
    """What the system says of a connection, such as `Connection refused`, in brackets."""
    for one in reversed(chain):
        found = re.search(r"\[(?:Errno -?\d+|SSL[^\]]*)\] ([^(\[\n'\"]+)", str(one))
        if names and found:
            return f" ({found[1].strip()})"
    return ""


def _address(chain: list[BaseException]) -> str:
    for one in chain:
        asked = getattr(getattr(one, "response", None), "url", None)
        found = _ADDRESS.search(asked or str(one))
        if found:
            return server_of(found[0])
    return shown_address(os.environ.get(_TRACKING, "of MLflow"))


def _variable(address: str) -> str:
    """Which variable has the address."""
    registry = os.environ.get(_REGISTRY)
    return _REGISTRY if registry and server_of(registry) == address else _TRACKING
