"""The page of the service: a photograph enlarged two ways, below a divider and a loupe."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from srcnn_mlflow.showing.viewer import Layer, View, render


@dataclass(frozen=True)
class ServicePage:
    """What a browser gets.

    Attributes:
        html: the page.
        policy: the value of `Content-Security-Policy` that lets it do what it does, and no more.
    """

    html: str
    policy: str


def render_service(scales: Mapping[int, float], samples: Sequence[str]) -> ServicePage:
    """Lay out the page, which asks its own server alone.

    Args:
        scales: that are served, each with the megapixels a picture may have before; the first one
            is chosen at first.
        samples: names of pictures that lie under `samples/`.
    """
    # The browser puts into them what it was given.
    left, right = (Layer(side, side, side, "data:,") for side in ("left", "right"))
    view = View("", left, right)
    html = render("service.html.j2", scales=scales, samples=samples, view=view)
    return ServicePage(html, _policy(html))


def _policy(html: str) -> str:
    allowed = {
        "default-src": "'none'",
        "connect-src": "'self'",
        "img-src": "'self' blob: data:",
        "script-src": _digests("script", html),
        "style-src": _digests("style", html),
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{what} {sources}" for what, sources in allowed.items())


def _digests(element: str, html: str) -> str:
    """What of the page itself is let run, and nothing that somebody else has put into it."""
    blocks = re.findall(f"<{element}>(.*?)</{element}>", html, re.DOTALL)
    found = (base64.b64encode(hashlib.sha256(block.encode()).digest()) for block in blocks)
    return " ".join(f"'sha256-{digest.decode()}'" for digest in found)
