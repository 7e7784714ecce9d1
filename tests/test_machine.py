"""What this machine gives us."""

import subprocess
import sys
from pathlib import Path

import pytest

from srcnn_mlflow.machine import available_cores, free_bytes
from tests.conftest import ROOT

KEPT = """
del (large := [bytearray(20_000_000)])[0]
before = psutil.Process().memory_info().rss
parts = [bytearray(b"x" * 4_000_000) for _ in range(5)]
last = bytearray(b"x" * 300_000)
del parts
print(psutil.Process().memory_info().rss - before)
"""
FETCHED = """
def step():
    return [bytearray(5_000_000) for _ in range(5)]
for _ in range(5):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    step()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) * resource.getpagesize() / 20)
"""
only_glibc = pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator is Linux's")


def measure(script: str, first: str) -> float:
    """What a script prints in a process of its own, where `first` was called before."""
    start = f"""
import resource, sys
sys.path.insert(0, {str(ROOT)!r})
import psutil
from srcnn_mlflow.machine import keep_large_buffers, return_large_buffers
{first}
"""
    command = [sys.executable, "-c", start + script]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@only_glibc
def test_large_buffers_go_back_to_the_system() -> None:
    # Without it, what lies below the last small buffer stays with the process.
    assert measure(KEPT, "") > 15_000_000
    assert measure(KEPT, "return_large_buffers()") < 3_000_000


@only_glibc
def test_large_buffers_stay_for_the_next_step() -> None:
    # Without it, each of the five buffers is fetched from the system again, page by page.
    assert measure(FETCHED, "") > 5_000_000
    assert measure(FETCHED, "keep_large_buffers()") < 500_000


def test_cores_are_shared_with_the_processes_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    alone = available_cores()
    assert alone >= 1
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert available_cores() == max(1, alone // 2)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(10 * alone))
    assert available_cores() == 1


def test_the_disk_of_a_folder_to_come_is_looked_at(tmp_path: Path) -> None:
    assert 0 < free_bytes(tmp_path / "to" / "come") <= 1e18
