"""The page at `/`, and the sample pictures on it."""

import asyncio
import io
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from PIL import Image
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from srcnn_mlflow.pictures.samples import sample_files
from srcnn_mlflow.pictures.shrunk import shrink
from srcnn_mlflow.serving.limits import ServiceLimits
from srcnn_mlflow.showing.service_page import render_service

# Of the longer side, in pixels: enlarged by four, it still fits most screens.
_SIDE = 320


def page_routes(scales: Iterable[int], limits: ServiceLimits) -> list[Route]:
    """What a browser asks for before a person does anything."""
    samples = {file.stem: file for file in sample_files()["test"]}
    megapixels = {scale: limits.output_megapixels / scale**2 for scale in scales}
    page = render_service(megapixels, list(samples))
    headers = {
        "Content-Security-Policy": page.policy,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }

    async def show(_: Request) -> Response:
        return Response(page.html, headers=headers, media_type="text/html")

    async def sample(request: Request) -> Response:
        file = samples.get(request.path_params["name"])
        if file is None:
            raise HTTPException(404)
        body = await asyncio.to_thread(_small, file)
        return Response(body, headers={"Cache-Control": "max-age=3600"}, media_type="image/png")

    return [Route("/", show), Route("/samples/{name}.png", sample)]


@cache
def _small(file: Path) -> bytes:
    """A picture at most so wide and high, as a PNG file."""
    small = io.BytesIO()
    with Image.open(file) as image:
        shrink(image.convert("RGB"), _SIDE / max(image.size)).save(small, "PNG")
    return small.getvalue()
