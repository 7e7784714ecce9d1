"""The code that goes into a registered version: what serving imports, and nothing else."""

import ast
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
SERVED_MODEL = PACKAGE / "tracking" / "served_model.py"


def copy_served_code(destination: Path) -> Path:
    """Copy every module that the served model imports, directly or not, out of this package.

    Args:
        destination: an empty folder.

    Returns:
        The folder of the package inside it.
    """
    for file in sorted(served_files()):
        copy = destination / file.relative_to(PACKAGE.parent)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    return destination / PACKAGE.name


@cache
def served_files() -> frozenset[Path]:
    """The modules of this package that the served model needs, and the package's own.

    A wing's `__init__` only says what lives there, and a folder without one is a package as well.
    """
    found = {PACKAGE / "__init__.py"}
    waiting = [SERVED_MODEL]
    while waiting:
        new = set(_imported_files(waiting.pop())) - found
        found |= new
        waiting += new
    return frozenset(found)


def _imported_files(file: Path) -> Iterator[Path]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE.name:
            module = PACKAGE.parent.joinpath(*(node.module or "").split("."))
            # What is taken from a package may be modules of it.
            taken = [module / alias.name for alias in node.names] if module.is_dir() else []
            yield from (path.with_suffix(".py") for path in (module, *taken) if _is_module(path))


def _is_module(path: Path) -> bool:
    return path.with_suffix(".py").is_file()
