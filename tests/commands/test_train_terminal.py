"""What a training shows on a terminal of 80 columns."""

import fcntl
import os
import pty
import re
import struct
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from srcnn_mlflow import cli
from tests.conftest import put_store, write_crops

pytestmark = pytest.mark.slow

COLUMNS = 80
BAR = re.compile(
    r"epoch (\d) of 3: +(\d+)%\|.+\| loss \d\.\d\de-\d\d, best (\d\d\.\d\d) dB, "
    r"(\d\d:\d\d) left in all"
)


@contextmanager
def terminal(shown: bytearray, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let messages and progress of this process go to a terminal, and keep what it is sent."""
    own, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))

    def read() -> None:
        try:
            while sent := os.read(own, 65536):
                shown.extend(sent)
        except OSError:
            # So a terminal says that nobody writes to it any more.
            pass

    reader = threading.Thread(target=read)
    reader.start()
    try:
        with os.fdopen(its, "w", encoding="utf-8") as stream, monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", stream)
            patch.setattr(sys, "stdout", stream)
            yield
    finally:
        reader.join()
        os.close(own)


def test_a_bar_says_loss_best_psnr_and_the_time_to_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    write_crops(tmp_path / "photos", 160, train=3, valid=1, test=1)
    asked = ("train", "--dataset", "photos", "--architecture", "9-1-5", "--epochs", "3")
    monkeypatch.setattr(sys, "argv", ["srcnn-mlflow", *asked])
    # So that a fast machine, too, has the time to draw something in every epoch.
    monkeypatch.setattr("srcnn_mlflow.machine.progress.SECONDS_BETWEEN_LOOKS", 0.0)
    shown = bytearray()
    with terminal(shown, monkeypatch), pytest.raises(SystemExit, match="0"):
        cli.main()
    lines = re.split(r"[\r\n]+", shown.decode())
    bars = [found for line in lines if (found := BAR.match(line))]
    assert {bar[1] for bar in bars} == {"1", "2", "3"}
    assert max(len(line) for line in lines if line.startswith("epoch") and "|" in line) <= COLUMNS
    # Validation has chosen by then.
    best = {bar[1]: float(bar[3]) for bar in bars}
    assert best["1"] < best["3"]
    assert any("registered srcnn-x2 version 1" in line for line in lines)
