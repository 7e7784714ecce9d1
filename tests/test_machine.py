"""What this machine gives us."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srcnn_mlflow.machine import available_cores, free_bytes, share_of_cores
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
only_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="glibc and the calls for these are Linux's"
)


def measure(script: str, first: str) -> float:
    """What a script prints in a process of its own, where `first` was called before."""
    start = f"""
import os, resource, sys
sys.path.insert(0, {str(ROOT)!r})
import psutil
from srcnn_mlflow.machine import *
{first}
"""
    command = [sys.executable, "-c", start + script]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@only_linux
def test_large_buffers_go_back_to_the_system() -> None:
    # Without it, what lies below the last small buffer stays with the process.
    assert measure(KEPT, "") > 15_000_000
    assert measure(KEPT, "return_large_buffers()") < 3_000_000


@only_linux
def test_large_buffers_stay_for_the_next_step() -> None:
    # Without it, each of the five buffers is fetched from the system again, page by page.
    assert measure(FETCHED, "") > 5_000_000
    assert measure(FETCHED, "keep_large_buffers()") < 500_000


@given(st.lists(st.integers(0, 500), min_size=1, unique=True), st.integers(1, 70))
def test_shares_of_the_cores_are_the_cores(cores: list[int], processes: int) -> None:
    shares = [share_of_cores(cores, number, processes) for number in range(processes)]
    sizes = {len(share) for share in shares}
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1
    if processes <= len(cores):
        assert [core for share in shares for core in share] == cores
    else:
        assert {core for share in shares for core in share} == set(cores)


@only_linux
def test_cores_are_shared_with_the_processes_beside() -> None:
    script = "print(available_cores())"
    every = measure(script, "")
    assert every == len(os.sched_getaffinity(0))
    halves = [measure(script, f"take_own_cores({number}, 2)") for number in range(2)]
    assert sum(halves) == max(2, every)


def test_cores_are_divided_by_number_where_none_can_be_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    alone = available_cores()
    assert alone >= 1
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert available_cores() == max(1, alone // 2)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(10 * alone))
    assert available_cores() == 1


@only_linux
def test_threads_that_give_way_are_those_of_a_name() -> None:
    # The kernel knows the first thread of a process by its program's name, at most 15 letters.
    script = "print(os.getpriority(os.PRIO_PROCESS, 0))"
    name = "open('/proc/self/comm').read().strip()"
    assert measure(script, "give_way('another')") == os.getpriority(os.PRIO_PROCESS, 0)
    assert measure(script, f"give_way({name})") == 19


def test_the_disk_of_a_folder_to_come_is_looked_at(tmp_path: Path) -> None:
    assert 0 < free_bytes(tmp_path / "to" / "come") <= 1e18
