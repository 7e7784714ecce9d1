"""Which processors a process may use."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srcnn_mlflow.machine.processors import available_cores, share_of_cores
from tests.machine.in_its_own_process import measure, only_linux


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
