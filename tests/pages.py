"""The commands of the README and the site, as they stand there, and sessions that are run anew.

A block of ```console is a session: `$ ` is a command, what follows is what it printed. Every other
block of commands says by which test it is run, or why by none, in a comment before it, or before
the first block of its page for all of them:

    <!-- run by tests/journeys/test_project.py -->
    <!-- not run: hours of training -->
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT

PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md")))
_FENCE = re.compile(
    r"^```(\w*)\n(.*?)^```$|(?<=\n\n)(?:    \S[^\n]*\n)(?:    [^\n]*\n)*",
    re.DOTALL | re.MULTILINE,
)
_MARK = re.compile(r"<!-- (?:(run by) (tests/[\w/.]+)|(not run): (.+?)) -->")
# With these begin the commands that are held against what they may be given.
_PROGRAMS = ("srcnn-mlflow", "mlflow", "python", "torchrun", "make")


@dataclass(frozen=True)
class Block:
    """Some lines of code on a page.

    Attributes:
        page: where it stands.
        kind: of the fence, such as `bash`; empty for indented lines.
        text: the lines.
        mark: by which test it is run, or why by none; None where that is not said.
    """

    page: Path
    kind: str
    text: str
    mark: str | None

    @property
    def commands(self) -> list[list[str]]:
        """The words of each line that is a command of this project, of MLflow or of make."""
        if self.kind not in ("", "bash", "console", "sh"):
            return []
        text = self.text.replace("\\\n", " ")
        if self.kind == "console":
            text = "\n".join(one[2:] for one in text.splitlines() if one.startswith("$ "))
        lines = [words(line) for line in text.splitlines()]
        return [one for one in lines if one and one[0] in _PROGRAMS]


def words(line: str) -> list[str]:
    """Of a command, without its comment and without the variables that it is given."""
    try:
        found = shlex.split(line, comments=True)
    except ValueError:
        return []
    while found and re.fullmatch(r"[A-Z_]+=.*", found[0]):
        del found[0]
    return found


def blocks(page: Path) -> Iterator[Block]:
    """Those of a page, in order."""
    text = page.read_text(encoding="utf-8")
    # What stands before the first block holds for all that have nothing before themselves.
    of_page, end = None, 0
    for number, found in enumerate(_FENCE.finditer(text)):
        marks = _MARK.findall(text[end : found.start()])
        own = " ".join(marks[-1]).strip() if marks else None
        of_page = own if number == 0 else of_page
        kind, fenced = found[1] or "", found[2]
        plain = re.sub(r"^ {4}", "", found[0], flags=re.MULTILINE)
        yield Block(page, kind, plain if fenced is None else fenced, own or of_page)
        end = found.end()
