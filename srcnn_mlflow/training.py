"""One fit of SRCNN: a generator that yields a result an epoch, and knows nothing of tracking."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from srcnn_mlflow.architecture import Architecture
from srcnn_mlflow.distributed import World, alone
from srcnn_mlflow.errors import TrainingError
from srcnn_mlflow.machine import keep_large_buffers
from srcnn_mlflow.model import Srcnn
from srcnn_mlflow.optimizers import Optimizer
from srcnn_mlflow.preconditioning import fit_preconditioner
from srcnn_mlflow.progress import progress
from srcnn_mlflow.sampler import PatchSampler, augment

SCHEDULES = ("cosine", "constant")
PRECISIONS = ("auto", "float32", "bfloat16")
WARM_UP = 0.02
FINAL_LR = 0.01
# What the preconditioner is measured on.
MEASURED_PATCHES = 6000
# Steps between two looks at the loss, for which a GPU has to be waited for.
LOOK_EVERY = 100

Weights = Mapping[str, NDArray[np.float32]]
Arrays = Mapping[str, NDArray[Any]]
Validate = Callable[[Weights], float]


@dataclass(frozen=True)
class TrainingSettings:
    """Every hyper-parameter of a fit; the defaults train best in a few minutes on two cores.

    Attributes:
        architecture: kernel sizes, `9-5-5` or `9-1-5`.
        epochs: passes over all patches; `max_minutes` takes its place where given.
        batch_size: patches a step.
        lr: the highest learning rate.
        last_layer_lr_factor: the last layer's share of that rate.
        optimizer: `adam` or `muon`.
        schedule: `cosine` (a short warm-up, then down to 1 %) or `constant`.
        gradient_clip: the longest gradient a step may follow; None for any.
        residual: learn the difference from bicubic.
        padding: `none`, `replicate` or `zero`; see `Architecture`.
        initialization: `he` (last layer near zero) or `plain` (torch's default).
        precondition: train the first layer on centred, partly whitened luma.
        augment: turn and mirror batches.
        ema_decay: validate and keep an exponential moving average of the weights, of which this
            share stays a step; None for the weights themselves.
        precision: what the convolutions compute in; weights, loss and optimizer stay in float32.
            `auto` is `bfloat16` where the processor has it in hardware, and else `float32`.
        max_minutes: train for about this long, with the schedule fitted to it; None for epochs.
        seed: of the initial weights and the order of patches.
    """

    architecture: str = "9-5-5"
    epochs: int = 8
    batch_size: int = 16
    lr: float = 0.001
    last_layer_lr_factor: float = 1.0
    optimizer: str = "muon"
    schedule: str = "cosine"
    gradient_clip: float | None = None
    residual: bool = True
    padding: str = "none"
    initialization: str = "he"
    precondition: bool = True
    augment: bool = True
    ema_decay: float | None = None
    precision: str = "auto"
    max_minutes: float | None = None
    seed: int = 0

    @property
    def network(self) -> Architecture:
        """The network these settings train."""
        return Architecture(self.architecture, self.residual, self.padding)


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


@dataclass(frozen=True)
class EpochResult:
    """What an epoch gave.

    Attributes:
        epoch: its number, from 1.
        train_loss: mean squared error over its patches, luma in 0..1.
        val_psnr: mean PSNR over the validation planes, in dB.
        lr: the learning rate at its end.
        seconds: time it took, validation included.
        patches_per_second: training speed, validation not included.
        is_best: whether no earlier epoch had a higher `val_psnr`.
        best_val_psnr: the highest so far, in dB.
        best_epoch: the epoch that had it.
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


@dataclass(frozen=True)
class Progress:
    """Where an interrupted fit stood: fields as in `EpochResult`."""

    epoch: int
    best_val_psnr: float
    best_epoch: int
    state: Arrays


def make_plan(
    sampler: PatchSampler,
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


def computes_bfloat16(device: torch.device) -> bool:
    """Whether a processor multiplies bfloat16 in hardware, about twice as fast as float32."""
    capabilities = torch.cpu.get_capabilities()
    names = ("avx512_bf16", "amx_bf16")
    return device.type == "cpu" and any(capabilities.get(name, False) for name in names)


def learning_rate(settings: TrainingSettings, step: int, total_steps: int) -> float:
    """The rate at a step: constant, or a linear warm-up and a half cosine down to 1 %."""
    if settings.schedule == "constant":
        return settings.lr
    done = step / total_steps
    fall = FINAL_LR + (1 - FINAL_LR) * (1 + math.cos(math.pi * done)) / 2
    return settings.lr * min(1.0, (done + 1 / total_steps) / WARM_UP) * fall


def fit(
    sampler: PatchSampler,
    settings: TrainingSettings,
    plan: Plan,
    validate: Validate,
    resume: Progress | None = None,
    world: World | None = None,
) -> Iterator[EpochResult]:
    """Train, and yield after every epoch.

    Args:
        sampler: the training patches, on the device where to train.
        settings: hyper-parameters.
        plan: number and length of the epochs.
        validate: gives the mean PSNR, in dB, of weights over the validation planes.
        resume: go on from here instead of from the beginning.
        world: the processes that train together, each on its share of every batch; all of them
            yield the same, and `validate` has to give all of them the same.

    Raises:
        TrainingError: the training has diverged. The loss or a weight is no longer a finite number;
            or, at the end of an epoch, the loss is above 1, the most that any two pictures with
            luma in 0..1 can differ by.
    """
    world = world or alone(sampler.device)
    learner = _Learner(settings, sampler, world)
    done, best, best_epoch = 0, -math.inf, 0
    if resume:
        done, best, best_epoch = resume.epoch, resume.best_val_psnr, resume.best_epoch
        learner.load_state(resume.state)
    for epoch in range(done + 1, plan.epochs + 1):
        start = time.perf_counter()
        loss, patches = _train_epoch(learner, sampler, settings, plan, epoch, world)
        trained = time.perf_counter()
        weights = learner.weights()
        if not all(np.isfinite(array).all() for array in weights.values()):
            raise _diverged("a weight is no longer a finite number", epoch, plan.steps, settings)
        psnr = validate(weights)
        is_best = psnr > best
        if is_best:
            best, best_epoch = psnr, epoch
        yield EpochResult(
            epoch=epoch,
            train_loss=loss,
            val_psnr=psnr,
            lr=learning_rate(settings, epoch * plan.steps - 1, plan.total_steps),
            seconds=time.perf_counter() - start,
            patches_per_second=patches / (trained - start),
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


class _Learner:
    """A network under training, with everything that changes from step to step."""

    def __init__(self, settings: TrainingSettings, sampler: PatchSampler, world: World) -> None:
        keep_large_buffers()
        device = sampler.device
        torch.manual_seed(settings.seed)
        preconditioner = None
        if settings.precondition:
            luma, _ = sampler.gather(sampler.spread(MEASURED_PATCHES))
            preconditioner = fit_preconditioner(luma, settings.network.kernels[0])
        model = Srcnn(settings.network, settings.initialization, preconditioner)
        # About twice as fast for convolutions, on either kind of device.
        self._model: Srcnn = model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if preconditioner is not None:
            # The order that gradients come in; they are averaged faster where weights have it too.
            first = self._model.conv1.weight
            first.data = first.data.clone(memory_format=torch.contiguous_format)
        self._shared = world.wrap(self._model)
        self._optimizer = Optimizer(self._model, settings.optimizer, settings.last_layer_lr_factor)
        self._gradient_clip = settings.gradient_clip
        precision = settings.precision
        self._autocast = torch.autocast(
            device.type,
            torch.bfloat16,
            enabled=precision == "bfloat16" or (precision == "auto" and computes_bfloat16(device)),
        )
        self._average: AveragedModel | None = None
        if settings.ema_decay is not None:
            function = get_ema_multi_avg_fn(settings.ema_decay)  # type: ignore[no-untyped-call]
            self._average = AveragedModel(self._model, multi_avg_fn=function)

    def step(
        self, inputs: torch.Tensor, target: torch.Tensor, lr: float, weight: float = 1.0
    ) -> torch.Tensor:
        """Learn from one batch; gives its loss without waiting for it.

        Args:
            inputs: the network's input.
            target: what it should have given.
            lr: the rate.
            weight: of this process's gradient in the average over all of them.
        """
        self._model.zero_grad()
        with self._autocast:
            output = self._shared(inputs.contiguous(memory_format=torch.channels_last))
        loss = functional.mse_loss(output, self._model.crop_target(target))
        (loss * weight).backward()  # type: ignore[no-untyped-call]
        if self._gradient_clip is not None:
            nn.utils.clip_grad_norm_(self._model.parameters(), self._gradient_clip)
        self._optimizer.step(lr)
        if self._average is not None:
            self._average.update_parameters(self._model)
        return loss.detach()

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """What is worth validating and keeping: the average, where there is one."""
        model: Any = self._model if self._average is None else self._average.module
        return _arrays(model.plain_weights())

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything the next step depends on, by name."""
        parts = {
            "model": _arrays(self._model.state_dict()),
            "optimizer": self._optimizer.arrays(),
        }
        if self._average is not None:
            parts["average"] = _arrays(self._average.state_dict())
        return {f"{part}:{name}": array for part in parts for name, array in parts[part].items()}

    def load_state(self, state: Arrays) -> None:
        """Take up what `state` gave."""

        def part(prefix: str) -> dict[str, NDArray[Any]]:
            start = f"{prefix}:"
            return {
                name.removeprefix(start): np.asarray(array)
                for name, array in state.items()
                if name.startswith(start)
            }

        def tensors(prefix: str) -> dict[str, torch.Tensor]:
            return {name: torch.from_numpy(array) for name, array in part(prefix).items()}

        self._model.load_state_dict(tensors("model"))
        self._optimizer.load_arrays(part("optimizer"))
        if self._average is not None:
            self._average.load_state_dict(tensors("average"))


def _arrays(tensors: Mapping[str, torch.Tensor]) -> dict[str, NDArray[Any]]:
    return {
        name: np.ascontiguousarray(value.detach().cpu().numpy()).copy()
        for name, value in tensors.items()
    }


def _train_epoch(
    learner: _Learner,
    sampler: PatchSampler,
    settings: TrainingSettings,
    plan: Plan,
    epoch: int,
    world: World,
) -> tuple[float, int]:
    first = (epoch - 1) * plan.steps
    turns = np.random.default_rng((settings.seed, epoch)).integers(8, size=plan.steps)
    batches = sampler.batches(settings.batch_size, settings.seed, first, plan.steps)
    label = f"epoch {epoch} of {plan.epochs}"
    total, patches = torch.zeros((), dtype=torch.float64, device=world.device), 0
    looked_at, recent = (0.0, 0), 0.0
    for number, batch in enumerate(progress(batches, total=plan.steps, label=label)):
        mine, weight = _share(batch, world)
        lr, hr = sampler.gather(mine)
        if settings.augment:
            lr, hr = augment(int(turns[number]), lr, hr)
        rate = learning_rate(settings, first + number, plan.total_steps)
        loss = learner.step(lr, hr, rate, weight)
        total += loss * (weight * len(batch) / world.size)
        patches += len(batch)
        if (number + 1) % LOOK_EVERY == 0 or number + 1 == plan.steps:
            # All processes look at the same steps, and see the same.
            seen = world.add_up(total).item()
            recent = (seen - looked_at[0]) / (patches - looked_at[1])
            looked_at = seen, patches
            if not math.isfinite(seen):
                raise _diverged(f"the loss is {seen}", epoch, number + 1, settings)
    if recent > 1:
        raise _diverged(f"the loss is {recent:.3g}", epoch, plan.steps, settings)
    return looked_at[0] / patches, patches


def _share(batch: torch.Tensor, world: World) -> tuple[torch.Tensor, float]:
    """This process's patches of a batch, and the weight that lets an average count each once."""
    mine = batch[world.rank :: world.size]
    if len(mine) == 0:
        # Every process has to take part in every step.
        return batch[:1], 0.0
    return mine, len(mine) * world.size / len(batch)


def _time_step(sampler: PatchSampler, settings: TrainingSettings, world: World) -> float:
    """Seconds a step takes, tried on a network that is thrown away."""
    learner = _Learner(settings, sampler, world)
    warm_up, enough = 5, 1.5
    start, steps = time.perf_counter(), 0
    for number, batch in enumerate(sampler.batches(settings.batch_size, settings.seed, 0, 1000)):
        if number == warm_up:
            _synchronise(sampler.device)
            start = time.perf_counter()
        mine, weight = _share(batch, world)
        loss = learner.step(*sampler.gather(mine), settings.lr, weight)
        steps = number + 1 - warm_up
        if steps > 0 and (number % 10 == 0):
            loss.item()
            # All processes have to stop at the same step.
            if world.largest(time.perf_counter() - start) > enough:
                break
    _synchronise(sampler.device)
    return world.largest(time.perf_counter() - start) / steps


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
