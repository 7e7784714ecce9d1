"""The notebook runs from its first cell to its last.

`SRCNN_RECORD=1 python -m pytest tests/test_notebook.py` keeps what its cells gave.
"""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.conftest import BIN, ROOT

NOTEBOOK = ROOT / "docs" / "notebook.ipynb"


@pytest.mark.exhaustive
def test_the_notebook_runs_from_top_to_bottom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PATH", f"{BIN}:{os.environ['PATH']}")
    book = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(book, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in book.cells for output in cell.get("outputs", ())]
    pictures = [one for one in outputs if "image/png" in one.get("data", {})]
    assert len(pictures) == 2
    assert not [one for one in outputs if one.output_type == "error"]
    if os.environ.get("SRCNN_RECORD"):
        for cell in book.cells:
            # What is written to standard error names places of one machine.
            kept = [one for one in cell.get("outputs", ()) if one.get("name") != "stderr"]
            cell.update({"outputs": kept} if cell.cell_type == "code" else {})
        text = nbformat.writes(book)  # type: ignore[no-untyped-call]
        text = text.replace(str(tmp_path), "/home/anna/work")
        NOTEBOOK.write_text(f"{text}\n", encoding="utf-8")
