"""A fit that is ready to run: patches, validation and plan of a store, alike in every process."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from srcnn_mlflow.measuring.evaluation import Upscale
from srcnn_mlflow.network.onnx_export import Weights, build_onnx
from srcnn_mlflow.network.upscaler import Upscaler
from srcnn_mlflow.pictures.store import Store
from srcnn_mlflow.training.distributed import World
from srcnn_mlflow.training.fit import EpochResult, Progress, Validate, fit
from srcnn_mlflow.training.importance import measure_importance
from srcnn_mlflow.training.learner import Learner
from srcnn_mlflow.training.model import Srcnn, count_weights
from srcnn_mlflow.training.plan import Plan, make_plan
from srcnn_mlflow.training.sampler import PatchSampler
from srcnn_mlflow.training.settings import TrainingSettings
from srcnn_mlflow.training.validation import make_validate


@dataclass(frozen=True)
class Interrupted:
    """A fit that has broken off: how long it was to be, where it stood, and the best weights."""

    plan: Plan
    progress: Progress
    best: Weights


@dataclass(frozen=True)
class PlannedFit:
    """Everything that `fit` takes, and the store that it comes from.

    Attributes:
        store: holds the planes.
        settings: hyper-parameters.
        world: the processes that train together.
        sampler: the training patches, on this process's device.
        validate: gives weights their mean PSNR, in dB.
        plan: number and length of the epochs.
        progress: where it stands; at its beginning, the untouched network is the best so far.
        best: the weights of the best epoch so far, that of the untouched network being 0.
    """

    store: Store
    settings: TrainingSettings
    world: World
    sampler: PatchSampler
    validate: Validate
    plan: Plan
    progress: Progress
    best: Weights

    def epochs(self) -> Iterator[EpochResult]:
        """Train, and yield after every epoch.

        Raises:
            TrainingError: the training has diverged.
            StoreError: something has written into the store meanwhile.
        """
        for result in fit(
            self.sampler, self.settings, self.plan, self.validate, self.progress, self.world
        ):
            self.store.check_unchanged()
            yield result

    def upscale(self, weights: Weights) -> Upscale:
        """What enlarges pixels with weights that an epoch gave, as it will be shipped."""
        onnx = build_onnx(weights, self.settings.network, self.store.settings.scale)
        return Upscaler(onnx).upscale_pixels

    def describe(self) -> str:
        """What will be trained on what, and how long that may take."""
        world, plan = self.world, self.plan
        processes = "" if world.size == 1 else f" in {world.size} processes"
        text = (
            f"{self.settings.network.label} ({count_weights(Srcnn(self.settings.network)):,} "
            f"weights) on {world.device}{processes}: {self.sampler.patch_count:,} patches, "
            f"{plan.epochs} epochs of {plan.steps:,} steps, {self.sampler.bytes / 1e6:.0f} MB of "
            "patches in memory"
        )
        if plan.step_seconds is None:
            return text
        minutes = plan.total_steps * plan.step_seconds / 60
        return (
            f"{text}; a step takes {1000 * plan.step_seconds:.1f} ms, so about {minutes:.1f} "
            "minutes beside validation (max_minutes, epochs or train_images make it shorter)"
        )


def plan_fit(
    store: Store,
    settings: TrainingSettings,
    world: World,
    interrupted: Interrupted | None = None,
) -> PlannedFit:
    """Bring the patches to the device, and lay out the epochs.

    Args:
        store: the planes to train and to validate on.
        settings: hyper-parameters.
        world: the processes that train together.
        interrupted: the fit to go on with; None to begin anew, for which a few steps are
            timed first.
    """
    network = settings.network
    # With padding, the network gives every pixel of a patch; without, what lies inside its halo.
    margin = network.halo if network.padding == "none" else 0
    drawn = settings.sampling, settings.loss
    importance = measure_importance(store, margin, *drawn, network.channels)
    sampler = PatchSampler(store, world.device, importance, network.channels)
    validate = make_validate(store, network, world)
    untouched = untouched_weights(settings, sampler, world)
    start = time.perf_counter()
    psnr = validate(untouched)
    seconds = time.perf_counter() - start
    if interrupted:
        plan, progress, best = interrupted.plan, interrupted.progress, interrupted.best
    else:
        plan = make_plan(sampler, settings, seconds, world)
        progress, best = Progress(0, -math.inf, 0, {}), {}
    # Fits of former versions may have kept an epoch that is worse.
    if psnr > progress.best_val_psnr:
        progress, best = replace(progress, best_val_psnr=psnr, best_epoch=0), untouched
    return PlannedFit(store, settings, world, sampler, validate, plan, progress, best)


def untouched_weights(settings: TrainingSettings, sampler: PatchSampler, world: World) -> Weights:
    """The network before its first step; for a residual one without a correction: bicubic itself.

    Args:
        settings: hyper-parameters.
        sampler: the training patches, from which the first layer is preconditioned.
        world: the processes that train together.
    """
    weights = Learner(settings, sampler, world).weights()
    if not settings.residual:
        return weights
    # The initial correction is small at best, and may already do harm.
    last = _last_layer(settings)
    return {**weights, **{name: np.zeros_like(weights[name]) for name in last}}


def is_bicubic(weights: Weights, settings: TrainingSettings) -> bool:
    """Whether a network corrects nothing, as a residual one before its training."""
    return settings.residual and not any(weights[name].any() for name in _last_layer(settings))


def _last_layer(settings: TrainingSettings) -> tuple[str, ...]:
    """The names of the last layer's weight and bias."""
    return tuple(settings.network.shapes)[-2:]
