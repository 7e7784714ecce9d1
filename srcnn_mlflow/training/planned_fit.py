"""A fit that is ready to run: patches, validation and plan of a store, alike in every process."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from srcnn_mlflow.measuring.evaluation import UpscaleLuma
from srcnn_mlflow.network.onnx_export import Weights, build_onnx
from srcnn_mlflow.network.upscaler import Upscaler
from srcnn_mlflow.pictures.store import Store
from srcnn_mlflow.training.distributed import World
from srcnn_mlflow.training.fit import EpochResult, Progress, Validate, fit
from srcnn_mlflow.training.importance import measure_importance
from srcnn_mlflow.training.model import Srcnn, count_weights
from srcnn_mlflow.training.plan import Plan, make_plan
from srcnn_mlflow.training.sampler import PatchSampler
from srcnn_mlflow.training.settings import TrainingSettings
from srcnn_mlflow.training.validation import make_validate


@dataclass(frozen=True)
class Interrupted:
    """A fit that has broken off: how long it was to be, and where it stood."""

    plan: Plan
    progress: Progress


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
        progress: where an interrupted fit stood; None to begin anew.
    """

    store: Store
    settings: TrainingSettings
    world: World
    sampler: PatchSampler
    validate: Validate
    plan: Plan
    progress: Progress | None

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

    def upscale_luma(self, weights: Weights) -> UpscaleLuma:
        """What enlarges a plane with weights that an epoch gave, as it will be shipped."""
        onnx = build_onnx(weights, self.settings.network, self.store.settings.scale)
        return Upscaler(onnx).upscale_luma

    def describe(self) -> str:
        """What will be trained on what, and how long that may take."""
        world, plan = self.world, self.plan
        processes = "" if world.size == 1 else f" in {world.size} processes"
        text = (
            f"{self.settings.architecture} ({count_weights(Srcnn(self.settings.network)):,} "
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
            timed first, and a validation where `max_minutes` is given.
    """
    network = settings.network
    # With padding, the network gives every pixel of a patch; without, what lies inside its halo.
    margin = network.halo if network.padding == "none" else 0
    importance = measure_importance(store, margin, settings.sampling, settings.loss)
    sampler = PatchSampler(store, world.device, importance)
    validate = make_validate(store, network, world)
    if interrupted:
        plan, progress = interrupted.plan, interrupted.progress
    else:
        # Only a budget of minutes has to be divided between steps and validations.
        budgeted = settings.max_minutes is not None
        validation = _time_validation(validate, settings) if budgeted else 0.0
        plan, progress = make_plan(sampler, settings, validation, world), None
    return PlannedFit(store, settings, world, sampler, validate, plan, progress)


def _time_validation(validate: Validate, settings: TrainingSettings) -> float:
    """Seconds that a validation takes, tried on a network that knows nothing."""
    start = time.perf_counter()
    untrained = Srcnn(settings.network).state_dict()
    validate({name: value.numpy() for name, value in untrained.items()})
    return time.perf_counter() - start
