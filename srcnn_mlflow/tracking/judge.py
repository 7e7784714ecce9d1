"""Run a logged model as it was logged, in a process of its own.

Where this package is already imported, MLflow would load a model with the code of today. So a
model that is judged runs in a fresh process outside the checkout; pictures cross over pipes.
"""

import base64
import io
import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np
from PIL import Image

from srcnn_mlflow.machine.errors import ModelError
from srcnn_mlflow.pictures.imaging import Plane

# Limits are for strangers; pictures that are judged come from this machine.
_NO_LIMITS = {f"SRCNN_MAX_{what}": "1e6" for what in ("IMAGES", "MEGABYTES", "MEGAPIXELS")}

_SCRIPT = Path(__file__).with_name("judge_process.py").absolute()


class JudgedModel:
    """A logged model in a process of its own; use it in a `with` statement."""

    def __init__(self, folder: Path) -> None:
        """Take the local folder of an MLflow model; the process starts with the `with` block."""
        self._folder = folder.absolute()

    def __enter__(self) -> "JudgedModel":
        self._stack = ExitStack()
        outside = self._stack.enter_context(tempfile.TemporaryDirectory())
        self._errors = self._stack.enter_context(tempfile.TemporaryFile("w+"))
        # -P keeps the script's own folder, which is this package, off the import path.
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_SCRIPT), str(self._folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=outside,
            env=_environment(),
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # It holds nothing that could be lost, and takes a second to end by itself.
        self._process.kill()
        try:
            self._process.communicate()
        finally:
            self._stack.close()

    def upscale_image(self, image: Image.Image) -> Image.Image:
        """Send a picture through the model.

        Raises:
            ModelError: the model cannot be loaded, or fails on this picture.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        file = io.BytesIO()
        # It only crosses a pipe: speed counts more than size.
        image.save(file, "PNG", compress_level=1)
        request = {"image": base64.b64encode(file.getvalue()).decode("ascii")}
        try:
            print(json.dumps(request), file=self._process.stdin, flush=True)
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise ModelError(f"the model in {self._folder} cannot be run: {self._last_words()}")
        return Image.open(io.BytesIO(base64.b64decode(json.loads(answer)["image"])))

    def upscale_luma(self, plane: Plane) -> Plane:
        """Send a luma plane through the model as a grey picture; uint8 in, uint8 out."""
        return np.asarray(self.upscale_image(Image.fromarray(plane)))

    def _last_words(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors if line.strip()]
        return lines[-1] if lines else f"its process ended with exit code {code}"


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | _NO_LIMITS
