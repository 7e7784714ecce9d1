"""The commands: their parameters, and the one place where errors become messages.

Nothing heavy is imported here; each command imports what it runs.
"""

import io
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

import click

from srcnn_mlflow import __version__
from srcnn_mlflow import parameters as given
from srcnn_mlflow.cli_judging import JUDGING_COMMANDS
from srcnn_mlflow.cli_serving import SERVING_COMMANDS
from srcnn_mlflow.cli_store import STORE_COMMANDS
from srcnn_mlflow.help_pages import Commands
from srcnn_mlflow.machine.errors import SrcnnError
from srcnn_mlflow.machine.faults import explain
from srcnn_mlflow.machine.inventory import inventory
from srcnn_mlflow.machine.locking import used_beside_others
from srcnn_mlflow.machine.messages import no_credentials_shown, told_on_standard_output
from srcnn_mlflow.machine.places import anchor_store, former_home, home, lock_of
from srcnn_mlflow.machine.text import printable
from srcnn_mlflow.parameters import (
    COUNT,
    FILE,
    SOURCE,
    TEXT,
    TRUE_OR_FALSE,
    OnceCommand,
    OrWord,
    option,
    options,
)
from srcnn_mlflow.study_option import Study
from srcnn_mlflow.training.settings import RECIPE, REPORT, TrainingSettings
from srcnn_mlflow.training.study_tables import study_names


def _show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    """What whoever reports a fault is asked for."""
    if wanted:
        click.echo("\n".join([f"srcnn-mlflow {__version__}", *inventory()]))
        context.exit()


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"max_content_width": 100, "help_option_names": ["-h", "--help"]},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Versions, processor and threads, for a report of a fault.",
)
@click.pass_context
def cli(context: click.Context) -> None:
    """Train, compare, register and serve SRCNN image upscaling with MLflow.

    Each command has a page of its own: srcnn-mlflow train -h.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
        return
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if several and context.invoked_subcommand not in ("prepare", "train"):
        raise click.UsageError(
            "torchrun starts several processes, which only train and prepare can use; run "
            f"{context.invoked_subcommand} without it"
        )
    if context.invoked_subcommand != "clean":
        for folder in {home().resolve(), former_home().resolve()}:
            context.with_resource(used_beside_others(lock_of(folder)))


@cli.command(cls=OnceCommand, name="main")
@options(
    given.scale,
    given.dataset,
    given.epochs(RECIPE),
    given.architecture,
    given.channels,
    given.patch_size,
    given.seed,
    given.max_minutes,
    given.device,
    given.init_from,
)
def main_command(
    scale: int, dataset: str, patch_size: int, device: str, init_from: str | None, **settings: Any
) -> None:
    """One scale, end to end: prepare, train, evaluate, register, promote."""
    from srcnn_mlflow.commands.main import run_main
    from srcnn_mlflow.commands.train_request import TrainRequest

    request = TrainRequest(
        scale, dataset, patch_size, 14, None, TrainingSettings(**settings), init_from
    )
    run_main(request, device)


@cli.command(cls=OnceCommand)
@options(given.scale, given.dataset, given.channels, given.patches)
@option("materialize", TRUE_OR_FALSE, False, "Write the patches themselves, as other programs do.")
def prepare(
    scale: int, dataset: str, channels: str, patch_size: int, stride: int, materialize: bool
) -> None:
    """Turn photographs into one HDF5 file; does nothing when it is there already."""
    from srcnn_mlflow.commands.prepare import prepare_for_project
    from srcnn_mlflow.network.architecture import planes_of
    from srcnn_mlflow.pictures.store_file import StoreSettings

    settings = StoreSettings(scale, patch_size, stride, materialize, planes_of(channels))
    prepare_for_project(dataset, settings)


@cli.command(cls=OnceCommand)
@options(
    given.scale,
    given.dataset,
    given.architecture,
    given.epochs(RECIPE),
    given.hyper_parameters(RECIPE),
    given.memory,
    given.init_from,
)
@option("resume", OrWord(TEXT, "none"), "none", "Run to go on with, by its id; or auto.")
def train(
    scale: int,
    dataset: str,
    patch_size: int,
    stride: int,
    train_images: int | None,
    device: str,
    memory: int | None,
    init_from: str | None,
    resume: str | None,
    **settings: Any,
) -> None:
    """Train, track every epoch, and register the best as challenger; prepares where needed."""
    from srcnn_mlflow.commands.train import run_train
    from srcnn_mlflow.commands.train_request import TrainRequest

    request = TrainRequest(
        scale, dataset, patch_size, stride, train_images, TrainingSettings(**settings), init_from
    )
    run_train(request, device, resume, memory)


@cli.command(cls=OnceCommand)
@option(
    "dataset", TEXT, "div2k", "samples, div2k, a set by name, a folder, or several joined by +."
)
@options(given.architecture, given.epochs(REPORT), given.hyper_parameters(REPORT))
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
    from srcnn_mlflow.commands.train_request import TrainRequest

    # The scale is the command's own: it runs the same request at each of the report's.
    request = TrainRequest(
        2, dataset, patch_size, stride, train_images, TrainingSettings(**settings)
    )
    command.reproduce(request, device)


@cli.command(cls=OnceCommand)
@options(given.scale, given.dataset)
@option("trials", COUNT, 20, "So many finished trials the study is to have in all.")
@option("epochs", COUNT, 4, "Passes over all patches, a trial.")
@options(given.architecture, given.channels, given.seed, given.max_minutes, given.device)
@option("study", OrWord(TEXT, "auto"), "auto", "Name of the study to begin or join.")
@given.storage
@option("train-best", TRUE_OR_FALSE, False, "Train and register the best trial's settings.")
@option("full-epochs", COUNT, RECIPE.epochs, "Passes of that last training.")
def sweep(**parameters: Any) -> None:
    """Search hyper-parameters: one nested run a trial, poor ones ended early."""
    from srcnn_mlflow.commands import sweep as command

    command.sweep(command.SweepRequest(**parameters))


@cli.command(cls=OnceCommand)
@option("name", Study(), "filters", f"{', '.join(study_names())}, or a file of your own.")
@options(given.scale_option("3"), given.dataset_option("t91"))
@option("test", TEXT, "set5", "Data set whose test pictures are looked at once, at the end.")
@option("seeds", given.SEEDS, 3, "So many trainings of each setting, seeds 0 and up.")
@option("max-minutes", given.MINUTES, 10, "Of a training, with the schedule fitted to it.")
@option("epochs", OrWord(COUNT, "none"), "none", "Passes of a training, in place of minutes.")
@options(given.device, given.storage)
def study(**parameters: Any) -> None:
    """Train a table of settings with several seeds each, and tell what is beyond their noise."""
    from srcnn_mlflow.commands import study as command
    from srcnn_mlflow.commands.study_request import StudyRequest

    command.study(StudyRequest(**parameters))


@cli.command(cls=OnceCommand)
@options(given.scale)
@option("model", TEXT, "champion", "champion, shipped, an alias, a version, or a model URI.")
@click.option(
    "--input",
    "inputs",
    type=TEXT,
    required=True,
    multiple=True,
    help="Picture or folder; several joined by +, or given one by one.",
)
@option("output", FILE, "upscaled", "Folder; or a file for one picture.")
@option(
    "compare", TRUE_OR_FALSE, False, "Write bicubic's enlargement beside each, and a page of both."
)
@options(given.how_written, given.inference_precision)
def upscale(
    scale: int,
    model: str,
    inputs: tuple[str, ...],
    output: Path,
    compare: bool,
    format: str,
    quality: int | None,
    skip_done: bool,
    precision: str,
) -> None:
    """Enlarge pictures, colour kept. Ends with 0 if at least one was; each other is named."""
    from srcnn_mlflow.commands.upscale import upscale_for_project
    from srcnn_mlflow.commands.upscale_steps import Wanted

    wanted = Wanted(format, quality, skip_done)
    upscale_for_project(model, scale, inputs, output, compare, precision, wanted)


@cli.command(cls=OnceCommand, name="import-weights")
@options(given.scale)
@click.option("--file", type=SOURCE, required=True, help="A .pth PyTorch state dict.")
@options(given.channels, given.dataset, given.split, given.gate_split)
def import_weights(
    scale: int, file: Path, channels: str, dataset: str, split: str, gate_split: bool
) -> None:
    """Register another program's weights as a version, and judge them like any other."""
    from srcnn_mlflow.commands import import_weights as command

    command.import_weights(file, scale, dataset, split, gate_split, channels)


