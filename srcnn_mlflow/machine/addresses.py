"""Addresses of servers and databases as they may be shown: without names, passwords and tokens."""

import re
from urllib.parse import urlsplit

from srcnn_mlflow.machine.credentials import without_credentials


def shown_address(uri: str) -> str:
    """An address as it may be shown and kept: a file by its path, a server without credentials.

    >>> [shown_address(uri) for uri in ("sqlite:///mlflow.db", "https://me:pw@host/a?key=1#b")]
    ['mlflow.db', 'https://host/a']
    """
    if uri.startswith("sqlite:///"):
        return uri.removeprefix("sqlite:///")
    return re.split(r"[?#]", without_credentials(uri), maxsplit=1)[0] if "://" in uri else uri


def server_of(uri: str) -> str:
    """Scheme, host and port of an address, and nothing else of it.

    >>> server_of("https://me:pw@host:5000/api/2.0/x?path=1")
    'https://host:5000'
    """
    parts = urlsplit(without_credentials(uri))
    return f"{parts.scheme}://{parts.netloc}"
