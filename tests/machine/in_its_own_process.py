"""What a process finds of itself, measured in one of its own."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT

only_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="glibc and the calls for these are Linux's"
)


def measure(script: str, first: str) -> float:
    """What a script prints in a process of its own, where `first` was called before."""
    start = f"""
import os, resource, sys
sys.path.insert(0, {str(ROOT)!r})
import psutil
from srcnn_mlflow.machine.memory import *
from srcnn_mlflow.machine.processors import *
{first}
"""
    command = [sys.executable, "-c", start + script]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
