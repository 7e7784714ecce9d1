"""The commands: their parameters, and the one place where errors become messages.

Nothing heavy is imported here; each command imports what it runs.
"""

import io
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from srcnn_mlflow import __version__
from srcnn_mlflow.architecture import ARCHITECTURES, PADDINGS
from srcnn_mlflow.errors import SrcnnError
from srcnn_mlflow.faults import explain

SCALES = ("2", "3", "4")
DEVICES = ("auto", "cpu", "cuda")
OPTIMIZERS = ("muon", "adam")
SCHEDULES = ("cosine", "constant")
PRECISIONS = ("auto", "float32", "bfloat16")
INITIALIZATIONS = ("he", "plain")
SPLITS = ("train", "valid", "test", "all")

Command = TypeVar("Command", bound=Callable[..., Any])


class OrWord(click.ParamType[Any]):
    """A parameter that takes a value of some type, or one word that stands for None."""

    def __init__(self, kind: click.ParamType[Any], word: str) -> None:
        self.kind, self.word = kind, word
        self.name = f"{kind.name}|{word}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Turn the word into None, and leave the rest to the other type."""
        if value is None or value == self.word:
            return None
        try:
            return self.kind.convert(value, param, ctx)
        except click.BadParameter as error:
            self.fail(f"{error.message} It may also be {self.word!r}.", param, ctx)


COUNT = click.IntRange(min=1)
POSITIVE = click.FloatRange(min=0, min_open=True)
SHARE = click.FloatRange(min=0, max=1, min_open=True, max_open=True)


class _Scale(click.Choice[str]):
    """2, 3 or 4, as a number."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return int(super().convert(str(value), param, ctx))


def _option(name: str, kind: Any, default: Any, text: str) -> Callable[[Command], Command]:
    return click.option(f"--{name}", type=kind, default=default, show_default=True, help=text)


def _options(*decorators: Callable[[Any], Any]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


_scale = _option("scale", _Scale(SCALES), "2", "Upscaling factor.")
_dataset = _option(
    "dataset", str, "samples", "samples, div2k, a folder, or several of these joined by +."
)
_patches = _options(
    _option("patch-size", COUNT, 33, "Side of a training patch, in pixels."),
    _option("stride", COUNT, 14, "Distance between patches, in pixels."),
)
_train_images = _option(
    "train-images", OrWord(COUNT, "all"), "all", "Use only so many training pictures."
)
_split = _option("split", click.Choice(SPLITS), "test", "Which pictures of the data set.")
_architecture = _option(
    "architecture", click.Choice(ARCHITECTURES), "9-5-5", "Kernel sizes of the three layers."
)
_seed = _option("seed", click.IntRange(min=0), 0, "Of the first weights and the patches' order.")
_device = _option("device", click.Choice(DEVICES), "auto", "Where to train.")
_max_minutes = _option(
    "max-minutes",
    OrWord(POSITIVE, "none"),
    "none",
    "Train for about so long, with the schedule fitted to it, instead of by epochs.",
)

# What trains best in a few minutes on two cores, and what the report did.
RECIPE = {
    "epochs": 8,
    "last_layer_lr_factor": 1.0,
    "optimizer": "muon",
    "schedule": "cosine",
    "residual": True,
    "padding": "none",
    "initialization": "he",
    "precondition": True,
    "augment": True,
    "precision": "auto",
}
REPORT = {
    "epochs": 50,
    "last_layer_lr_factor": 0.1,
    "optimizer": "adam",
    "schedule": "constant",
    "residual": False,
    "padding": "zero",
    "initialization": "plain",
    "precondition": False,
    "augment": False,
    "precision": "float32",
}


def _epochs(recipe: dict[str, Any]) -> Callable[[Command], Command]:
    return _option("epochs", COUNT, recipe["epochs"], "Passes over all patches.")


def _hyper_parameters(recipe: dict[str, Any]) -> Callable[[Command], Command]:
    def option(name: str, kind: Any, text: str) -> Callable[[Command], Command]:
        return _option(name, kind, recipe[name.replace("-", "_")], text)

    return _options(
        _option("batch-size", COUNT, 16, "Patches a step."),
        _option("lr", POSITIVE, 0.001, "Highest learning rate."),
        option("last-layer-lr-factor", POSITIVE, "The last layer's share of the rate."),
        option("optimizer", click.Choice(OPTIMIZERS), "How weights follow gradients."),
        option("schedule", click.Choice(SCHEDULES), "How the rate changes."),
        _option(
            "gradient-clip", OrWord(POSITIVE, "none"), "none", "Longest gradient a step may follow."
        ),
        option("residual", click.BOOL, "Learn the difference from bicubic."),
        option("padding", click.Choice(PADDINGS), "What lies outside a patch."),
        option("initialization", click.Choice(INITIALIZATIONS), "Of the first weights."),
        option("precondition", click.BOOL, "Train the first layer on centred, whitened luma."),
        option("augment", click.BOOL, "Turn and mirror the patches."),
        _option(
            "ema-decay", OrWord(SHARE, "none"), "none", "Keep a moving average of the weights."
        ),
        option("precision", click.Choice(PRECISIONS), "What the convolutions compute in."),
        _patches,
        _max_minutes,
        _train_images,
        _seed,
        _device,
    )


@click.group(context_settings={"max_content_width": 100})
@click.version_option(__version__)
@click.pass_context
def cli(context: click.Context) -> None:
    """Train, compare, register and serve SRCNN image upscaling with MLflow."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and context.invoked_subcommand != "train":
        raise click.UsageError(
            f"torchrun starts several processes, which only train can use; run "
            f"{context.invoked_subcommand} without it"
        )


