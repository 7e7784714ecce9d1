"""Tasks are timed in turn."""

from collections.abc import Callable

import pytest

from srcnn_mlflow.measuring.timing import median_seconds


def test_every_task_warms_up_and_then_runs_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    now = 0.0
    # The first of each warms up, and one later run of the first task is disturbed.
    takes = {"a": [90.0, 3.0, 1.0, 70.0, 2.0, 4.0], "b": [80.0, 5.0, 5.0, 5.0, 6.0, 6.0]}

    def task(name: str) -> Callable[[], None]:
        def run() -> None:
            nonlocal now
            now += takes[name][ran.count(name)]
            ran.append(name)

        return run

    monkeypatch.setattr("srcnn_mlflow.measuring.timing.time.perf_counter", lambda: now)
    assert median_seconds([task("a"), task("b")]) == [3.0, 5.0]
    assert ran == ["a", "b"] * 6
