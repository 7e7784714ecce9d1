"""Time to quality: how long until Set5 at x2 reaches some PSNRs, of three ways to train 9-5-5.

    python benchmarks/quality.py --dataset t91 --test set5 --figure docs/quality.png

`fit` trains as `train` does: with the recipe, and as the recipe was before, with sampling=uniform
and loss=mse. Its rate falls to nothing at the end of a training, however long that is, so each of
both trains anew for each of several lengths, and has reached a PSNR when the first of its trainings
has. The classical loop has the report's settings and a rate that stays; it trains once, ten times
as long as `fit` took to 36.0 dB, or a minute where that is more. All run one after the other in
this process, on the same cores. Clocks begin before the patches are weighed and stand still while
a test set is scored, which serves here as the finishing line and chooses nothing.
"""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
import torch
from arithmetic import matrix_product_rate
from classical import classical_network, train_classically
from matplotlib.figure import Figure

from srcnn_mlflow.measuring.evaluation import score_plane
from srcnn_mlflow.network.architecture import Architecture
from srcnn_mlflow.network.onnx_export import build_onnx
from srcnn_mlflow.network.plain_weights import Weights
from srcnn_mlflow.network.upscaler import Upscaler
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.pictures.imaging import Plane
from srcnn_mlflow.pictures.photos import load_luma
from srcnn_mlflow.pictures.store import open_store
from srcnn_mlflow.pictures.store_file import StoreSettings
from srcnn_mlflow.pictures.store_writer import prepare
from srcnn_mlflow.showing.style import GRID, INK
from srcnn_mlflow.training.fit import fit
from srcnn_mlflow.training.importance import measure_importance
from srcnn_mlflow.training.plan import Plan, make_plan
from srcnn_mlflow.training.sampler import PatchSampler
from srcnn_mlflow.training.settings import RECIPE, TrainingSettings

SCALE, TARGETS, HANDICAP, LOOKS = 2, (35.5, 36.0, 36.5, 36.66), 10, 20
HANDICAP_TARGET = 36.0
CPU = torch.device("cpu")
SECONDS = (1, 2, 5, 10, 20, 50, 100, 200)
CLASSICAL, FORMER, PRESENT = "the classical loop", "fit, uniform and mse", "fit, as train uses it"
RECIPES = {PRESENT: RECIPE, FORMER: replace(RECIPE, sampling="uniform", loss="mse")}
# Colours that the colour-blind tell apart too (Okabe and Ito, 2008), and markers.
STYLES = {CLASSICAL: ("#777777", "s"), FORMER: ("#D55E00", "^"), PRESENT: ("#0072B2", "o")}


@dataclass(frozen=True)
class Point:
    """A PSNR in dB, and the training seconds it took."""

    seconds: float
    psnr: float


Curves = Mapping[str, Sequence[Point]]


@click.command()
@click.option("--dataset", default="t91", show_default=True, help="To train on.")
@click.option("--test", default="set5", show_default=True, help="To measure on.")
@click.option(
    "--minutes",
    type=float,
    multiple=True,
    default=(0.25, 0.35, 0.5, 0.7, 1.0, 1.4),
    show_default=True,
    help="How long `fit` trains, each length by itself.",
)
@click.option("--seed", default=0, show_default=True, help="Of `fit`, on both settings.")
@click.option("--figure", type=click.Path(path_type=Path), help="A PNG file to draw.")
def main(
    dataset: str, test: str, minutes: tuple[float, ...], seed: int, figure: Path | None
) -> None:
    """Train one side after the other in this process, and print when each passed the targets."""
    photos = load_dataset(dataset)
    originals = [load_luma(photo) for photo in load_dataset(test).photos("all")]
    rate = matrix_product_rate(CPU) / 1e9
    click.echo(f"matrix product: {rate:.0f} GFLOP/s on {torch.get_num_threads()} thread(s)")
    sides = {name: replace(one, seed=seed) for name, one in RECIPES.items()}
    curves: dict[str, list[Point]] = {name: [] for name in sides}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        planes = prepare(photos, StoreSettings(SCALE, 33, 14), folder).files[0]
        patches = prepare(photos, StoreSettings(SCALE, 33, 14, materialize=True), folder).files[0]
        for length in sorted(minutes):
            # In turn, so that whatever else the machine does meets both.
            for name, settings in sides.items():
                lasting = replace(settings, max_minutes=length)
                curves[name] += _collect(name, _train_ours(planes, originals, lasting))
        for name in sides:
            curves[name] = _rising(curves[name])
        reached = _when(curves[PRESENT], HANDICAP_TARGET) or 0.0
        seconds = max(60.0, HANDICAP * reached)
        curves[CLASSICAL] = _collect(CLASSICAL, _train_theirs(patches, originals, seconds))
    click.echo(_table(curves))
    ours, theirs = (_when(curves[name], TARGETS[-1]) for name in (PRESENT, FORMER))
    if ours and theirs:
        click.echo(f"{TARGETS[-1]:g} dB come in {ours / theirs:.2f} of the time of {FORMER}")
    if figure is not None:
        title = f"PSNR on {test} at x{SCALE} while 9-5-5 trains on {dataset}"
        _draw(curves, title, figure)


