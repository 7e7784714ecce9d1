"""How often the gate of `promote` lets noise pass, and how often a better network.

    python benchmarks/gate.py --trials 2000

Challengers are made by drawing their lead over a champion in PSNR and SSIM for every picture, and
judged as `promote` does. Of equally good networks leads average to nothing and spread by 0.05 dB,
or 0.0005 in SSIM; the better network leads by twice that.
"""

from collections.abc import Callable, Mapping, Sequence

import click
import numpy as np
from numpy.typing import NDArray

from srcnn_mlflow.measuring.evaluation import ImageScore
from srcnn_mlflow.measuring.gate import judge

PICTURES, FEW = (3, 5, 6, 10, 30, 100), (1, 2, 3, 4, 5)
# Standard deviation of a lead: in dB, and in SSIM.
SPREAD = np.array([0.05, 0.0005])
LEAD = 2.0

# Draws leads of standard deviation 1; all but the last average to 0.
Draw = Callable[[np.random.Generator, tuple[int, ...]], NDArray[np.float64]]
CASES: Mapping[str, Draw] = {
    "equal, normal": lambda generator, shape: generator.normal(size=shape),
    "equal, Laplace": lambda generator, shape: generator.laplace(size=shape) / np.sqrt(2),
    "equal, Student's t, 3 degrees": lambda generator, shape: (
        generator.standard_t(3, shape) / np.sqrt(3)
    ),
    "equal, skewed: minus exponential": lambda generator, shape: (
        1 - generator.exponential(size=shape)
    ),
    "equal, skewed: minus chi-squared": lambda generator, shape: (
        (1 - generator.chisquare(1, shape)) / np.sqrt(2)
    ),
    "equal, one in ten loses nine times": lambda generator, shape: (
        np.where(generator.random(shape) < 0.1, -9, 1) / 3
    ),
    "better by 0.1 dB, normal": lambda generator, shape: generator.normal(LEAD, size=shape),
}
FIRST = {"no better than bicubic, normal": CASES["equal, normal"]}


@click.command()
@click.option("--trials", default=2000, show_default=True, help="Challengers for every number.")
def main(trials: int) -> None:
    """Print how many challengers win, in percent."""
    click.echo(f"{trials} challengers a cell; won in PSNR / won in SSIM, in percent\n")
    click.echo("Against a champion, which leads bicubic by 1.5 dB:\n")
    _print_table(CASES, PICTURES, 1.5, trials)
    click.echo("\nA first champion, against bicubic alone:\n")
    _print_table(FIRST, FEW, None, trials)


def won(
    draw: Draw, pictures: int, champion: float | None, trials: int, seed: int = 0
) -> NDArray[np.float64]:
    """The shares of challengers that win in PSNR and in SSIM.

    Args:
        draw: their leads.
        pictures: on how many they are judged.
        champion: its lead over bicubic in dB; None where there is none.
        trials: how many challengers.
        seed: of their leads.

    Returns:
        Shape (2,).
    """
    generator = np.random.default_rng((seed, pictures))
    counts = np.zeros(2)
    for _ in range(trials):
        bicubic = np.column_stack(
            [generator.normal(30, 3, pictures), generator.normal(0.85, 0.04, pictures)]
        )
        opponent = bicubic + np.array([1, 0.02]) * (champion or 0)
        challenger = _scores(bicubic, opponent + SPREAD * draw(generator, (pictures, 2)))
        judgement = judge(
            challenger, None if champion is None else _scores(bicubic, opponent), "the champion"
        )
        counts += [contest.won for contest in judgement.contests[-2:]]
    return counts / trials


def _scores(bicubic: NDArray[np.float64], srcnn: NDArray[np.float64]) -> list[ImageScore]:
    return [
        ImageScore("", *(psnr, srcnn_psnr, ssim, srcnn_ssim), 0, 0)
        for (psnr, ssim), (srcnn_psnr, srcnn_ssim) in zip(bicubic, srcnn, strict=True)
    ]


def _print_table(
    cases: Mapping[str, Draw], pictures: Sequence[int], champion: float | None, trials: int
) -> None:
    click.echo("| pictures | " + " | ".join(map(str, pictures)) + " |")
    click.echo("|---|" + "--:|" * len(pictures))
    for name, draw in cases.items():
        rates = [won(draw, count, champion, trials) for count in pictures]
        cells = [" / ".join(f"{100 * rate:.1f}" for rate in pair) for pair in rates]
        click.echo(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
