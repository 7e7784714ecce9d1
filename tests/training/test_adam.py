"""Adam, held against torch's own class."""

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn

from srcnn_mlflow.training.adam import Adam

SHAPES = [(64, 1, 9, 9), (64,), (), (1, 32, 5, 5)]


def parameters(memory_format: torch.memory_format) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(3)
    found = [torch.randn(shape, generator=generator) for shape in SHAPES]
    return [
        nn.Parameter(one.to(memory_format=memory_format) if one.ndim == 4 else one) for one in found
    ]


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_steps_are_those_of_torch_bit_for_bit(memory_format: torch.memory_format) -> None:
    ours, theirs = (parameters(memory_format) for _ in range(2))
    adam = Adam(ours[:3], ours[3:])
    groups: list[dict[str, Any]] = [{"params": theirs[:3]}, {"params": theirs[3:], "lr": 0.001}]
    peer = torch.optim.Adam(groups, lr=0.01, fused=True)
    for step in range(4):
        for both in zip(ours, theirs, strict=True):
            generator = torch.Generator().manual_seed(step)
            gradient = torch.randn(both[0].shape, generator=generator)
            for one in both:
                one.grad = torch.empty_like(one).copy_(gradient)
        # One that a network did not use this time.
        ours[1].grad = theirs[1].grad = ours[1].grad if step % 2 else None
        adam.step(0.01, 0.001)
        peer.step()
    for number, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        assert torch.equal(mine, other)
        assert adam.state[number].keys() == peer.state[other].keys()
        for name, tensor in adam.state[number].items():
            assert torch.equal(tensor, peer.state[other][name])


def test_a_step_does_without_torchs_compiler() -> None:
    program = """
import sys, torch
from srcnn_mlflow.training.optimizers import Optimizer
from srcnn_mlflow.training.settings import TrainingSettings
from srcnn_mlflow.training.networks import network_of
model = network_of(TrainingSettings(architecture="3-1-3:4-4")).build("he", None)
model(torch.zeros(1, 1, 9, 9)).sum().backward()
Optimizer(model, "muon", 0.1).step(1e-3)
print("torch._dynamo" in sys.modules)
"""
    found = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert found == "False\n"
