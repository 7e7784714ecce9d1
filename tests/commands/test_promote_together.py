"""Two promotions at once, of two machines, through one tracking server."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from srcnn_mlflow.tracking import champions
from tests.conftest import mlflow_server, write_crops
from tests.versions import (
    EQUAL,
    GOOD,
    MIDDLE,
    STRENGTHS,
    WEAK,
    begin_with,
    nobody_waits,
    promotion,
    register_all,
    verdict_of,
)

pytestmark = pytest.mark.slow

# The process is of a machine of its own, for all that it can see.
OTHER_MACHINE = """
import socket
socket.gethostname = lambda: "{host}"
"""
# It stands still between its last look at the champion and its move.
STAND_STILL = """
import time
from pathlib import Path
note = champions._note
def slow(*given):
    Path("still").touch()
    while not Path("on").exists():
        time.sleep(0.05)
    note(*given)
champions._note = slow
"""
# It promotes others first, in one go.
OTHERS_FIRST = """
from srcnn_mlflow.commands.promote import promote
for version in {versions}:
    promote(2, str(version), "photos")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with photographs, where one works, and a tracking server with five versions."""
    folder = tmp_path_factory.mktemp("together")
    write_crops(folder / "photos", 130, test=8)
    with pytest.MonkeyPatch.context() as patch, mlflow_server(folder / "server") as address:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", address)
        patch.setenv("SRCNN_HOME", str(folder / "data"))
        register_all(folder)
        for host in ("a", "b"):
            (folder / host).mkdir()
        yield folder


@pytest.mark.exhaustive
def test_what_was_judged_against_is_what_is_replaced_on_two_machines(folder: Path) -> None:
    begin_with(WEAK)
    before = OTHER_MACHINE.format(host="a") + STAND_STILL
    first = promotion(GOOD, before, TMPDIR=str(folder / "a"))
    deadline = time.monotonic() + 120
    while not (folder / "still").exists():
        assert time.monotonic() < deadline
        assert first.poll() is None, first.communicate()[1]
        time.sleep(0.05)
    told = "import logging; logging.basicConfig(level=logging.INFO)\n"
    second = promotion(MIDDLE, told + OTHER_MACHINE.format(host="b"), TMPDIR=str(folder / "b"))
    assert second.stderr is not None
    lines = []
    for line in second.stderr:
        lines.append(line)
        if f"waiting for process {first.pid} on a, which moves an alias" in line:
            break
    (folder / "on").touch()
    _, errors = second.communicate(timeout=120)
    assert second.returncode == 1, "".join([*lines, errors])
    assert first.wait() == 0
    assert f"version {GOOD} has become champion meanwhile; judging against it" in errors
    assert champions.champions(2).line == (WEAK, GOOD)
    assert verdict_of(MIDDLE).startswith("refused: ")
    assert nobody_waits()


@pytest.mark.exhaustive
def test_of_many_promotions_two_at_a_time_the_best_is_champion_in_the_end(folder: Path) -> None:
    begin_with()
    orders = {"a": [WEAK, EQUAL, GOOD], "b": [MIDDLE, GOOD, WEAK]}
    processes = []
    for host, (*first, last) in orders.items():
        before = OTHER_MACHINE.format(host=host) + OTHERS_FIRST.format(versions=first)
        processes.append(promotion(last, before, TMPDIR=str(folder / host)))
    for process in processes:
        _, errors = process.communicate(timeout=300)
        assert process.returncode in (0, 1), errors
        assert "Traceback" not in errors, errors
    line = champions.champions(2).line
    assert line[-1] == GOOD
    strengths = [STRENGTHS[version] for version in line]
    assert strengths == sorted(set(strengths)), "each was better than the one it replaced"
    assert nobody_waits()
