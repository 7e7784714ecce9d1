"""How long a fit will be, and the learning rate at each of its steps."""

import logging
import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import torch

from srcnn_mlflow.training.distributed import World, alone
from srcnn_mlflow.training.learner import Learner
from srcnn_mlflow.training.sampler import Sampler
from srcnn_mlflow.training.settings import TrainingSettings

logger = logging.getLogger(__name__)

# In seconds: one that takes longer is not tried with one thread as well.
LONG_STEP = 3.0
WARM_UP = 0.02
FINAL_LR = 0.01


@dataclass(frozen=True)
class Plan:
    """How long a fit will be.

    Attributes:
        epochs: how often the network is validated.
        steps: optimizer steps between two validations.
        step_seconds: what one step took when it was tried; None if it was not.
    """

    epochs: int
    steps: int
    step_seconds: float | None = None

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the whole fit."""
        return self.epochs * self.steps


def make_plan(
    sampler: Sampler,
    settings: TrainingSettings,
    validation: float,
    world: World | None = None,
) -> Plan:
    """Time a few steps, and lay out epochs by number or by minutes.

    Args:
        sampler: the patches to be trained on.
        settings: `epochs`, or `max_minutes` where that is given.
        validation: seconds that one validation takes.
        world: the processes that train together; all of them get the same plan.
    """
    world = world or alone(sampler.device)
    seconds = _time_step(sampler, settings, world)
    validation = world.largest(validation)
    one_pass = sampler.batches_in_pass(settings.batch_size)
    if settings.max_minutes is None:
        return Plan(settings.epochs, one_pass, seconds)
    budget = settings.max_minutes * 60
    passes = budget / (one_pass * seconds + validation)
    # On large sets an epoch is a tenth of the time, so that there is always a curve to see.
    epochs = max(10, math.floor(passes))
    steps = max(1, math.floor((budget / epochs - validation) / seconds))
    return Plan(epochs, steps, seconds)


def learning_rate(settings: TrainingSettings, step: int, total_steps: int) -> float:
    """The rate at a step: constant, or a linear warm-up and a half cosine down to 1 %.

    >>> settings = TrainingSettings(lr=0.001, schedule="cosine")
    >>> [round(learning_rate(settings, step, 1000), 6) for step in (0, 19, 500, 999)]
    [5e-05, 0.000999, 0.000505, 1e-05]
    """
    if settings.schedule == "constant":
        return settings.lr
    done = step / total_steps
    fall = FINAL_LR + (1 - FINAL_LR) * (1 + math.cos(math.pi * done)) / 2
    return settings.lr * min(1.0, (done + 1 / total_steps) / WARM_UP) * fall


def _time_step(sampler: Sampler, settings: TrainingSettings, world: World) -> float:
    """Seconds a step takes, tried on a network that is thrown away."""
    learner = Learner(settings, sampler, world)
    # Where epochs are counted, the time is told, but decides nothing.
    warm_up, enough = 5, 0.1 if settings.max_minutes is None else 1.5
    start, steps = time.perf_counter(), 0
    shares = sampler.shares(settings.batch_size, settings.seed, 0, 1000, world)
    with closing(shares) as batches:
        for number, batch in enumerate(batches):
            if number == warm_up:
                _synchronise(sampler.device)
                start = time.perf_counter()
            pair = sampler.gather(batch.patches)
            loss = learner.step(*pair, settings.lr, batch.weight, batch.factors)
            steps = number + 1 - warm_up
            if steps > 0 and (number % 10 == 0):
                loss.item()
                # All processes have to stop at the same step.
                if world.largest(time.perf_counter() - start) > enough:
                    break
    _synchronise(sampler.device)
    seconds = world.largest(time.perf_counter() - start) / steps
    threads = torch.get_num_threads()
    if sampler.device.type == "cpu" and world.size == 1 and threads > 1 and seconds < LONG_STEP:
        alone = seconds_of_one_thread(
            lambda: learner.step(*pair, settings.lr, batch.weight, batch.factors)
        )
        if alone < seconds / 2:
            logger.warning(
                "a step takes %.0f ms with %d threads and %.0f ms with one, as where other "
                "programs keep the processors busy; OMP_NUM_THREADS=1 before the command makes it "
                "faster while they do",
                *(1000 * seconds, threads, 1000 * alone),
            )
    return seconds


def seconds_of_one_thread(step: Callable[[], object]) -> float:
    """What a step takes by one thread of the processor."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        start = time.perf_counter()
        step()
        return time.perf_counter() - start
    finally:
        torch.set_num_threads(threads)


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
