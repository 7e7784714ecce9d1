"""Bring a network from outside into this process, once it has shown what it is in another one."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import srcnn_mlflow
from srcnn_mlflow.machine.errors import ModelError
from srcnn_mlflow.machine.text import first_line
from srcnn_mlflow.network.foreign import Origin
from srcnn_mlflow.training.foreign_network import ForeignNetwork

# Seconds that a network may take to be imported and looked at.
TIME_LIMIT = 120.0
# What a thing has to say of itself to be a network.
FACTS = ("halo", "channels")

# What this process has loaded, so that a file which changes meanwhile changes no training.
_LOADED: dict[str, ForeignNetwork] = {}


def loaded(origin: Origin, residual: bool) -> ForeignNetwork:
    """A network from outside, as it was when this process first asked, or last `reload`ed.

    Raises:
        ModelError: it is not there, cannot be loaded, or is none that can be used.
    """
    network = _LOADED.get(origin.reference) or reload(origin)
    shapes = dict(network.shapes)
    if residual:
        shapes["correction"] = (1,)
    return replace(network, residual=residual, shapes=shapes)


def reload(origin: Origin) -> ForeignNetwork:
    """Look at a network's file again, as every command does once at its beginning.

    Raises:
        ModelError: as `loaded`.
    """
    known = _LOADED.get(origin.reference)
    if known is not None and origin.path is not None and known.text == _read(origin):
        return known
    facts = examined(origin)
    make, source, text = offered(origin)
    shapes = {name: tuple(shape) for name, shape in facts.pop("shapes").items()}
    network = ForeignNetwork(
        **facts,
        name=origin.label,
        residual=False,
        shapes=shapes,
        make=make,
        source=source,
        text=text,
    )
    _LOADED[origin.reference] = network
    return network


def examined(origin: Origin) -> dict[str, Any]:
    """What a network is found to be, in a process of its own, which may hang, crash and exit.

    Raises:
        ModelError: it is not there, cannot be loaded, or is none that can be used.
    """
    if origin.path is not None:
        _read(origin)
    process = subprocess.Popen(
        [sys.executable, "-m", "srcnn_mlflow.training.foreign_check", origin.reference],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(_import_path())},
        start_new_session=True,
    )
    try:
        answer, said = process.communicate(timeout=TIME_LIMIT)
    except BaseException as error:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            raise ModelError(
                f"network {origin.label} took longer than {TIME_LIMIT:g} seconds to be imported "
                "and tried, and was ended; let its file only define what it offers"
            ) from error
        raise
    lines = answer.splitlines()
    if process.returncode != 0 or not lines:
        last = [line.strip() for line in said.splitlines() if line.strip()][-1:]
        raise ModelError(
            f"network {origin.label} has ended the process in which it was imported (exit code "
            f"{process.returncode}{', ' + last[0] if last else ''}); let its file only define what "
            "it offers"
        )
    found: dict[str, Any] = json.loads(lines[-1])
    if "refused" in found:
        raise ModelError(found["refused"])
    return found


def _import_path() -> list[str]:
    """Where this process imports from, but for what other versions of this package lie in.

    A model that was loaded has left the code that was logged with it there.
    """
    own = Path(srcnn_mlflow.__file__).parent
    inside = {entry: Path(entry, own.name) for entry in sys.path}
    return [entry for entry, one in inside.items() if not one.is_dir() or one.samefile(own)]


def offered(origin: Origin) -> tuple[Any, dict[str, str], str]:
    """What a file or package offers, imported into this process.

    Returns:
        What gives a new module when it is called; `file`, `digest` and `package`; the file's text.

    Raises:
        ModelError: it cannot be imported, or offers nothing, or several things.
    """
    if origin.package is not None:
        return _of_package(origin, origin.package)
    text = _read(origin)
    assert origin.path is not None
    module = _executed(origin, text)
    found = {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and callable(value) and _says_all(value)
    }
    if origin.offered is not None:
        make = vars(module).get(origin.offered)
        if make is None:
            raise ModelError(
                f"{origin.path} has nothing of the name {origin.offered}; {_names(found)}"
            )
    elif len(found) == 1:
        (make,) = found.values()
    else:
        raise ModelError(
            f"{origin.path} offers {len(found) or 'no'} networks"
            + (f"; give {origin.path}:NAME, where {_names(found)}" if found else _CONTRACT)
        )
    return make, {"file": origin.path.name, "digest": _digest(text)}, text


_CONTRACT = (
    ": a class, or a function, with the attributes halo and channels, which gives a torch module "
    "when it is called without arguments; see CONTRIBUTING.md"
)


def _of_package(origin: Origin, package: EntryPoint) -> tuple[Any, dict[str, str], str]:
    try:
        make = package.load()
    except Exception as error:
        raise _failed(origin, error) from error
    file = Path(sys.modules[package.module].__file__ or "")
    text = file.read_text(encoding="utf-8") if file.suffix == ".py" else ""
    whole = f"{package.dist.name} {package.dist.version}" if package.dist else package.module
    return make, {"file": file.name, "digest": _digest(text), "package": whole}, text


def _executed(origin: Origin, text: str) -> ModuleType:
    """Run a file's text as a module, so that what runs is what was read."""
    module = ModuleType(f"srcnn_mlflow_network_{_digest(text)}")
    module.__file__ = str(origin.path)
    # Classes look their module up, as when they are copied.
    sys.modules[module.__name__] = module
    try:
        exec(compile(text, str(origin.path), "exec"), vars(module))
    except SyntaxError as error:
        raise ModelError(
            f"{origin.path} cannot be imported: line {error.lineno}: {error.msg}"
        ) from error
    except (Exception, SystemExit) as error:
        raise _failed(origin, error) from error
    return module


def _failed(origin: Origin, error: BaseException) -> ModelError:
    return ModelError(
        f"{origin.reference} cannot be imported: {type(error).__name__}: {first_line(error)}"
    )


def _read(origin: Origin) -> str:
    """The text of a network's file.

    Raises:
        ModelError: it does not exist, or is no text.
    """
    path = origin.path
    assert path is not None
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise ModelError(f"the network's file {path} {what}; give a Python file")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ModelError(f"{path} cannot be imported: it is no text in UTF-8") from error


def _says_all(value: Any) -> bool:
    return all(hasattr(value, name) for name in FACTS)


def _names(found: dict[str, Any]) -> str:
    return f"it offers {', '.join(sorted(found)) or 'no network'}"


def _digest(text: str) -> str:
    """The first 32 hex digits of a SHA-256, as data sets have them."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:32]
