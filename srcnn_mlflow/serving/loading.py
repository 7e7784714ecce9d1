"""Load a version into the processes of a pool, and see that it enlarges."""

import io

import numpy as np
from PIL import Image

from srcnn_mlflow.machine.errors import DamagedModelError
from srcnn_mlflow.machine.text import first_line
from srcnn_mlflow.serving.pool import Pool
from srcnn_mlflow.serving.worker import Question, Share, Worker, WorkerEndedError
from srcnn_mlflow.tracking.judge import check_enlargement, small_picture
from srcnn_mlflow.tracking.registry import FoundModel


async def load(found: FoundModel, scale: int, megapixels: float, pool: Pool) -> None:
    """Let a version take a pool over.

    Args:
        found: the version.
        scale: by which it enlarges.
        megapixels: that the pictures of a request may have together before that.
        pool: its processes go on with what they had where this one fails.

    Raises:
        DamagedModelError: it cannot be run, or gives another picture.
    """
    environment = {"SRCNN_MAX_MEGAPIXELS": f"{megapixels:g}"}

    async def start(share: Share | None) -> Worker:
        return await Worker.start(found.folder, found.label, environment, share)

    async def check(worker: Worker) -> None:
        await _check(worker, found.name, scale)

    await pool.take_over(start, check)


async def _check(worker: Worker, name: str, scale: int) -> None:
    """Let a process enlarge a picture, which is also what warms it.

    Raises:
        DamagedModelError: it cannot, or gives another picture.
    """
    small, file = small_picture(), io.BytesIO()
    Image.fromarray(small).save(file, "PNG")
    try:
        answer = await worker.ask(Question(file.getvalue(), format="png"))
    except WorkerEndedError as error:
        raise DamagedModelError(str(error)) from None
    if answer.status != 200:
        raise DamagedModelError(f"{name} cannot be run: {first_line(Exception(answer.body))}")
    check_enlargement(name, small, np.asarray(Image.open(io.BytesIO(answer.body))), scale)
