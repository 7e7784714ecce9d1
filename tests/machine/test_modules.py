"""What takes seconds to import: the same modules, and Python as it was."""

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from srcnn_mlflow.machine.modules import load

NAME = "module_of_a_test"


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path / f"{NAME}.py"
    sys.modules.pop(NAME, None)
    gc.unfreeze()


def test_a_module_is_imported_while_nothing_looks_for_garbage(written: Path) -> None:
    written.write_text("import gc\nCOLLECTING = gc.isenabled()\n")
    load(NAME)
    assert sys.modules[NAME].COLLECTING is False
    assert gc.isenabled()
    # What is there by then is not looked at again.
    assert gc.get_freeze_count() > 0


def test_garbage_is_looked_for_again_where_a_module_cannot_be_imported(written: Path) -> None:
    written.write_text("1 / 0\n")
    with pytest.raises(ZeroDivisionError):
        load(NAME)
    assert gc.isenabled()
