"""The epochs of a training: each is kept in its run, with metrics, checkpoints and a picture."""

import logging
import tempfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from srcnn_mlflow.commands.train_origin import Facts
from srcnn_mlflow.commands.train_state import CHECKPOINTS, write_checkpoints
from srcnn_mlflow.network.plain_weights import Weights
from srcnn_mlflow.showing.specimen import choose_specimen, draw_specimen
from srcnn_mlflow.tracking.outbox import Outbox, Parcel
from srcnn_mlflow.training.fit import EpochResult
from srcnn_mlflow.training.plan import Plan
from srcnn_mlflow.training.planned_fit import PlannedFit
from srcnn_mlflow.training.validation import validation_planes

# Told of every epoch; False ends the training after it.
Watch = Callable[[Plan, EpochResult], bool]
# The key of the picture that the UI shows by the epoch, and among how many it is chosen.
SPECIMEN, SPECIMENS = "validation crop", 10

logger = logging.getLogger(__name__)


class Best(NamedTuple):
    """The best epoch so far, 0 for the network before its training, and its weights."""

    epoch: int
    weights: Weights


def record_epochs(run_id: str, planned: PlannedFit, facts: Facts, watch: Watch) -> Best:
    """Train, and keep every epoch in the run; gives the best.

    Args:
        run_id: of the run.
        planned: the fit.
        facts: what every checkpoint says of its training.
        watch: told of every epoch; False ends the training after it.

    Raises:
        SrcnnError: with a message for the person who asked.
    """
    scale, plan = planned.store.settings.scale, planned.plan
    specimen = choose_specimen(islice(validation_planes(planned.store), SPECIMENS), scale)
    outbox, best = Outbox(run_id), Best(planned.progress.best_epoch, planned.best)
    with tempfile.TemporaryDirectory() as folder, outbox.open():
        if planned.progress.epoch == 0:
            # A slider that began at 1 would stand on an empty square first.
            before = draw_specimen(specimen, planned.upscale(planned.best))
            outbox.put(Parcel(0, image=(SPECIMEN, before)))
        for result in planned.epochs():
            if result.is_best:
                best = Best(result.epoch, result.weights)
            files = write_checkpoints(result, plan, best.weights, facts, Path(folder))
            image = None
            if is_shown(result.epoch, plan.epochs):
                image = (SPECIMEN, draw_specimen(specimen, planned.upscale(result.weights)))
            outbox.put(Parcel(result.epoch, result.metrics(), files, CHECKPOINTS, image))
            if not watch(plan, result):
                break
    return best


def tell_epoch(plan: Plan, result: EpochResult) -> bool:
    """A watch that says what each epoch gave, and never ends the training."""
    logger.info(
        "epoch %d of %d: loss %.2e, validation %.3f dB%s, %s patches/s, %.0f s",
        result.epoch,
        plan.epochs,
        result.train_loss,
        result.val_psnr,
        " (best)" if result.is_best else "",
        f"{result.patches_per_second:,.0f}",
        result.seconds,
    )
    return True


def is_shown(epoch: int, epochs: int) -> bool:
    """Whether an epoch is worth a picture: the first ten, and some twenty of any number."""
    return epoch <= 10 or epoch == epochs or epoch % -(-epochs // 20) == 0
