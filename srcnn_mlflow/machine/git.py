"""Which commit the code is of."""

import hashlib
import subprocess
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]


def git_commit() -> str:
    """The commit of the code that runs, with `-dirty` where files differ from it."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(_PACKAGE), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        # An installed copy may lie inside the repository of something else.
        git("ls-files", "--error-unmatch", "__init__.py")
        commit = git("rev-parse", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit}-dirty" if changed else commit


def code_digest() -> str:
    """The first 12 hex digits of a SHA-256 over the package's source files, committed or not."""
    together = hashlib.sha256()
    for file in sorted(_PACKAGE.glob("**/*.py")):
        together.update(f"{file.relative_to(_PACKAGE)}\0".encode())
        together.update(file.read_bytes())
    return together.hexdigest()[:12]
