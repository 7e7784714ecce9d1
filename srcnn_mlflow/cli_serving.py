"""The command that serves models, and what it takes."""

from typing import Any

import click

from srcnn_mlflow import parameters as given
from srcnn_mlflow.parameters import TEXT, Number, OnceCommand, option

PORT = Number(1, 65_535, whole=True)


class Scales(click.ParamType[Any]):
    """Upscaling factors joined by +, in the order given, as a tuple."""

    name = "scales"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Take each factor once."""
        scales = [given.SCALE.convert(one, param, ctx) for one in str(value).split("+")]
        if len(set(scales)) < len(scales):
            self.fail(f"{value!r} names a scale twice.", param, ctx)
        return tuple(scales)


@click.command(cls=OnceCommand)
@option("scale", Scales(), "2", "Upscaling factor; several joined by +, the first by default.")
@option("alias", TEXT, "champion", "Of the versions to serve, wherever it moves.")
@option("host", TEXT, "127.0.0.1", "Name or address to listen at.")
@option("port", PORT, 5001, "Port to listen at.")
def serve(scale: tuple[int, ...], alias: str, host: str, port: int) -> None:
    """Serve a model over HTTP, and whatever its alias points to next."""
    from srcnn_mlflow.commands import serve as command

    command.serve(scale, alias, host, port)


SERVING_COMMANDS = (serve,)
