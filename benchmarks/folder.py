"""A folder of photographs: the overlapped steps of `upscale` beside the same steps in turn.

    python benchmarks/folder.py
    python benchmarks/folder.py --form jpeg --model shipped-9-1-5 --rounds 3

Both sides run in this process over the same files, in turn, with the same network and options.
Photographs are JPEG files of several sizes, cut from the samples and tiled.
"""

import tempfile
import time
from concurrent.futures import Future
from pathlib import Path
from statistics import median
from unittest.mock import patch

import click
from upscale import photograph

from srcnn_mlflow.commands import upscale
from srcnn_mlflow.commands.upscale_steps import Wanted
from srcnn_mlflow.machine.processors import available_cores
from srcnn_mlflow.pictures.formats import FORMAT_NAMES

SIZES = ((640, 427), (800, 600), (1024, 683), (1200, 900))


@click.command()
@click.option("--photos", default=100, show_default=True, help="How many.")
@click.option("--rounds", default=1, show_default=True, help="How often each side runs.")
@click.option("--model", default="shipped", show_default=True, help="Weights that ship.")
@click.option("--form", default="png", type=click.Choice(FORMAT_NAMES), show_default=True)
def main(photos: int, rounds: int, model: str, form: str) -> None:
    """Print the seconds of both sides, and their ratio."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_photographs(folder / "in", photos)
        chosen = upscale.shipped_model(2, model)

        def run() -> float:
            start = time.perf_counter()
            upscale.upscale_files(
                chosen, 2, [str(folder / "in")], folder / "out", False, Wanted(form)
            )
            return time.perf_counter() - start

        run()
        in_turn, together = [], []
        for _ in range(rounds):
            with patch.object(upscale, "overlapped", one_after_another):
                in_turn.append(run())
            together.append(run())
    click.echo(
        f"{photos} photographs to {form} by {model} on {available_cores()} processor(s): one after "
        f"another {median(in_turn):.1f} s, overlapped {median(together):.1f} s, "
        f"{median(together) / median(in_turn):.2f} of it"
    )


def write_photographs(folder: Path, count: int) -> None:
    """Write JPEG files of several sizes."""
    folder.mkdir()
    for number in range(count):
        photograph(*SIZES[number % len(SIZES)]).rotate(90 * (number // len(SIZES) % 4)).save(
            folder / f"{number:04}.jpg", quality=92
        )


def one_after_another(items, read, compute, write, writers):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """What `overlapped` does, in turn."""
    for item in items:
        outcome: Future[object] = Future()
        outcome.set_result(write(compute(read(item))))
        yield item, outcome


if __name__ == "__main__":
    main()
