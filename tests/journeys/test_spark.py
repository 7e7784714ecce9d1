"""Tables of pictures: what docs/spark.md says, run as it stands there."""

import importlib.util
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from tests.conftest import ROOT, textured_pixels
from tests.served import shipped_champion

pytestmark = pytest.mark.slow
PROGRAMS = re.findall(
    r"```python\n(.*?)```", (ROOT / "docs" / "spark.md").read_text(encoding="utf-8"), re.DOTALL
)
BROKEN = "broken.png"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Path]:
    with shipped_champion(tmp_path_factory.mktemp("spark"), empty_store) as place:
        (place / "photos").mkdir()
        for number in range(5):
            pixels = textured_pixels(30, 40, number)
            Image.fromarray(pixels).save(place / "photos" / f"{number}.png")
        (place / "photos" / BROKEN).write_bytes(b"no picture")
        yield place


def run(program: str, folder: Path) -> str:
    (folder / "program.py").write_text(program, encoding="utf-8")
    environment = {
        **os.environ,
        "PYSPARK_SUBMIT_ARGS": "--master local[2] --conf spark.ui.enabled=false pyspark-shell",
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    finished = subprocess.run(
        [sys.executable, "program.py"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    return finished.stdout


def needs_spark() -> None:
    """Skip where PySpark or Java is absent, unless SRCNN_REQUIRE_SPARK is set."""
    if importlib.util.find_spec("pyspark") is None or shutil.which("java") is None:
        if os.environ.get("SRCNN_REQUIRE_SPARK"):
            pytest.fail("PySpark or Java is not installed")
        pytest.skip("needs PySpark and Java")


def test_a_folder_goes_through_spark(folder: Path) -> None:
    needs_spark()
    run(PROGRAMS[0], folder)
    rows = {Path(row["path"]).name: row for _, row in pd.read_parquet(folder / "large").iterrows()}
    assert rows.pop(BROKEN)["error"].startswith("cannot be used: the image is not a PNG")
    assert sorted(rows) == [f"{number}.png" for number in range(5)]
    for row in rows.values():
        assert row["error"] == ""
        image = Image.open(io.BytesIO(row["content"]))
        assert (image.format, *image.size) == ("JPEG", row["width"], row["height"])
        assert image.size == (80, 60)
    shutil.rmtree(folder / "large")


@pytest.mark.exhaustive
def test_a_folder_goes_through_processes(folder: Path) -> None:
    told = run(PROGRAMS[1], folder)
    assert f"{Path('photos', BROKEN)} cannot be used" in told
    assert told.count("done") == 5
    for number in range(5):
        assert Image.open(folder / "large" / f"{number}.png").size == (80, 60)
    shutil.rmtree(folder / "large")
