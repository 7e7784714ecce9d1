"""The README's commands from first to last, as a newcomer runs them in a fresh clone."""

import os
import re
import signal
import subprocess
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import BIN, ROOT, free_port, write_crops
from tests.pages import blocks

README = ROOT / "README.md"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with the environment of this checkout, for somebody who has photographs."""
    home = tmp_path_factory.mktemp("home")
    folder = home / "srcnn-mlflow"
    subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
    (folder / ".venv").symlink_to(BIN.parent)
    # `make` finds nothing newer than what is installed.
    for name in ("requirements.txt", "requirements-test.txt", "pyproject.toml"):
        os.utime(folder / name, (0, 0))
    holiday = home / "Pictures" / "holiday"
    write_crops(holiday, 96, train=6, valid=2, test=6)
    with Image.open(next(holiday.glob("test/*.png"))) as image:
        image.convert("RGB").save(folder / "photo.jpg")
    return folder


def environment(clone: Path) -> dict[str, str]:
    """What an activated environment is, and a home folder of its own."""
    return os.environ | {
        "HOME": str(clone.parent),
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "PYTHONPATH": str(clone),
    }


def shell(line: str, clone: Path) -> str:
    """Run a line as a shell does; gives what it printed."""
    done = subprocess.run(
        ["bash", "-c", line], cwd=clone, env=environment(clone), capture_output=True, text=True
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    return done.stdout


def served(line: str, clone: Path) -> bytes:
    """Start a server, and enlarge a picture with it; gives the answer."""
    port = free_port()
    process = subprocess.Popen(
        ["bash", "-c", f"exec {line.replace('5001', str(port))}"], cwd=clone, env=environment(clone)
    )
    picture = (clone / "photo.jpg").read_bytes()
    try:
        for _ in range(600):
            with suppress(OSError):
                request = urllib.request.Request(f"http://127.0.0.1:{port}/upscale", picture)
                return bytes(urllib.request.urlopen(request, timeout=60).read())
            time.sleep(0.1)
        pytest.fail(f"{line} did not answer within a minute")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def numbers(text: str) -> list[float]:
    """Those of the lines that are rows of a table of results."""
    rows = [line for line in text.splitlines() if re.match(r"\| x\d ", line)]
    return [float(one) for row in rows for one in re.findall(r"[+-]?\d+\.\d+", row)]


@pytest.mark.exhaustive
@pytest.mark.timeout(3600)
def test_the_readme_runs_from_top_to_bottom(clone: Path) -> None:
    lines = [
        line
        for block in blocks(README)
        for line in block.text.splitlines()
        if not line.startswith("git clone")
    ]
    (demo,) = (line for line in lines if line == "make demo")
    printed = shell(demo, clone)
    # The last table is that of both scales; another processor may differ in the last digit.
    shown = numbers(README.read_text(encoding="utf-8"))
    assert numbers(printed)[-len(shown) :] == pytest.approx(shown, abs=0.06)
    for line in lines[lines.index(demo) + 1 :]:
        if " serve " in line:
            assert served(line, clone).startswith(b"\x89PNG")
        elif "promote" in line:
            # The version that `main` has made is champion already, or no better: both are told.
            with pytest.raises(AssertionError, match="version"):
                shell(line, clone)
        else:
            shell(line, clone)
    assert (clone / "upscaled" / "photo-x2.png").is_file()
    assert (clone / "upscaled" / "comparison-x2.html").is_file()
