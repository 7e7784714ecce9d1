"""How values, names and other libraries' words are written for a person."""

import hashlib
import html
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# What Markdown takes for more than itself; a line inside a word is none of it.
_MARKDOWN = re.compile(r"[\\`*\[\]|~$]|(?<![^\W_])_|_(?![^\W_])|^[#+=-]")


def as_text(value: Any) -> str:
    """Write a parameter the way the command line takes it.

    >>> [as_text(value) for value in (None, True, 0.001, 16, "9-5-5")]
    ['none', 'true', '0.001', '16', '9-5-5']
    """
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def differences(former: Mapping[str, Any], present: Mapping[str, Any]) -> str:
    """What has another value than before, in words; what was not known before is left out.

    >>> differences({"lr": 0.001, "seed": 0}, {"lr": 0.01, "seed": 0, "device": "cpu"})
    'lr 0.01, not 0.001'
    """
    return ", ".join(
        f"{name} {as_text(value)}, not {as_text(former[name])}"
        for name, value in present.items()
        if name in former and former[name] != value
    )


def is_number(text: str) -> bool:
    """Whether a text is a whole number, in the digits 0 to 9."""
    return text.isascii() and text.isdigit()


def printable(name: str) -> str:
    r"""Escape what a terminal or a table cannot show in a file's name, such as line breaks.

    >>> print(printable("two\nlines.png"))
    two\nlines.png
    """
    if name.isprintable():
        return name
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in name
    )


def as_markdown(text: str) -> str:
    r"""Write a name or a sentence so that Markdown, and HTML within it, shows it as it is.

    >>> print(as_markdown("a|b_c <i>.png"))
    a\|b_c &lt;i&gt;.png
    """
    return _MARKDOWN.sub(r"\\\g<0>", html.escape(printable(text), quote=False))


def as_file_name(text: str, length: int) -> str:
    """Make a file's name of a text: letters, digits, dots, underscores and dashes for all else.

    Args:
        text: anything that is not empty.
        length: most bytes of the name; the digest of a longer one stands for its end.

    >>> as_file_name("x2 of ~/my photos+samples", 240)
    'x2-of-my-photos-samples'
    """
    name = re.sub(r"[^\w.-]+", "-", text)
    if len(name.encode()) <= length:
        return name
    digest = hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]
    start = name.encode()[: length - len(digest) - 1].decode(errors="ignore")
    return f"{start}-{digest}"


def shortened(text: str, length: int) -> str:
    """Leave the middle out of a text that has more characters than this.

    >>> shortened("from beginning to end", 9)
    'from… end'
    """
    if len(text) <= length:
        return text
    kept = length // 2
    return f"{text[:kept]}\N{HORIZONTAL ELLIPSIS}{text[len(text) - (length - kept - 1) :]}"


def short_dataset(dataset: str) -> str:
    """What a run says of a data set in its name: of a folder, the last part of its path.

    >>> short_dataset("/home/me/photos/+t91@shrunk")
    'photos+t91@shrunk'
    """
    return "+".join(Path(part.strip()).name or part for part in dataset.split("+"))


def rounded(number: float) -> float:
    """A measurement by six digits, which is more than any here is good for.

    >>> rounded(28.190512943267822)
    28.1905
    """
    return float(f"{number:.6g}")


def first_line(error: BaseException) -> str:
    """What an error of another library says, in one line; its kind where it says nothing."""
    said = str(error).strip()
    return said.splitlines()[0] if said else type(error).__name__


def local_path(uri: str) -> str:
    """A file URI as a path; any other as it is."""
    return uri.removeprefix("file://")