@cli.command(name="main")
@_options(_scale, _dataset, _epochs(RECIPE), _architecture, _seed, _max_minutes, _device)
def main_command(scale: int, dataset: str, device: str, **settings: Any) -> None:
    """One scale, end to end: prepare, train, evaluate, register, promote."""
    from srcnn_mlflow.commands.main import run_main
    from srcnn_mlflow.commands.train import TrainRequest
    from srcnn_mlflow.training import TrainingSettings

    request = TrainRequest(scale, dataset, 33, 14, None, TrainingSettings(**settings))
    run_main(request, device, click.echo)


@cli.command()
@_options(_scale, _dataset, _patches)
@_option("materialize", click.BOOL, False, "Write the patches themselves, as other programs do.")
def prepare(scale: int, dataset: str, patch_size: int, stride: int, materialize: bool) -> None:
    """Turn photographs into one HDF5 file; does nothing when it is there already."""
    from srcnn_mlflow.commands.prepare import prepare_for_project
    from srcnn_mlflow.store import StoreSettings

    settings = StoreSettings(scale, patch_size, stride, materialize)
    prepare_for_project(dataset, settings, click.echo)


@cli.command()
@_options(_scale, _dataset, _architecture, _epochs(RECIPE), _hyper_parameters(RECIPE))
@_option("resume", OrWord(click.STRING, "none"), "none", "Run to go on with, by its id; or auto.")
def train(
    scale: int,
    dataset: str,
    patch_size: int,
    stride: int,
    train_images: int | None,
    device: str,
    resume: str | None,
    **settings: Any,
) -> None:
    """Train, track every epoch, and register the best as challenger; prepares where needed."""
    from srcnn_mlflow.commands import train as command
    from srcnn_mlflow.distributed import join_world
    from srcnn_mlflow.training import TrainingSettings

    request = command.TrainRequest(
        scale, dataset, patch_size, stride, train_images, TrainingSettings(**settings)
    )
    with join_world(device) as world:
        if not world.leads:
            command.follow(world)
            return
        if resume == "auto":
            resume = command.find_interrupted(request, click.echo)
        if resume is not None:
            command.resume(resume, world, click.echo)
        else:
            command.train(request, device, click.echo, world)


@cli.command()
@_options(_scale)
@_option("model", str, "newest", "newest, an alias, a version number, or a model URI.")
@_options(_dataset)
@_options(_split)
@_option(
    "border", OrWord(click.IntRange(min=0), "scale"), "scale", "Pixels left out along each edge."
)
@_option("self-ensemble", click.BOOL, False, "Measure the average over eight turns too, apart.")
def evaluate(
    scale: int, model: str, dataset: str, split: str, border: int | None, self_ensemble: bool
) -> None:
    """Judge a registered model against bicubic: a table, and the best and worst pictures."""
    from srcnn_mlflow.commands import evaluate as command

    command.evaluate(scale, model, dataset, split, border, click.echo, self_ensemble)


@cli.command()
@_option(
    "models", str, "all", "Versions joined by +, such as srcnn-x2@champion+srcnn-x4/3; or all."
)
@_options(_dataset, _split)
def compare(models: str, dataset: str, split: str) -> None:
    """Judge several versions on the same pictures: one table, one figure, what they share."""
    from srcnn_mlflow.commands import compare as command

    command.compare(models, dataset, split, click.echo)


@cli.command()
@_options(_scale)
@_option("version", str, "challenger", "challenger, a number, or previous to roll back.")
@_options(_dataset)
def promote(scale: int, version: str, dataset: str) -> None:
    """Make a version the champion if it beats bicubic and the present champion."""
    from srcnn_mlflow.commands import promote as command

    if not command.promote(scale, version, dataset, click.echo).promoted:
        sys.exit(1)


