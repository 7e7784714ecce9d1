"""Muon: a step of a whole kernel is an orthogonal matrix, whatever the gradient's size.

The optimizer of Jordan (2024), "Muon: an optimizer for hidden layers in neural networks", as torch
has it, but for how a gradient is made orthogonal. torch multiplies the whole matrix ten times, in
bfloat16. What it is multiplied with are polynomials of its small Gram matrix, so these are
multiplied with each other first, in float32, and with the gradient once.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

# Of the quintic Newton-Schulz iteration, by Jordan; torch's Muon takes the same.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
MOMENTUM = 0.95
SMALLEST_NORM = 1e-7


class Muon:
    """`torch.optim.Muon` without weight decay: same state, same rate, a step in less time.

    Attributes:
        parameters: what is trained, matrices; each has a gradient at every step.
        state: of each matrix, once it was moved: its `momentum_buffer`.
    """

    def __init__(self, matrices: Iterable[nn.Parameter]) -> None:
        self.parameters = list(matrices)
        self.state: dict[int, dict[str, Tensor]] = {}

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Move every matrix once along its gradient, at this rate."""
        for number, matrix in enumerate(self.parameters):
            gradient = matrix.grad
            assert gradient is not None
            state = self.state.setdefault(number, {})
            if not state:
                state["momentum_buffer"] = torch.zeros_like(gradient)
            average = state["momentum_buffer"].lerp_(gradient, 1 - MOMENTUM)
            update = orthogonalize(gradient.lerp(average, MOMENTUM))
            rows, columns = matrix.shape
            matrix.sub_(update, alpha=lr * math.sqrt(max(1, rows / columns)))


def orthogonalize(matrix: Tensor) -> Tensor:
    """Bring the singular values of a matrix near 1, most of them between 0.7 and 1.2.

    Args:
        matrix: float32 of shape (rows, columns), fastest where one of them is small.

    Returns:
        The same singular vectors; zeros for a matrix of zeros.
    """
    rows, columns = matrix.shape
    if rows > columns:
        return orthogonalize(matrix.T).T
    linear, cubic, quintic = COEFFICIENTS
    gram = matrix @ matrix.T
    norm = gram.trace().sqrt().clamp_min(SMALLEST_NORM)
    gram = gram / norm.square()
    # What the matrix is to be multiplied with, so far.
    factor = torch.eye(rows, device=matrix.device) / norm
    for _ in range(ITERATIONS):
        change = torch.addmm(gram, gram, gram, beta=cubic, alpha=quintic)
        factor = torch.addmm(factor, change, factor, beta=linear)
        # From the left and from the right, which is the same for symmetric matrices that commute.
        for _ in range(2):
            gram = torch.addmm(gram, change, gram, beta=linear)
    return factor @ matrix
