"""Run a logged model as it was logged, in a process of its own.

Where this package is already imported, MLflow would load a model with the code of today. So a
model that is judged runs in a fresh process outside the checkout; pictures cross over pipes.
"""

import base64
import io
import json
import os
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from subprocess import PIPE, Popen
from types import TracebackType

import numpy as np
from PIL import Image

from srcnn_mlflow.machine.errors import DamagedModelError, ModelError
from srcnn_mlflow.measuring.metrics import psnr
from srcnn_mlflow.pictures.imaging import Plane, upscale_to_eight_bit
from srcnn_mlflow.tracking.registry import FoundModel

# Limits are for strangers; pictures that are judged come from this machine.
_NO_LIMITS = {
    f"SRCNN_MAX_{what}": "1e6"
    for what in ("IMAGES", "MEGABYTES", "MEGAPIXELS", "OUTPUT_MEGAPIXELS")
}

# How a process ends that others have ended, as when memory runs short; the model is not to blame.
_ENDED_FROM_OUTSIDE = (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT)

# No network that has ever beaten bicubic is further from it than this, in dB, on a smooth picture.
LEAST_LIKENESS = 20.0

# A version that can compute in bfloat16 has this.
_BFLOAT16_CODE = Path("code/srcnn_mlflow/network/bfloat16.py")

_SCRIPT = Path(__file__).with_name("judge_process.py").absolute()


class JudgedModel:
    """A logged model in a process of its own; use it in a `with` statement."""

    def __init__(self, folder: Path, name: str | None = None, precision: str = "float32") -> None:
        """Take a model; its process starts with the `with` block.

        Args:
            folder: the local folder of an MLflow model.
            name: how messages call it; None for its folder.
            precision: what its convolutions compute in.

        Raises:
            ModelError: its own code computes in float32 only.
        """
        self._folder = folder.absolute()
        self._name = name or f"the model in {self._folder}"
        self._precision = precision
        if precision != "float32" and not (self._folder / _BFLOAT16_CODE).is_file():
            raise ModelError(
                f"{self._name} was registered before precision={precision} was known, and has its "
                "own code; give precision=float32, or train it again"
            )

    def __enter__(self) -> "JudgedModel":
        self._stack = ExitStack()
        outside = self._stack.enter_context(tempfile.TemporaryDirectory())
        self._errors = self._stack.enter_context(tempfile.TemporaryFile("w+"))
        # -P keeps the script's own folder, which is this package, off the import path.
        self._process = Popen(
            [sys.executable, "-P", str(_SCRIPT), str(self._folder)],
            stdin=PIPE,
            stdout=PIPE,
            stderr=self._errors,
            text=True,
            cwd=outside,
            env=_environment() | {"SRCNN_PRECISION": self._precision},
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
            DamagedModelError: the model cannot be loaded, or fails on this picture.
            ModelError: its process was ended from outside.
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
            raise self._ended()
        return Image.open(io.BytesIO(base64.b64decode(json.loads(answer)["image"])))

    def upscale_luma(self, plane: Plane) -> Plane:
        """Send a luma plane through the model as a grey picture; uint8 in, uint8 out."""
        return self.upscale_pixels(plane)

    def upscale_pixels(self, pixels: Plane) -> Plane:
        """`upscale_image` for uint8 of shape (height, width) or (height, width, 3)."""
        return np.asarray(self.upscale_image(Image.fromarray(pixels)))

    def _ended(self) -> ModelError:
        code = self._process.wait()
        if code in _ENDED_FROM_OUTSIDE:
            return ModelError(
                f"{self._name} cannot be run: its process was ended by signal {-code}, as the "
                "system does where memory is short; close other programs, and start again"
            )
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors if line.strip()]
        said = lines[-1] if lines else f"its process ended with exit code {code}"
        return DamagedModelError(f"{self._name} cannot be run: {said}")


def check_model(found: FoundModel, scale: int) -> None:
    """Load a model in a process of its own, and run it on a small smooth picture.

    Raises:
        DamagedModelError: it cannot be loaded or run, or gives something else than the picture.
        ModelError: its process was ended from outside.
    """
    small = small_picture()
    with JudgedModel(found.folder, found.name) as judged:
        result = judged.upscale_luma(small)
    check_enlargement(found.name, small, result, scale)


def small_picture() -> Plane:
    """A small smooth picture, which any network enlarges much as bicubic interpolation does."""
    return np.asarray(Image.radial_gradient("L").resize((48, 40)))


def check_enlargement(name: str, small: Plane, result: Plane, scale: int) -> None:
    """Look whether a result is the small smooth picture, enlarged.

    Raises:
        DamagedModelError: it is something else.
    """
    expected = upscale_to_eight_bit(small, scale)
    if result.shape != expected.shape:
        raise DamagedModelError(
            f"{name} enlarges a picture of {small.shape[1]}x{small.shape[0]} pixels to "
            f"{result.shape[1]}x{result.shape[0]}, which is not scale {scale}"
        )
    likeness = psnr(expected, result, scale)
    if likeness < LEAST_LIKENESS:
        raise DamagedModelError(
            f"{name} gives something else than the picture it is to enlarge: its result on a "
            f"smooth picture is {likeness:.1f} dB from bicubic's"
        )


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | _NO_LIMITS
