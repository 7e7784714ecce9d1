"""What a fit says of itself while it runs: its loss, its best PSNR, the time to its end."""

import math
import time

from tqdm import tqdm

from srcnn_mlflow.training.plan import Plan


class Outlook:
    """Of all epochs of a fit, seen from the present step.

    Attributes:
        best: the highest PSNR on validation pictures so far, in dB; minus infinity for none.
    """

    def __init__(self, plan: Plan, done: int, best: float) -> None:
        """Begin to count.

        Args:
            plan: number and length of the epochs.
            done: how many of them were done before.
            best: see there.
        """
        self._first, self._last = done * plan.steps, plan.total_steps
        self._begin, self.best = time.monotonic(), best

    def describe(self, step: int, loss: float) -> str:
        """What there is to say.

        Args:
            step: how many steps are done, those of former processes among them.
            loss: mean of the present epoch.
        """
        parts = [f"loss {loss:.2e}"]
        if math.isfinite(self.best):
            parts.append(f"best {self.best:.2f} dB")
        if step > self._first:
            # Validation is among the time that a step has taken.
            each = (time.monotonic() - self._begin) / (step - self._first)
            parts.append(f"{tqdm.format_interval(each * (self._last - step))} left in all")
        return ", ".join(parts)
