"""A fit that is ready to run: patches, validation and plan of a store, alike in every process."""

import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from srcnn_mlflow.machine.memory import spare_bytes
from srcnn_mlflow.measuring.evaluation import Upscale
from srcnn_mlflow.network.plain_weights import Weights
from srcnn_mlflow.network.upscaler import Upscaler
from srcnn_mlflow.pictures.store import Store
from srcnn_mlflow.training.distributed import World
from srcnn_mlflow.training.fit import EpochResult, Progress, Validate, fit
from srcnn_mlflow.training.importance import measure_importance
from srcnn_mlflow.training.learner import Learner
from srcnn_mlflow.training.networks import network_of
from srcnn_mlflow.training.plan import Plan, make_plan
from srcnn_mlflow.training.sampler import PatchSampler, Sampler
from srcnn_mlflow.training.settings import TrainingSettings
from srcnn_mlflow.training.start import fresh_layers
from srcnn_mlflow.training.trained_network import Network
from srcnn_mlflow.training.validation import make_validation
from srcnn_mlflow.training.windowed_sampler import Drawing, WindowedSampler


@dataclass(frozen=True)
class Interrupted:
    """A fit that has broken off.

    Attributes:
        plan: how long it was to be.
        progress: where it stood.
        best: the weights of its best epoch.
        had_start: it began with the weights of another network, which its best epoch is held
            against already.
    """

    plan: Plan
    progress: Progress
    best: Weights
    had_start: bool = False


@dataclass(frozen=True)
class PlannedFit:
    """Everything that `fit` takes, and the store that it comes from.

    Attributes:
        store: holds the planes.
        settings: hyper-parameters.
        network: what is trained.
        world: the processes that train together.
        sampler: the training patches, on this process's device.
        validate: gives weights their mean PSNR, in dB.
        plan: number and length of the epochs.
        progress: where it stands; at its beginning, the untouched network is the best so far.
        best: the weights of the best epoch so far, that of the untouched network being 0.
        start: the weights that it begins with; None for random ones.
    """

    store: Store
    settings: TrainingSettings
    network: Network
    world: World
    sampler: Sampler
    validate: Validate
    plan: Plan
    progress: Progress
    best: Weights
    start: Weights | None = None

    def epochs(self) -> Iterator[EpochResult]:
        """Train, and yield after every epoch.

        Raises:
            TrainingError: the training has diverged.
            StoreError: something has written into the store meanwhile.
        """
        for result in fit(
            self.sampler,
            self.settings,
            self.plan,
            self.validate,
            self.progress,
            self.world,
            self.start,
        ):
            self.store.check_unchanged()
            yield result

    def upscale(self, weights: Weights) -> Upscale:
        """What enlarges pixels with weights that an epoch gave, as it will be shipped."""
        return Upscaler(self.network.export(weights, self.store.settings.scale)).upscale_pixels

    def describe(self) -> str:
        """What will be trained on what, and how long that may take."""
        world, plan = self.world, self.plan
        processes = "" if world.size == 1 else f" in {world.size} processes"
        text = (
            f"{self.settings.label} ({self.network.weights:,} weights) on "
            f"{world.device}{processes}: {self.sampler.patch_count:,} patches, "
            f"{plan.epochs} epochs of {plan.steps:,} steps, {self.sampler.bytes / 1e6:.0f} MB of "
            f"patches in memory{self.sampler.note}"
        )
        if plan.step_seconds is None:
            return text
        minutes = plan.total_steps * plan.step_seconds / 60
        return (
            f"{text}; a step takes {1000 * plan.step_seconds:.1f} ms, so about {minutes:.1f} "
            "minutes beside validation (max_minutes, epochs or train_images make it shorter)"
        )


def choose_window(store: Store, device: torch.device, memory: int | None) -> int | None:
    """How much of a store is in memory at once, where it is not all of it.

    Args:
        store: the planes.
        device: where they go.
        memory: what they may take of each process, in bytes; None for half of what is to spare,
            rounded down to a power of two, so that it is the same from run to run.

    Returns:
        Bytes; None where all planes fit.
    """
    if memory is None:
        if device.type == "cuda":
            spare = torch.cuda.mem_get_info(device)[0]
        else:
            spare = spare_bytes() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        memory = 1 << max(0, (spare // 2).bit_length() - 1)
    return None if store.train.bytes <= memory else memory


def plan_fit(
    store: Store,
    settings: TrainingSettings,
    world: World,
    interrupted: Interrupted | None = None,
    start: Weights | None = None,
    window: int | None = None,
) -> PlannedFit:
    """Bring the patches to the device, and lay out the epochs.

    Args:
        store: the planes to train and to validate on.
        settings: hyper-parameters.
        world: the processes that train together.
        interrupted: the fit to go on with; None to begin anew, for which a few steps are
            timed first.
        start: the plain weights to begin with, where their layers fit; None for random ones.
        window: what training planes may take where the patches are, in bytes, as `choose_window`
            gives it; None for all of them.
    """
    network = network_of(settings)
    drawn = settings.sampling, settings.loss
    sampler: Sampler
    if window is None:
        importance = measure_importance(store, network.crop, *drawn, network.channels)
        sampler = PatchSampler(store, world.device, importance, network.channels)
    else:
        drawing = Drawing(*drawn, network.crop, network.channels)
        sampler = WindowedSampler(store, world.device, window, drawing)
    validation = make_validation(store, network, world)
    untouched = untouched_weights(settings, sampler, world, start)
    begin = time.perf_counter()
    # What corrects nothing is run only where a plan asks how long that takes, and for YCbCr, of
    # which the way there and back rounds.
    is_run = settings.max_minutes is not None or network.channels == "ycbcr"
    is_known = not is_run and is_bicubic(untouched, settings)
    psnr = validation.bicubic if is_known else validation.score(untouched)
    seconds = time.perf_counter() - begin
    if interrupted:
        plan, progress, best = interrupted.plan, interrupted.progress, interrupted.best
    else:
        plan = make_plan(sampler, settings, seconds, world)
        progress, best = Progress(0, -math.inf, 0, {}), {}
    # Fits of former versions may have kept an epoch that is worse.
    known = interrupted is not None and interrupted.had_start
    if psnr > progress.best_val_psnr and not known:
        progress, best = replace(progress, best_val_psnr=psnr, best_epoch=0), untouched
    return PlannedFit(
        store, settings, network, world, sampler, validation.score, plan, progress, best, start
    )


def untouched_weights(
    settings: TrainingSettings,
    sampler: Sampler,
    world: World,
    start: Weights | None = None,
) -> Weights:
    """The network before its first step; for a residual one without a correction: bicubic itself.

    Args:
        settings: hyper-parameters.
        sampler: the training patches, from which the first layer is preconditioned.
        world: the processes that train together.
        start: what the network begins with; where all of it fits, that is the untouched network.
    """
    network = network_of(settings)
    weights = Learner(settings, sampler, world, start).weights()
    if start is not None and not fresh_layers(start, network.shapes):
        # As they are, and not as they come out of the preconditioned layer, which rounds them.
        return {**weights, **{name: start[name] for name in network.shapes}}
    # The initial correction is small at best, and may already do harm.
    return network.without_correction(weights) if settings.residual else weights


def is_bicubic(weights: Weights, settings: TrainingSettings) -> bool:
    """Whether a network corrects nothing, as a residual one before its training."""
    return settings.residual and network_of(settings).corrects_nothing(weights)