def _table(curves: Curves) -> str:
    """When each side passed each target, as a Markdown table."""
    heads = ["side", *(f"{target:g} dB" for target in TARGETS), "best"]
    rows = [
        [
            name,
            *(_told(_when(points, target)) for target in TARGETS),
            _best(points),
        ]
        for name, points in curves.items()
    ]
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _best(points: Sequence[Point]) -> str:
    best = max(points, key=lambda point: point.psnr)
    return f"{best.psnr:.2f} dB in {best.seconds:.0f} s"


def _told(seconds: float | None) -> str:
    return "not reached" if seconds is None else f"{seconds:.1f} s"


def _draw(curves: Curves, title: str, path: Path) -> None:
    """Draw PSNR over the seconds of training; the PNG file carries the table in words."""
    figure = Figure(figsize=(9, 4.9), dpi=110, facecolor="white", layout="constrained")
    axis = figure.subplots()
    for target in TARGETS:
        axis.axhline(target, color=GRID, linewidth=1.3, zorder=0)
    for name, points in curves.items():
        colour, marker = STYLES[name]
        axis.plot(
            [point.seconds for point in points],
            [point.psnr for point in points],
            color=colour,
            marker=marker,
            markersize=4.5,
            linewidth=1.5,
            label=name,
        )
    best = [max(point.psnr for point in points) for points in curves.values()]
    # What every side passes on its way to its best, far below the targets, is of no interest.
    axis.set_ylim(min(TARGETS[0] - 1, *best) - 0.3, max(TARGETS[-1], *best) + 0.15)
    axis.set_yticks(TARGETS, [f"{target:g}" for target in TARGETS])
    axis.set_xscale("log")
    axis.set_xticks(SECONDS, [f"{seconds:g}" for seconds in SECONDS])
    axis.set_xticks([], minor=True)
    axis.set_xlabel("seconds of training", fontsize=10, color=INK)
    axis.set_ylabel("PSNR (dB)", fontsize=10, color=INK)
    axis.tick_params(colors=INK, which="both")
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9.5, labelcolor=INK)
    heading = figure.suptitle(title, fontsize=12.5, fontweight="bold", color=INK)
    heading.set_parse_math(False)
    figure.savefig(path, metadata={"Title": title, "Description": _table(curves)})


def _train_ours(
    planes: Path, originals: Sequence[Plane], settings: TrainingSettings
) -> Iterator[Point]:
    network, store = settings.network, open_store(planes)
    start = time.perf_counter()
    importance = measure_importance(store, network.halo, settings.sampling, settings.loss)
    spent = time.perf_counter() - start
    sampler = PatchSampler(store, CPU, importance)
    steps = make_plan(sampler, settings, validation=0.0).total_steps
    plan = Plan(LOOKS, max(1, steps // LOOKS))
    results = fit(sampler, settings, plan, validate=lambda _: 0.0)
    while True:
        start = time.perf_counter()
        result = next(results, None)
        spent += time.perf_counter() - start
        if result is None:
            return
        yield Point(spent, _score(result.weights, network, originals))


def _train_theirs(patches: Path, originals: Sequence[Plane], seconds: float) -> Iterator[Point]:
    network = classical_network("9-5-5")
    losses = train_classically(network, patches, 1e-3, 0, CPU)
    spent, looked = 0.0, 0
    while spent < seconds:
        start = time.perf_counter()
        next(losses)
        spent += time.perf_counter() - start
        if spent > seconds * (looked + 1) / LOOKS:
            looked += 1
            yield Point(spent, _score(_name(network), REPORT, originals))


REPORT = Architecture(residual=False, padding="zero")


def _name(network: torch.nn.Sequential) -> dict[str, np.ndarray]:
    layers = {"0": "conv1", "2": "conv2", "4": "conv3"}
    return {
        f"{layers[name.split('.')[0]]}.{name.split('.')[1]}": value.detach().numpy().copy()
        for name, value in network.state_dict().items()
    }


def _score(
    weights: Weights | Mapping[str, np.ndarray], network: Architecture, originals: Sequence[Plane]
) -> float:
    upscaler = Upscaler(build_onnx(weights, network, SCALE))
    scores = [
        score_plane("", plane, SCALE, SCALE, upscaler.upscale_luma).srcnn_psnr
        for plane in originals
    ]
    return float(np.mean(scores))


def _collect(name: str, points: Iterator[Point]) -> list[Point]:
    found = []
    for point in points:
        found.append(point)
        click.echo(f"{name}: {point.psnr:.2f} dB after {point.seconds:.0f} s of training")
    return found


def _rising(points: Sequence[Point]) -> list[Point]:
    """Of the looks at several trainings, those that are better than all before them."""
    found: list[Point] = []
    for point in sorted(points, key=lambda point: point.seconds):
        if not found or point.psnr > found[-1].psnr:
            found.append(point)
    return found


def _when(points: Sequence[Point], target: float) -> float | None:
    return next((point.seconds for point in points if point.psnr >= target), None)


if __name__ == "__main__":
    main()
