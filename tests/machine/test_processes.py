"""Whether a process that a run names is the one that lives."""

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import psutil
import pytest

from srcnn_mlflow.machine.processes import ProcessSign, _ticks

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts so")


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()


def sign_of(process: subprocess.Popen[bytes]) -> ProcessSign:
    start = psutil.Process(process.pid).create_time()
    return ProcessSign(ProcessSign.own().host, process.pid, start, _ticks(process.pid))


def test_a_living_process_is_alive_until_it_ends(other: subprocess.Popen[bytes]) -> None:
    sign = sign_of(other)
    assert (sign.is_alive_here(), sign.is_dead_here()) == (True, False)
    other.kill()
    # Nobody has waited for it yet.
    time.sleep(0.1)
    assert (sign.is_alive_here(), sign.is_dead_here()) == (False, True)
    other.wait()
    assert (sign.is_alive_here(), sign.is_dead_here()) == (False, True)


def test_tags_say_all_of_it_and_those_of_before_less() -> None:
    own = ProcessSign.own()
    rounded = replace(own, start=round(own.start, 2))
    assert ProcessSign.from_tags(own.tags()) == ProcessSign.from_tags(own.tag()) == rounded
    untold = replace(rounded, ticks=None)
    assert ProcessSign.from_tags(untold.tag()) == untold
    # A run that was begun by a former version and gone on with by this one has both.
    both = {**replace(own, number=1).tags(), **own.tag()}
    assert ProcessSign.from_tags(both) == rounded
    former = {name: tag for name, tag in own.tags().items() if name != "process_ticks"}
    sign = ProcessSign.from_tags(former)
    assert sign is not None
    assert sign.is_alive_here()
    assert not replace(sign, start=sign.start - 3600).is_alive_here()


@on_linux
@pytest.mark.parametrize("seconds", [-86400, -2, 2, 3600])
def test_a_clock_that_is_set_kills_nobody(
    other: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    tags = sign_of(other).tags()
    # When the machine was started is told by the clock of now.
    boot = psutil._pslinux.boot_time()
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: boot + seconds)
    assert abs(psutil.Process(other.pid).create_time() - float(tags["process_start"])) > 1
    sign = ProcessSign.from_tags(tags)
    assert sign is not None
    assert (sign.is_alive_here(), sign.is_dead_here()) == (True, False)


@on_linux
def test_a_later_process_of_the_same_number_is_another(other: subprocess.Popen[bytes]) -> None:
    sign = sign_of(other)
    assert sign.ticks is not None
    boot, ticks = sign.ticks.split()
    assert replace(sign, ticks=f"{boot} {int(ticks) - 1}").is_dead_here()
    assert replace(sign, ticks=f"another-boot {ticks}").is_dead_here()
    assert not replace(sign, host="another machine", ticks="x 1").is_dead_here()
