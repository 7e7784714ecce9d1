"""Python's search for garbage, left out for a while."""

import gc

import pytest

from srcnn_mlflow.machine.garbage import no_search


@pytest.mark.parametrize("was_searching", [True, False])
def test_the_search_goes_on_as_it_was(was_searching: bool) -> None:
    try:
        if not was_searching:
            gc.disable()
        with no_search():
            assert not gc.isenabled()
        assert gc.isenabled() is was_searching
        with pytest.raises(KeyError), no_search():
            raise KeyError
        assert gc.isenabled() is was_searching
    finally:
        gc.enable()