@cli.command()
@_option("dataset", str, "div2k", "samples, div2k, a folder, or several of these joined by +.")
@_options(_architecture, _epochs(REPORT), _hyper_parameters(REPORT))
def reproduce(
    dataset: str,
    patch_size: int,
    stride: int,
    train_images: int | None,
    device: str,
    **settings: Any,
) -> None:
    """The report's experiment with the report's settings, at x2 and x4, beside its numbers."""
    from srcnn_mlflow.commands import reproduce as command
    from srcnn_mlflow.commands.train import TrainRequest
    from srcnn_mlflow.training import TrainingSettings

    # The scale is the command's own: it runs the same request at each of the report's.
    request = TrainRequest(
        2, dataset, patch_size, stride, train_images, TrainingSettings(**settings)
    )
    command.reproduce(request, device, click.echo)


@cli.command()
@_options(_scale, _dataset)
@_option("trials", COUNT, 20, "So many finished trials the study is to have in all.")
@_option("epochs", COUNT, 4, "Passes over all patches, a trial.")
@_options(_architecture, _seed, _max_minutes, _device)
@_option("study", OrWord(click.STRING, "auto"), "auto", "Name of the study to begin or join.")
@_option(
    "storage",
    OrWord(click.STRING, "auto"),
    "auto",
    "Database of the study, such as postgresql://host/name; auto is a file in data/sweeps.",
)
@_option("train-best", click.BOOL, False, "Train and register the best trial's settings.")
@_option("full-epochs", COUNT, RECIPE["epochs"], "Passes of that last training.")
def sweep(**parameters: Any) -> None:
    """Search hyper-parameters: one nested run a trial, poor ones ended early."""
    from srcnn_mlflow.commands import sweep as command

    command.sweep(command.SweepRequest(**parameters), click.echo)


@cli.command()
@_options(_scale)
@_option("model", str, "champion", "champion, shipped, an alias, a version, or a model URI.")
@click.option(
    "--input", "source", type=click.Path(path_type=Path), required=True, help="Picture or folder."
)
@_option("output", click.Path(path_type=Path), "upscaled", "Folder; or a .png for one picture.")
@_option("compare", click.BOOL, False, "Write the bicubic enlargement beside each picture.")
def upscale(scale: int, model: str, source: Path, output: Path, compare: bool) -> None:
    """Enlarge pictures, colour kept."""
    from srcnn_mlflow.commands.upscale import upscale_for_project

    upscale_for_project(model, scale, source, output, compare, click.echo)


@cli.command(name="import-weights")
@_options(_scale)
@click.option(
    "--file", type=click.Path(path_type=Path), required=True, help="A .pth PyTorch state dict."
)
@_options(_dataset, _split)
def import_weights(scale: int, file: Path, dataset: str, split: str) -> None:
    """Register another program's weights as a version, and judge them like any other."""
    from srcnn_mlflow.commands import exchange as command

    command.import_weights(file, scale, dataset, split, click.echo)


@cli.command()
@_options(_scale)
@_option("model", str, "champion", "newest, an alias, a version number, or a model URI.")
@_option("output", click.Path(path_type=Path), "exported", "Folder for the ONNX file and script.")
def export(scale: int, model: str, output: Path) -> None:
    """Write a version's ONNX file, and a short script that runs it without MLflow."""
    from srcnn_mlflow.commands import exchange as command

    command.export(scale, model, output, click.echo)


@cli.command()
def results() -> None:
    """Print the newest evaluation of every scale, and where its pictures are."""
    from srcnn_mlflow.commands.results import show_results

    show_results(click.echo)


@cli.command()
def send() -> None:
    """Send what trainings kept while their tracking server was away, and register the finished."""
    from srcnn_mlflow.commands import send as command

    command.send(click.echo)


@cli.command()
def tidy() -> None:
    """Mark as FAILED the runs that dead processes of this machine have left RUNNING."""
    from srcnn_mlflow.commands import tidy as command

    command.tidy(click.echo)


def main() -> NoReturn:
    """Run a command; whatever goes wrong becomes one line and an exit code."""
    signal.signal(signal.SIGTERM, _interrupt_once)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file's name may hold what no text can; standard error escapes it already.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code)
    except SrcnnError as error:
        _fail(str(error), 1)
    except (KeyboardInterrupt, click.Abort):
        _fail("interrupted; what was finished is kept", 130)
    except Exception as error:
        message = explain(error)
        if message is None:
            raise
        _fail(message, 1)
    sys.exit(0)


def _interrupt_once(*_: object) -> NoReturn:
    """End the process as Ctrl-C would, and let it tidy up undisturbed."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"error: {message}", err=True)
    sys.exit(code)
