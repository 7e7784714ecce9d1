"""The commands that look after what is kept: runs, versions, files."""

import click

from srcnn_mlflow import parameters as given
from srcnn_mlflow.parameters import TEXT, TRUE_OR_FALSE, OnceCommand, OrWord, option


@click.command(cls=OnceCommand)
def send() -> None:
    """Send what trainings kept while their tracking server was away, and register the finished."""
    from srcnn_mlflow.commands import send as command

    command.send()


@click.command(cls=OnceCommand, name="move-models")
@click.option("--to", type=TEXT, required=True, help="Address of the other tracking store.")
@option("scale", OrWord(given.SCALE, "all"), "all", "Upscaling factor of the models; or all.")
def move_models(to: str, scale: int | None) -> None:
    """Copy registered versions to another tracking store, with aliases, tags and their runs."""
    from srcnn_mlflow.commands import move_models as command

    command.move_models(to, scale)


@click.command(cls=OnceCommand)
@option("free", TRUE_OR_FALSE, False, "Delete what is not needed; else it is only told.")
def tidy(free: bool) -> None:
    """Mark as FAILED what dead processes have left RUNNING, and tell what is needed no more.

    These are the states of finished trainings, and the checkpoints of those that are registered.
    """
    from srcnn_mlflow.commands import tidy as command

    command.tidy(free)


@click.command(cls=OnceCommand)
def where() -> None:
    """Tell where work and runs are kept, what for, and how large it is."""
    from srcnn_mlflow.commands import where as command

    command.where()


@click.command(cls=OnceCommand)
@option("free", TRUE_OR_FALSE, False, "Delete it; without this it is only told.")
def clean(free: bool) -> None:
    """Tell what of the work can be made or downloaded again, and delete it where asked."""
    from srcnn_mlflow.commands import clean as command

    command.clean(free)


STORE_COMMANDS = (send, move_models, tidy, where, clean)
