"""What this machine gives us."""

import subprocess
import sys
from pathlib import Path

import pytest

from srcnn_mlflow.machine import available_cores, free_bytes
from tests.conftest import ROOT

KEPT = """
import os, sys
sys.path.insert(0, {root!r})
import psutil
from srcnn_mlflow.machine import return_large_buffers
if {early}:
    return_large_buffers()
del (large := [bytearray(20_000_000)])[0]
before = psutil.Process().memory_info().rss
parts = [bytearray(b"x" * 4_000_000) for _ in range(5)]
last = bytearray(b"x" * 300_000)
del parts
print(psutil.Process().memory_info().rss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator is Linux's")
def test_large_buffers_go_back_to_the_system() -> None:
    kept = {
        early: int(
            subprocess.run(
                [sys.executable, "-c", KEPT.format(root=str(ROOT), early=early)],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for early in (False, True)
    }
    # Without it, what lies below the last small buffer stays with the process.
    assert kept[False] > 15_000_000
    assert kept[True] < 3_000_000


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