@cli.command(cls=OnceCommand)
@options(given.scale)
@option("model", TEXT, "champion", "newest, an alias, a version number, shipped, or a model URI.")
@option("output", FILE, "exported", "Folder for the ONNX file and script.")
def export(scale: int, model: str, output: Path) -> None:
    """Write a version's ONNX file, and a short script that runs it without MLflow."""
    from srcnn_mlflow.commands import export as command

    command.export(scale, model, output)


for _one in (*JUDGING_COMMANDS, *SERVING_COMMANDS, *STORE_COMMANDS):
    cli.add_command(_one)


def main() -> NoReturn:
    """Run a command; whatever goes wrong becomes one line and an exit code."""
    signal.signal(signal.SIGTERM, _interrupt_once)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file's name may hold what no text can; standard error escapes it already.
        sys.stdout.reconfigure(errors="backslashreplace")
    with no_credentials_shown():
        _run()


def _run() -> NoReturn:
    try:
        with told_on_standard_output():
            anchor_store()
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
            # A defect; as Python tells it, but for credentials.
            traceback.print_exc()
            sys.exit(1)
        _fail(message, 1)
    sys.exit(0)


def _interrupt_once(*_: object) -> NoReturn:
    """End the process as Ctrl-C would, and let it tidy up undisturbed."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def _fail(message: str, code: int) -> NoReturn:
    # A name that holds a line break would make two lines of one.
    click.echo(f"error: {printable(message.strip())}", err=True)
    sys.exit(code)
