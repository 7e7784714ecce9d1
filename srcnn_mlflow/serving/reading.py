"""What a request asks for: its body, the picture of a form, and the kind of picture it accepts."""

import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from srcnn_mlflow.serving.choices import BICUBIC, SERVED
from srcnn_mlflow.serving.limits import ServiceLimits

FORMATS = ("png", "jpeg", "webp")
# Of a form, beside its picture.
_MOST_FIELDS, _LONGEST_FIELD = 8, 1024


class RefusedError(Exception):
    """A request that is not answered, with the status and the reason that the client is told."""

    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        super().__init__(reason)


@dataclass(frozen=True)
class Form:
    """What was sent as a form: a picture file, and what else was filled in."""

    picture: bytes
    fields: dict[str, str]


async def read_body(request: Request, limits: ServiceLimits) -> bytes:
    """Take the body of a request, as far as it may go.

    Raises:
        RefusedError: it is larger.
    """
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


async def read_picture(request: Request, limits: ServiceLimits) -> Form:
    """Take the picture of a request, which is its body or a file of a form.

    Raises:
        RefusedError: it is too large or empty, or a form without one file.
    """
    body = await read_body(request, limits)
    if not body:
        raise RefusedError(
            400,
            "the request's body is empty; send a picture file, as curl --data-binary @photo.jpg",
        )
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        return Form(body, {})
    return await _form(request.headers, body)


async def _form(headers: Headers, body: bytes) -> Form:
    async def whole() -> AsyncGenerator[bytes, None]:
        yield body

    parser = MultiPartParser(
        headers, whole(), max_files=1, max_fields=_MOST_FIELDS, max_part_size=_LONGEST_FIELD
    )
    # It is in memory already, and need not go onto a disk.
    parser.spool_max_size = len(body) + 1
    try:
        form = await parser.parse()
    except MultiPartException as error:
        reason = str(error.message).rstrip(".")
        raise RefusedError(400, f"the form cannot be used: {reason}") from None
    fields = {name: value for name, value in form.items() if isinstance(value, str)}
    for value in form.values():
        if isinstance(value, UploadFile):
            picture = await value.read()
            if not picture:
                raise RefusedError(400, "the form's file is empty; send a picture file")
            return Form(picture, fields)
    raise RefusedError(400, "the form has no file; send one picture, as curl -F picture=@photo.jpg")


def named_version(text: str) -> str:
    """How a request says by what a picture is to be enlarged.

    Raises:
        RefusedError: it is no way to say so.

    >>> named_version("bicubic"), named_version("007")
    ('bicubic', '7')
    """
    if text in (BICUBIC, SERVED):
        return text
    if re.fullmatch("[0-9]{1,9}", text) is None:
        raise RefusedError(
            400, f"version {text[:16]!r} is unknown; give {BICUBIC}, {SERVED} or a number"
        )
    return str(int(text))


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
