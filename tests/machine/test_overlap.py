"""Computing in threads while the caller is at what came before."""

import threading

import pytest

from srcnn_mlflow.machine.overlap import computed_ahead


@pytest.mark.parametrize("ahead", [1, 3, 100])
def test_results_come_in_order_and_few_wait(ahead: int) -> None:
    begun: list[int] = []
    lock = threading.Lock()

    def square(number: int) -> int:
        with lock:
            begun.append(number)
        return number**2

    for place, result in enumerate(computed_ahead(range(50), square, ahead)):
        assert result == place**2
        assert len(begun) <= place + 1 + ahead
    assert sorted(begun) == list(range(50))


def test_an_error_is_raised_in_its_place() -> None:
    results = computed_ahead([2, 1, 0], lambda number: 2 // number, 2)
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_nothing_gives_nothing() -> None:
    assert list(computed_ahead([], str, 1)) == []
