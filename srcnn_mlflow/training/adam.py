"""Adam (Kingma and Ba, 2015) by torch's own function.

`torch.optim.Adam` does the same, bit for bit. It is not used because the first thing that any class
of `torch.optim` does is to import torch's compiler, which nothing here needs: 74 MB of a process's
memory, and more than a second of its start.
"""

from collections.abc import Sequence
from itertools import accumulate, pairwise

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

BETAS, EPS = (0.9, 0.999), 1e-8


class Adam:
    """Moves groups of parameters, each at a rate of its own.

    Attributes:
        parameters: of all groups, one after another; those without a gradient stay as they are.
        state: of each that was moved, by its number: `step`, `exp_avg` and `exp_avg_sq`, as
            `torch.optim.Adam` calls them.
    """

    def __init__(self, *groups: Sequence[nn.Parameter]) -> None:
        self.parameters = [parameter for group in groups for parameter in group]
        self.state: dict[int, dict[str, Tensor]] = {}
        ends = [0, *accumulate(map(len, groups))]
        self._groups = [range(*pair) for pair in pairwise(ends)]

    @torch.no_grad()
    def step(self, *rates: float) -> None:
        """Move every parameter once along its gradient, at the rate of its group."""
        for group, rate in zip(self._groups, rates, strict=True):
            gradients = {
                number: gradient
                for number in group
                if (gradient := self.parameters[number].grad) is not None
            }
            states = [self._state(number) for number in gradients]
            adam(
                [self.parameters[number] for number in gradients],
                list(gradients.values()),
                [state["exp_avg"] for state in states],
                [state["exp_avg_sq"] for state in states],
                [],
                [state["step"] for state in states],
                fused=True,
                amsgrad=False,
                beta1=BETAS[0],
                beta2=BETAS[1],
                lr=rate,
                weight_decay=0.0,
                eps=EPS,
                maximize=False,
            )

    def _state(self, number: int) -> dict[str, Tensor]:
        if number not in self.state:
            parameter = self.parameters[number]
            self.state[number] = {
                "step": torch.zeros((), device=parameter.device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
        return self.state[number]
