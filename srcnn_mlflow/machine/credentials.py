"""Passwords, tokens and keys, which nothing that is told, logged or kept may show.

What this process was given, in its environment and on its command line, is known by its value, in
every form in which libraries write it; what else looks like a credential, by the words around it.
"""

import base64
import html
import json
import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from urllib.parse import parse_qsl, quote, quote_plus, unquote, unquote_plus

MASK = "***"
_WORDS = (
    *("password", "passwd", "passphrase", "token", "secret", "signature", "credential", "sig"),
    *("access_key", "accesskey", "account_key", "accountkey", "authorization"),
)
_NAMES = "|".join(word for word in _WORDS if word not in ("sig", "authorization"))
# Variables whose values are secret, and those that only say where or how.
_SECRET_VARIABLE = re.compile(rf"(?i)({_NAMES}|api_?key|private_?key|_pwd\Z)")
_OTHER_VARIABLE = re.compile(
    r"(?i)(_(file|path|dir|url|uri|endpoint|id|name|timeout|expiration|type)|_credentials)\Z"
)
# What is no secret whoever gives it as one: it is said in every other sentence.
_NO_SECRETS = ("true", "false", "none", "null", "auto", "mlflow", "srcnn", "postgres", "python")
# Shorter values are left out of addresses only: as values they would be words and numbers.
_SHORTEST, _SHORTEST_INSIDE_WORDS = 4, 8
_LOGIN = re.compile(r"(?<=://)(?:[^/\s'\"]*|[^/\s'\":@]+:(?!\d+/)[^\s'\"]*)@")
_NAMED = re.compile(
    rf"(?i)((?:{_NAMES}|\bsig)[\"']?(?:=|: ?(?=[\"'])))"
    r"([\"']?)((?<=\")[^\"]*|(?<=')[^']*|[^&;\s'\"]+)"
)
_HEADER = re.compile(r"(?i)\b(authorization[\"']?[:=] ?[\"']?(?:basic|bearer) )[\w+/=.~-]+")
_ADDRESS = re.compile(r"(?i)[a-z][a-z0-9+.-]*://(\S*)")
_NOTHING_BUT_ADDRESS = re.compile(r"(?is)(?:--[\w-]+=)?[a-z][a-z0-9+.-]*://(.*)")


def without_credentials(text: str) -> str:
    """Leave out of a text every credential that is known, or that can be told from its place.

    >>> without_credentials("no http://me:pw@host:5000/a, no postgresql://host/db?password=pw")
    'no http://host:5000/a, no postgresql://host/db?password=***'
    """
    for form in _known(tuple(os.environ.items()), tuple(sys.argv)):
        if form in text:
            text = re.sub(_pattern(form), MASK, text)
    if "://" in text:
        text = _LOGIN.sub("", text)
    # Most texts have no such word, which is soon seen, and some are pages of megabytes.
    lowered = text.lower()
    if any(word in lowered for word in _WORDS):
        text = _HEADER.sub(rf"\1{MASK}", _NAMED.sub(rf"\1\2{MASK}", text))
    return text


@lru_cache(maxsize=8)
def _known(variables: tuple[tuple[str, str], ...], arguments: tuple[str, ...]) -> tuple[str, ...]:
    """All secrets that were given, in all forms; the longest first, of which others are parts."""
    secrets = {*_of_variables(dict(variables)), *_of_texts(arguments)}
    forms = {form for secret in secrets if _is_telling(secret) for form in _forms(secret)}
    return tuple(sorted(forms, key=len, reverse=True))


def _of_variables(variables: dict[str, str]) -> Iterator[str]:
    for name, value in variables.items():
        if _SECRET_VARIABLE.search(name) and not _OTHER_VARIABLE.search(name):
            yield value
    user = variables.get("MLFLOW_TRACKING_USERNAME", "")
    yield _basic(user, variables.get("MLFLOW_TRACKING_PASSWORD", ""))
    yield from _of_texts(variables.values())


def _of_texts(texts: Iterable[str]) -> Iterator[str]:
    """The secrets within texts that are addresses, or hold `password=…` or the like."""
    for text in texts:
        for found in _NAMED.finditer(text):
            yield found[3]
        for found in _ADDRESS.finditer(text):
            yield from _of_login(found[1].partition("/")[0])
            for name, value in parse_qsl(found[1].partition("?")[2].partition("#")[0]):
                if _SECRET_VARIABLE.search(name):
                    yield value
        # A password in it may hold what ends a login elsewhere.
        whole = _NOTHING_BUT_ADDRESS.fullmatch(text)
        if whole and ":" in whole[1].rpartition("@")[0]:
            yield from _of_login(whole[1])


def _of_login(place: str) -> Iterator[str]:
    """The password of `user:password@host`, or a token that stands alone before the `@`."""
    login, at, host = place.rpartition("@")
    user, colon, password = login.partition(":")
    secret = password if colon else user
    is_public = colon and secret in (user, unquote(user), host.partition(":")[0])
    if at and not is_public:
        yield secret
        yield _basic(unquote(user), unquote(password))
        # Whoever reads such an address wrongly tells its parts.
        yield from re.split(r"[@/:?#]", secret)


def _basic(user: str, password: str) -> str:
    """As a header has a name and its password."""
    login = f"{user}:{password}".encode(errors="surrogateescape")
    return base64.b64encode(login).decode() if password else ""


def _forms(secret: str) -> set[str]:
    """A secret as addresses, JSON, HTML, Python and shells write it."""
    forms = {secret}
    for one in (secret, unquote(secret), unquote_plus(secret)):
        raw = one.encode(errors="surrogateescape")
        encoded = {quote(raw, safe=""), quote(raw), quote_plus(raw)}
        lower = {re.sub("%..", lambda found: found[0].lower(), each) for each in encoded}
        written = {json.dumps(one)[1:-1], repr(one)[1:-1], html.escape(one), shlex.quote(one)}
        forms |= {one, *encoded, *lower, *written, one.replace("%", "%%")}
    return forms


def _is_telling(text: str) -> bool:
    """Whether a text says something, other than short numbers and words that are everywhere."""
    least = _SHORTEST_INSIDE_WORDS if text.isdigit() else _SHORTEST
    return len(text.strip()) >= least and text.lower() not in _NO_SECRETS


def _pattern(text: str) -> str:
    escaped = re.escape(text)
    return escaped if len(text) >= _SHORTEST_INSIDE_WORDS else rf"(?<!\w){escaped}(?!\w)"
