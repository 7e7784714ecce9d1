"""One fit of SRCNN: a generator that yields a result an epoch, and knows nothing of tracking."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch

from srcnn_mlflow.machine.errors import TrainingError
from srcnn_mlflow.machine.progress import progress
from srcnn_mlflow.network.plain_weights import Weights
from srcnn_mlflow.training.distributed import World, alone
from srcnn_mlflow.training.learner import Arrays, Learner
from srcnn_mlflow.training.outlook import Outlook
from srcnn_mlflow.training.plan import Plan, learning_rate
from srcnn_mlflow.training.sampler import Sampler, augment
from srcnn_mlflow.training.settings import TrainingSettings

# Steps between two looks at the loss, for which a GPU has to be waited for.
LOOK_EVERY = 100

Validate = Callable[[Weights], float]


@dataclass(frozen=True)
class EpochResult:
    """What an epoch gave.

    Attributes:
        epoch: its number, from 1.
        train_loss: mean squared error over its patches, luma in 0..1, weighed as they are where
            the settings weigh them.
        val_psnr: mean PSNR over the validation planes, in dB.
        lr: the learning rate at its end.
        seconds: time it took, validation included.
        patches_per_second: training speed, validation not included.
        is_best: whether all that was seen before had a lower `val_psnr`.
        best_val_psnr: the highest so far, in dB.
        best_epoch: the epoch that had it; 0 for the untouched network.
        weights: float32 arrays by name, as validated.
        state: everything the next step depends on, by name, for a resume.
    """

    epoch: int
    train_loss: float
    val_psnr: float
    lr: float
    seconds: float
    patches_per_second: float
    is_best: bool
    best_val_psnr: float
    best_epoch: int
    weights: Weights
    state: Arrays

    def metrics(self) -> dict[str, float]:
        """Its numbers, by the names that a run logs them by."""
        return {
            "train_loss": self.train_loss,
            "val_psnr": self.val_psnr,
            "lr": self.lr,
            "epoch_seconds": self.seconds,
            "patches_per_second": self.patches_per_second,
            "best_val_psnr": self.best_val_psnr,
            "best_epoch": self.best_epoch,
        }


@dataclass(frozen=True)
class Progress:
    """Where a fit stands: fields as in `EpochResult`; at its beginning epoch 0, with no state."""

    epoch: int
    best_val_psnr: float
    best_epoch: int
    state: Arrays


def fit(
    sampler: Sampler,
    settings: TrainingSettings,
    plan: Plan,
    validate: Validate,
    resume: Progress | None = None,
    world: World | None = None,
    start: Weights | None = None,
) -> Iterator[EpochResult]:
    """Train, and yield after every epoch.

    Args:
        sampler: the training patches, on the device where to train.
        settings: hyper-parameters.
        plan: number and length of the epochs.
        validate: gives the mean PSNR, in dB, of weights over the validation planes.
        resume: go on from here; None to begin with no network seen that an epoch has to beat.
        world: the processes that train together, each on its share of every batch; all of them
            yield the same, and `validate` has to give all of them the same.
        start: the plain weights that a network begins with; None for random ones.

    Raises:
        TrainingError: the training has diverged. The loss or a weight is no longer a finite number;
            or, at the end of an epoch, the loss is above 1, the most that any two pictures with
            luma in 0..1 can differ by, weighed as it is.
    """
    world = world or alone(sampler.device)
    learner = Learner(settings, sampler, world, start)
    done, best, best_epoch = 0, -math.inf, 0
    if resume:
        done, best, best_epoch = resume.epoch, resume.best_val_psnr, resume.best_epoch
        if resume.epoch:
            learner.load_state(resume.state)
    outlook = Outlook(plan, done, best)
    for epoch in range(done + 1, plan.epochs + 1):
        begin = time.perf_counter()
        loss, patches = _train_epoch(learner, sampler, settings, plan, epoch, world, outlook)
        trained = time.perf_counter()
        weights = learner.weights()
        if not all(np.isfinite(array).all() for array in weights.values()):
            raise _diverged("a weight is no longer a finite number", epoch, plan.steps, settings)
        psnr = validate(weights)
        is_best = psnr > best
        if is_best:
            best, best_epoch = psnr, epoch
        outlook.best = best
        yield EpochResult(
            epoch=epoch,
            train_loss=loss,
            val_psnr=psnr,
            lr=learning_rate(settings, epoch * plan.steps - 1, plan.total_steps),
            seconds=time.perf_counter() - begin,
            patches_per_second=patches / (trained - begin),
            is_best=is_best,
            best_val_psnr=best,
            best_epoch=best_epoch,
            weights=weights,
            state=learner.state(),
        )


def _diverged(what: str, epoch: int, step: int, settings: TrainingSettings) -> TrainingError:
    kept = "there is no checkpoint yet" if epoch == 1 else "the best epoch before it is kept"
    clip = "none" if settings.gradient_clip is None else f"{settings.gradient_clip:g}"
    return TrainingError(
        f"the training has diverged: {what} at step {step:,} of epoch {epoch}, and {kept}; lower "
        f"lr (now {settings.lr:g}), or set gradient_clip (now {clip})"
    )


def _exact(device: torch.device) -> torch.dtype:
    # Apple's GPUs have no float64.
    return torch.float32 if device.type == "mps" else torch.float64


def _train_epoch(
    learner: Learner,
    sampler: Sampler,
    settings: TrainingSettings,
    plan: Plan,
    epoch: int,
    world: World,
    outlook: Outlook,
) -> tuple[float, int]:
    first = (epoch - 1) * plan.steps
    # What a network from outside may draw, as dropout does, is the same when the fit is resumed.
    torch.manual_seed(settings.seed + epoch)
    turns = np.random.default_rng((settings.seed, epoch)).integers(8, size=plan.steps)
    shares = sampler.shares(settings.batch_size, settings.seed, first, plan.steps, world)
    label = f"epoch {epoch} of {plan.epochs}"
    # The loss, and the most that it can be: that of white and black, each weighed as it is.
    total, patches = torch.zeros(2, dtype=_exact(world.device), device=world.device), 0
    looked_at, recent, most = (0.0, 0.0, 0), 0.0, 1.0

    def describe(done: int) -> str:
        # Of several processes, what this one has seen; the others are waited for in their time.
        return outlook.describe(first + done, total[0].item() * world.size / patches)

    with closing(shares) as batches:
        for number, batch in enumerate(progress(batches, plan.steps, label, describe)):
            lr, hr = sampler.gather(batch.patches)
            if settings.augment:
                lr, hr = augment(int(turns[number]), lr, hr)
            rate = learning_rate(settings, first + number, plan.total_steps)
            loss = learner.step(lr, hr, rate, batch.weight, batch.factors)
            largest = torch.ones_like(loss) if batch.factors is None else batch.factors.mean()
            total += torch.stack([loss, largest]) * (batch.weight * batch.size / world.size)
            patches += batch.size
            if (number + 1) % LOOK_EVERY == 0 or number + 1 == plan.steps:
                # All processes look at the same steps, and see the same.
                seen, possible = world.add_up(total).tolist()
                since = patches - looked_at[2]
                recent, most = (seen - looked_at[0]) / since, (possible - looked_at[1]) / since
                looked_at = seen, possible, patches
                if not math.isfinite(seen):
                    raise _diverged(f"the loss is {seen}", epoch, number + 1, settings)
    if recent > most:
        raise _diverged(f"the loss is {recent:.3g}", epoch, plan.steps, settings)
    return looked_at[0] / patches, patches
