"""What the help of the commands says: by task, in whole sentences, each with an example.

Nothing heavy is imported here.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import click

T = TypeVar("T")

# What the commands are for; a command that is named in none of these comes last.
TASKS = {
    "Train": ("main", "prepare", "train", "sweep", "study", "reproduce", "import-weights"),
    "Judge": ("evaluate", "compare", "benchmark", "leaderboard", "score", "promote", "results"),
    "Use": ("upscale", "serve", "export"),
    "Look after the store": ("send", "tidy", "where", "clean", "move-models"),
}
# What the options of a training are about.
SUBJECTS = {
    "Pictures": ("scale", "dataset", "patch_size", "stride", "train_images", "augment"),
    "Network": ("architecture", "channels", "residual", "padding", "initialization", "init_from"),
    "Length": ("epochs", "max_minutes"),
    "Learning": (
        *("optimizer", "lr", "last_layer_lr_factor", "schedule", "batch_size", "gradient_clip"),
        *("loss", "sampling", "precondition", "ema_decay", "precision"),
    ),
}
# Fewer than these are found without titles.
MANY_OPTIONS = 12
EXAMPLES = {
    "main": "main --scale 4 --max-minutes 3",
    "prepare": "prepare --scale 3 --dataset ~/photos",
    "train": "train --scale 4 --dataset t91+bsd200 --max-minutes 20",
    "sweep": "sweep --trials 12 --epochs 2",
    "study": "study --name kernels --seeds 3 --max-minutes 5",
    "reproduce": "reproduce --dataset div2k",
    "import-weights": "import-weights --scale 2 --file srcnn_x2.pth",
    "evaluate": "evaluate --scale 4 --model champion --dataset set5",
    "compare": "compare --models srcnn-x4@champion+srcnn-x4@challenger",
    "benchmark": "benchmark --models shipped --sets set5+set14",
    "leaderboard": "leaderboard --scale 4 --dataset set14",
    "score": "score --results upscaled --originals data/sets/set5 --scale 2",
    "promote": "promote --scale 4 --dataset div2k",
    "results": "results",
    "upscale": "upscale --scale 2 --input photo.jpg --compare true",
    "serve": "serve --scale 2+4 --port 5001",
    "export": "export --scale 2 --output exported",
    "send": "send",
    "tidy": "tidy",
    "where": "where",
    "clean": "clean --free true",
    "move-models": "move-models --to http://127.0.0.1:5000",
}

# Longer than any first sentence, which would else be cut to fit the line.
_WHOLE_SENTENCE = 1000


class Commands(click.Group):
    """Commands that are listed by task."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each task with its commands and their first sentences."""
        names = self.list_commands(ctx)
        for title, chosen in _in_groups(TASKS, names, str, "Other commands"):
            with formatter.section(title):
                formatter.write_dl(
                    [
                        (one, self.commands[one].get_short_help_str(_WHOLE_SENTENCE))
                        for one in chosen
                    ]
                )


class HelpfulCommand(click.Command):
    """A command whose many options are listed by subject, and whose help has an example."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each subject with its options."""
        params = self.get_params(ctx)
        subjects = SUBJECTS if len(params) > MANY_OPTIONS else {}
        for title, chosen in _in_groups(subjects, params, _name, "Options"):
            rows = [record for one in chosen if (record := one.get_help_record(ctx)) is not None]
            with formatter.section(title):
                formatter.write_dl(rows)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example."""
        example = EXAMPLES.get(ctx.command.name or "")
        if example is not None:
            with formatter.section("Example"):
                formatter.write(f"{'':{formatter.current_indent}}srcnn-mlflow {example}\n")


def _name(param: click.Parameter) -> str:
    return param.name or ""


def _in_groups(
    groups: dict[str, tuple[str, ...]],
    items: Sequence[T],
    name: Callable[[T], str],
    title_of_others: str,
) -> Iterator[tuple[str, list[T]]]:
    """Each title with its items, in the order of its names; those without a title come last."""
    by_name = {name(item): item for item in items}
    for title, names in groups.items():
        found = [by_name.pop(one) for one in names if one in by_name]
        if found:
            yield title, found
    if by_name:
        yield title_of_others, list(by_name.values())
