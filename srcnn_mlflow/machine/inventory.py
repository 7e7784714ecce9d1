"""What a report of a fault has to say of the machine: versions, processor, threads."""

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from srcnn_mlflow.machine.processors import available_cores

# Those whose version decides what is computed, kept or served.
PACKAGES = ("mlflow", "torch", "onnxruntime", "numpy", "pillow", "h5py", "scikit-image", "click")


def inventory() -> list[str]:
    """Python, the system, the packages and the processor, a line each."""
    packages = ", ".join(f"{name} {_installed(name)}" for name in PACKAGES)
    return [
        f"Python {platform.python_version()} ({sys.executable}), {platform.platform()}",
        packages,
        f"{processor()}, {available_cores()} threads for this process",
    ]


def processor() -> str:
    """What the processor is called."""
    file = Path("/proc/cpuinfo")
    if file.is_file():
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"
