"""Muon, held against the singular values of matrices and against torch's own."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from srcnn_mlflow.training.muon import COEFFICIENTS, ITERATIONS, Muon, orthogonalize

SHAPES = [(32, 1600), (64, 81), (32, 64), (81, 64), (5, 5), (1, 7)]


def random_matrix(rows: int, columns: int, seed: int) -> torch.Tensor:
    """Of rows that differ in size by up to a thousand, as gradients do."""
    generator = torch.Generator().manual_seed(seed)
    sizes = 10 ** (-3 * torch.rand(rows, 1, generator=generator))
    return sizes * torch.randn(rows, columns, generator=generator)


def iterate(values: np.ndarray) -> np.ndarray:
    """What the iteration makes of singular values, one by one, in float64."""
    linear, cubic, quintic = COEFFICIENTS
    values = values / math.sqrt((values**2).sum())
    for _ in range(ITERATIONS):
        values = linear * values + cubic * values**3 + quintic * values**5
    return values


@settings(deadline=None)
@given(st.sampled_from(SHAPES), st.integers(0, 10_000), st.floats(-4, 4))
def test_singular_values_follow_the_iteration_and_vectors_stay(
    shape: tuple[int, int], seed: int, exponent: float
) -> None:
    matrix = random_matrix(*shape, seed) * 10**exponent
    left, values, right = np.linalg.svd(matrix.double().numpy(), full_matrices=False)
    expected = left @ np.diag(iterate(values)) @ right
    assert np.abs(orthogonalize(matrix).numpy() - expected).max() < 1e-3


@pytest.mark.parametrize("shape", SHAPES)
def test_a_matrix_becomes_nearly_orthogonal(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(1)
    values = torch.linalg.svdvals(orthogonalize(torch.randn(*shape, generator=generator)))
    # A square matrix has singular values near zero, which grow but do not arrive.
    assert values.max() < 1.3
    assert values.median() > 0.6


def test_nothing_is_learned_from_a_gradient_of_zeros() -> None:
    assert torch.equal(orthogonalize(torch.zeros(3, 8)), torch.zeros(3, 8))


def test_steps_are_those_of_torch() -> None:
    ours, theirs = ([nn.Parameter(random_matrix(*shape, 2)) for shape in SHAPES] for _ in range(2))
    muon, peer = Muon(ours), torch.optim.Muon(theirs, lr=0.1, weight_decay=0.0)
    for step in range(3):
        for parameters in (ours, theirs):
            for number, (matrix, shape) in enumerate(zip(parameters, SHAPES, strict=True)):
                matrix.grad = random_matrix(*shape, 10 * step + number)
        muon.step(0.1)
        peer.step()  # type: ignore[no-untyped-call]
    for number, (mine, other, shape) in enumerate(zip(ours, theirs, SHAPES, strict=True)):
        moved = (other - random_matrix(*shape, 2)).norm()
        # torch computes in bfloat16, which has three digits.
        assert 0 < (mine - other).norm() < 0.03 * moved
        average = muon.state[number]["momentum_buffer"]
        assert torch.equal(average, peer.state[other]["momentum_buffer"])
