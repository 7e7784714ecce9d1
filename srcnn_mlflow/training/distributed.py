"""Several processes that train one network together, as `torchrun` starts them."""

import gc
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from srcnn_mlflow.machine.errors import TrainingError
from srcnn_mlflow.machine.processors import available_cores, give_way, take_own_cores


@dataclass(frozen=True)
class World:
    """The processes of one training; each of them computes its share of every batch.

    Without `torchrun` there is one, and nothing is sent anywhere.

    Attributes:
        rank: which of them this is, from 0.
        size: how many they are.
        device: where this one computes.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this is the process that tracks and registers."""
        return self.rank == 0

    @property
    def beside_leader(self) -> bool:
        """Whether this process is on the machine of the one that leads."""
        return os.environ.get("GROUP_RANK", "0") == "0"

    def wrap(self, model: nn.Module) -> nn.Module:
        """Let gradients be averaged over all processes."""
        if self.size == 1:
            return model
        return DistributedDataParallel(model, forward_sync_buffers=False)

    def add_up(self, values: Tensor) -> Tensor:
        """Sum a tensor over all processes, on this process's device; the tensor itself stays."""
        if self.size > 1:
            values = values.to(self.device, copy=True)
            distributed.all_reduce(values)
        return values

    def share(self, batch: Tensor) -> tuple[Tensor, float]:
        """This process's patches of a batch, and the weight that lets an average count each once.

        Args:
            batch: int64 of shape (patches,), at least one.
        """
        mine = batch[self.rank :: self.size]
        if len(mine) == 0:
            # Every process has to take part in every step.
            return batch[:1], 0.0
        return mine, len(mine) * self.size / len(batch)

    def largest(self, value: float) -> float:
        """The largest of the numbers that the processes have."""
        if self.size == 1:
            return value
        values = torch.tensor(value, dtype=torch.float64, device=self.device)
        distributed.all_reduce(values, distributed.ReduceOp.MAX)
        return values.item()

    def broadcast(self, message: bytes) -> bytes:
        """Send the leader's message to all; what the others give is not looked at."""
        if self.size == 1:
            return message
        length = torch.tensor(len(message), device=self.device)
        distributed.broadcast(length, src=0)
        buffer = torch.zeros(int(length), dtype=torch.uint8, device=self.device)
        if self.leads:
            buffer.copy_(torch.from_numpy(np.frombuffer(message, np.uint8).copy()))
        distributed.broadcast(buffer, src=0)
        return buffer.cpu().numpy().tobytes()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Turn what torch raises when another process is lost into a message.

        Raises:
            TrainingError: this process cannot go on, as long as there are several.
        """
        try:
            yield
        except (RuntimeError, KeyboardInterrupt) as error:
            if self.size == 1:
                raise
            # torchrun is about to end this process too, which has to tell first.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            # torchrun interrupts this one as soon as it misses another, often before torch does.
            reason = (str(error).strip() or "interrupted").splitlines()[0]
            raise TrainingError(
                f"process {self.rank} of {self.size} lost the others ({reason}); the last "
                "checkpoint is kept: start again with resume=<the run's id>"
            ) from error


def alone(device: torch.device) -> World:
    """A world of one process."""
    return World(0, 1, device)


@contextmanager
def join_world(device: str) -> Iterator[World]:
    """Meet the other processes of `torchrun`, and leave them when the block ends.

    Args:
        device: as for `choose_device`; with `cuda` every process of a machine takes its own GPU.

    Raises:
        TrainingError: `cuda`, where torch finds too few GPUs; `mps` for several processes.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield alone(choose_device(device))
        return
    rank_here = int(os.environ["LOCAL_RANK"])
    chosen = choose_device(device, rank_here)
    if chosen.type == "mps":
        raise TrainingError(f"device is mps, which {size} processes cannot share; use device=cpu")
    take_own_cores(rank_here, int(os.environ["LOCAL_WORLD_SIZE"]))
    if chosen.type == "cpu":
        # torchrun allows one thread a process, however many cores there are.
        torch.set_num_threads(available_cores())
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    give_way("gloo_tcp_loop")
    try:
        yield World(distributed.get_rank(), size, chosen)
        # None leaves while another still needs it.
        distributed.barrier()
    finally:
        # What still refers to the group would be torn down after it, with its threads running.
        gc.collect()
        distributed.destroy_process_group()


def choose_device(device: str, number: int = 0) -> torch.device:
    """Turn `auto`, `cpu`, `cuda` or `mps` into a torch device; `auto` is a GPU or the processor.

    Args:
        device: what was asked for.
        number: which GPU, where it is one.

    Raises:
        TrainingError: `cuda` or `mps`, where torch finds none.
    """
    if device == "mps":
        if not torch.backends.mps.is_available():
            raise TrainingError("device is mps, which torch does not have here; use device=auto")
        return torch.device("mps")
    gpus = torch.cuda.device_count()
    if device == "cuda" and not gpus:
        raise TrainingError("device is cuda, but torch finds no GPU here; use device=cpu or auto")
    if device == "cpu" or not gpus:
        return torch.device("cpu")
    if number >= gpus:
        raise TrainingError(
            f"process {number} of this machine needs a GPU of its own, and torch finds {gpus}; "
            f"use --nproc-per-node {gpus}"
        )
    torch.cuda.set_device(number)
    return torch.device("cuda", number)
