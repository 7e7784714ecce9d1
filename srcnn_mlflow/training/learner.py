"""A network under training, with everything that changes from step to step."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from srcnn_mlflow.machine.errors import TrainingError
from srcnn_mlflow.machine.memory import keep_large_buffers
from srcnn_mlflow.network.plain_weights import Weights
from srcnn_mlflow.training.distributed import World
from srcnn_mlflow.training.networks import network_of
from srcnn_mlflow.training.optimizers import Optimizer
from srcnn_mlflow.training.sampler import Sampler
from srcnn_mlflow.training.settings import TrainingSettings
from srcnn_mlflow.training.start import take_over
from srcnn_mlflow.training.trained_network import TrainedNetwork

Arrays = Mapping[str, NDArray[Any]]


def computes_bfloat16(device: torch.device) -> bool:
    """Whether a processor multiplies bfloat16 in hardware, about twice as fast as float32."""
    capabilities = torch.cpu.get_capabilities()
    names = ("avx512_bf16", "amx_bf16")
    return device.type == "cpu" and any(capabilities.get(name, False) for name in names)


def precision_used(settings: TrainingSettings, device: torch.device) -> str:
    """What convolutions compute in on a device: `float32` or `bfloat16`."""
    if settings.precision != "auto":
        return settings.precision
    return "bfloat16" if computes_bfloat16(device) else "float32"


class Learner:
    """A network under training, with everything that changes from step to step."""

    def __init__(
        self,
        settings: TrainingSettings,
        sampler: Sampler,
        world: World,
        start: Weights | None = None,
    ) -> None:
        """Make a network that has learnt nothing yet, or what `start` has.

        Raises:
            TrainingError: it cannot be trained in several processes.
        """
        device = sampler.device
        # Before the seed is set: what a file draws when it is imported is drawn once.
        network = network_of(settings)
        torch.manual_seed(settings.seed)
        preconditioner = None
        if settings.precondition:
            preconditioner = sampler.preconditioner(settings.network.kernels[0])
        # From here on: what measuring patches has taken goes back to the system.
        keep_large_buffers()
        model = network.build(settings.initialization, preconditioner)
        if model.keeps_statistics and world.size > 1:
            raise TrainingError(
                f"{settings.architecture} keeps statistics of what it computes, as batch "
                f"normalization does, which {world.size} processes would each keep of their own "
                "patches; train it in one process"
            )
        if start is not None:
            weights, _ = take_over(start, _arrays(model.plain_weights()))
            model.load_plain_weights({n: torch.from_numpy(w) for n, w in weights.items()})
        # About twice as fast for convolutions, on either kind of device.
        self._model: TrainedNetwork = model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if preconditioner is not None and settings.planes == 1:
            # The order that gradients come in; they are averaged faster where weights have it too.
            first = self._model.kernels()[0]
            first.data = first.data.clone(memory_format=torch.contiguous_format)
        self._shared = world.wrap(self._model)
        self._optimizer = Optimizer(self._model, settings.optimizer, settings.last_layer_lr_factor)
        self._gradient_clip = settings.gradient_clip
        self._autocast = torch.autocast(
            device.type,
            torch.bfloat16,
            enabled=precision_used(settings, device) == "bfloat16",
        )
        self._average: AveragedModel | None = None
        if settings.ema_decay is not None:
            function = get_ema_multi_avg_fn(settings.ema_decay)  # type: ignore[no-untyped-call]
            self._average = AveragedModel(self._model, multi_avg_fn=function)

    def step(
        self,
        inputs: torch.Tensor,
        target: torch.Tensor,
        lr: float,
        weight: float = 1.0,
        weights: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Learn from one batch; gives its loss without waiting for it.

        Args:
            inputs: the network's input.
            target: what it should have given.
            lr: the rate.
            weight: of this process's gradient in the average over all of them.
            weights: of each patch's squared error, of shape (batch,); None where all are 1.
        """
        self._model.zero_grad()
        with self._autocast:
            output = self._shared(inputs.contiguous(memory_format=torch.channels_last))
        loss = _loss(output, self._model.crop_target(target), weights)
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


def _loss(output: torch.Tensor, target: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    if weights is None:
        return functional.mse_loss(output, target)
    errors = functional.mse_loss(output, target, reduction="none").mean((1, 2, 3))
    return torch.dot(errors, weights) / len(weights)


def _arrays(tensors: Mapping[str, torch.Tensor]) -> dict[str, NDArray[Any]]:
    return {
        name: np.ascontiguousarray(value.detach().cpu().numpy()).copy()
        for name, value in tensors.items()
    }
