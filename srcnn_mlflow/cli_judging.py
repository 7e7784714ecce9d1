"""The commands that judge models, and choose among them."""

import sys
from pathlib import Path

import click

from srcnn_mlflow import parameters as given
from srcnn_mlflow.parameters import (
    FILE,
    SOURCE,
    TEXT,
    TRUE_OR_FALSE,
    OnceCommand,
    OrWord,
    option,
    options,
)


@click.command(cls=OnceCommand)
@options(given.scale)
@option("model", TEXT, "newest", "newest, an alias, a version number, shipped, or a model URI.")
@options(given.dataset)
@options(given.split, given.gate_split)
@given.border
@option("self-ensemble", TRUE_OR_FALSE, False, "Measure the average over eight turns too, apart.")
@option("results", OrWord(FILE, "none"), "none", "Folder for what was measured, as score takes it.")
def evaluate(
    scale: int,
    model: str,
    dataset: str,
    split: str,
    gate_split: bool,
    border: int | None,
    self_ensemble: bool,
    results: Path | None,
) -> None:
    """Judge a registered model against bicubic: a table, and the best and worst pictures."""
    from srcnn_mlflow.commands import evaluate as command

    command.evaluate(
        scale,
        model,
        dataset,
        split,
        border,
        ensemble=self_ensemble,
        gate_split=gate_split,
        results=results,
    )


@click.command(cls=OnceCommand)
@option(
    "models",
    TEXT,
    "all",
    "Versions joined by +, such as srcnn-x2@champion+srcnn-x4/3+shipped; or all.",
)
@options(given.dataset, given.split, given.gate_split)
def compare(models: str, dataset: str, split: str, gate_split: bool) -> None:
    """Judge several versions on the same pictures: one table, one figure, what they share."""
    from srcnn_mlflow.commands import compare as command

    command.compare(models, dataset, split, gate_split)


@click.command(cls=OnceCommand)
@option("models", TEXT, "champions", "champions, or versions joined by + as compare takes them.")
@option("sets", TEXT, "at-hand", "Names such as set5+set14+bsd100+urban100; or at-hand.")
@options(given.inference_precision)
def benchmark(models: str, sets: str, precision: str) -> None:
    """Judge models on sets by name, beside what papers state, and say what has seen them."""
    from srcnn_mlflow.commands import benchmark as command

    command.benchmark(models, sets, precision)


@click.command(cls=OnceCommand)
@options(given.scale, given.dataset, given.split, given.gate_split)
@given.ranked_by
def leaderboard(scale: int, dataset: str, split: str, gate_split: bool, metric: str) -> None:
    """Rank all models of a scale by what they were measured to have on one set of pictures."""
    from srcnn_mlflow.commands.leaderboard import show_leaderboard

    show_leaderboard(scale, dataset, split, metric, gate_split)


@click.command(cls=OnceCommand)
@click.option("--results", type=SOURCE, required=True, help="Folder of a program's results.")
@click.option("--originals", type=SOURCE, required=True, help="Folder of their originals.")
@options(given.scale)
@option("protocol", TEXT, "all", "all, or one by name, such as yjn870; each beside this project's.")
@option("model", OrWord(TEXT, "none"), "none", "Whose results they are, to be run anew.")
def score(results: Path, originals: Path, scale: int, protocol: str, model: str | None) -> None:
    """Score any program's results under several protocols, and tell what each choice is worth."""
    from srcnn_mlflow.commands import score as command

    command.score_for_project(command.ScoreRequest(results, originals, scale, protocol, model))


@click.command(cls=OnceCommand)
@options(given.scale)
@option("version", TEXT, "challenger", "challenger, a number, or previous to roll back.")
@options(given.dataset, given.split, given.gate_split)
def promote(scale: int, version: str, dataset: str, split: str, gate_split: bool) -> None:
    """Make a version the champion if it beats bicubic and the present champion."""
    from srcnn_mlflow.commands import promote as command

    if not command.promote(scale, version, dataset, split, gate_split).promoted:
        sys.exit(1)


@click.command(cls=OnceCommand)
def results() -> None:
    """Print the newest evaluation of every scale on each data set, and where its pictures are."""
    from srcnn_mlflow.commands.results import show_results

    show_results()


JUDGING_COMMANDS = (evaluate, compare, benchmark, leaderboard, score, promote, results)
