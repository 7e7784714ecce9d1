"""The parameters of the commands: what each may be, said once, and what is said of any other value.

Nothing heavy is imported here.
"""

import re
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import click

from srcnn_mlflow.help_pages import HelpfulCommand
from srcnn_mlflow.machine.callers_folder import given_path, given_source
from srcnn_mlflow.machine.errors import ModelError
from srcnn_mlflow.machine.modules import load
from srcnn_mlflow.network.architecture import (
    CHANNELS,
    INFERENCE_PRECISIONS,
    PADDINGS,
    SCALES,
    Architecture,
)
from srcnn_mlflow.network.foreign import origin_of
from srcnn_mlflow.pictures.formats import FORMAT_NAMES
from srcnn_mlflow.training.settings import (
    INITIALIZATIONS,
    LOSSES,
    OPTIMIZERS,
    PRECISIONS,
    SAMPLINGS,
    SCHEDULES,
    TrainingSettings,
)

DEVICES = ("auto", "cpu", "cuda", "mps")
SPLITS = ("train", "valid", "test", "all", "gate")
# By each of them, higher is better.
RANKED_BY = (
    *("srcnn_psnr", "psnr_gain", "srcnn_ssim", "ssim_gain", "srcnn_rgb_psnr", "val_psnr"),
    *("mse_reduction_percent", "ensemble_psnr", "ensemble_ssim"),
)

Command = TypeVar("Command", bound=Callable[..., Any])

# Digits as MLflow logs them: Python itself would take `1_000`, `nan` and the digits of any script.
_WHOLE = re.compile(r"[+-]?[0-9]{1,100}")
_SIZE = re.compile(r"0*([1-9][0-9]{0,8})(MB|GB)")
_UNITS = {"MB": 1_000_000, "GB": 1_000_000_000}
_REAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


class Number(click.ParamType[Any]):
    """A finite number in a range, written in the digits 0 to 9."""

    def __init__(self, low: float, high: float, *, whole: bool, open_ends: str = "") -> None:
        """Take the range.

        Args:
            low: the least that is allowed.
            high: the most that is allowed.
            whole: take no fractions.
            open_ends: `low`, `high` or both, as words: these ends themselves are not allowed.
        """
        self.name = "whole number" if whole else "number"
        self.low, self.high, self._whole = low, high, whole
        self._above, self._below = "low" in open_ends, "high" in open_ends
        self._end = "below" if self._below else "at most"

    @property
    def described(self) -> str:
        """What is allowed, in words."""
        if not self._above:
            return f"a {self.name} from {self.low} to {self.high}"
        return f"a {self.name} above {self.low} and {self._end} {self.high}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Turn a text into the number that it writes."""
        text = str(value)
        pattern = _WHOLE if self._whole else _REAL
        if pattern.fullmatch(text):
            number = int(text) if self._whole else float(text)
            above = self.low < number if self._above else self.low <= number
            below = number < self.high if self._below else number <= self.high
            if above and below:
                return number
        return self.fail(f"{text!r} is not {self.described}.", param, ctx)


class Size(click.ParamType[Any]):
    """A number of bytes, written as 500MB or 8GB."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Turn a text into bytes."""
        if isinstance(value, int):
            return value
        found = _SIZE.fullmatch(str(value))
        if found is None:
            return self.fail(f"{value!r} is no size above 0, such as 500MB or 8GB.", param, ctx)
        return int(found[1]) * _UNITS[found[2]]


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


class Text(click.ParamType[str]):
    """A name, an address or the like, which is never empty: an empty path is the present folder."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse blanks; all else is looked up by whoever takes it."""
        text = str(value)
        return text if text.strip() else self.fail(f"{text!r} is empty.", param, ctx)


class NetworkName(Text):
    """An architecture, by the one name that every spelling of it has; or a network from outside."""

    name = "network"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse what is none, with the place that is wrong; a file's path becomes absolute."""
        text = super().convert(value, param, ctx)
        origin = origin_of(text)
        if origin is None:
            try:
                return Architecture(text).name
            except ModelError as error:
                return self.fail(f"{error}; or a network from outside, as net.py", param, ctx)
        if origin.path is None:
            return text
        name = "" if origin.offered is None else f":{origin.offered}"
        return f"{given_source(str(origin.path))}{name}"


class FilePath(Text):
    """A file or folder, which need not be there, as the person sees it who gives it."""

    name = "path"

    def __init__(self, found: Callable[[str], Path]) -> None:
        """Take what turns a text into an absolute path."""
        self._found = found

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Turn a text into an absolute path, which messages then show."""
        return self._found(super().convert(value, param, ctx))


class OnceCommand(HelpfulCommand):
    """A command that takes every option once, where click would heed only the last."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse what is given twice.

        Raises:
            UsageError: an option is named twice.
        """
        several = {name for one in self.params if one.multiple for name in one.opts}
        given = [argument.partition("=")[0] for argument in args if argument.startswith("--")]
        for name in given:
            if given.count(name) > 1 and name not in several:
                raise click.UsageError(f"{name} is given {given.count(name)} times; give it once")
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Import the command's module, and run it."""
        assert self.name is not None
        load(f"srcnn_mlflow.commands.{self.name.replace('-', '_')}")
        return super().invoke(ctx)


class _TrueOrFalse(click.types.BoolParamType):
    """What click takes for true or false, but for blanks, which it takes for false."""

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:  # noqa: ARG002
        """As a choice is shown."""
        return "[true|false]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Turn a word into a truth value."""
        if not str(value).strip():
            self.fail(f"{value!r} is not a valid boolean; give true or false.", param, ctx)
        return super().convert(value, param, ctx)


class OneOf(click.Choice[str]):
    """One of some words."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Take one of the words; of another, name the nearest beside all."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            near = get_close_matches(str(value), [str(one) for one in self.choices], 1)
            guess = f" Did you mean {near[0]!r}?" if near else ""
            return self.fail(f"{error.message}{guess}", param, ctx)


class _Scale(click.Choice[str]):
    """2, 3 or 4, as a number."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return int(super().convert(str(value), param, ctx))


TRUE_OR_FALSE = _TrueOrFalse()
TEXT = Text()
# What is written, and what is read.
FILE, SOURCE = FilePath(given_path), FilePath(given_source)
COUNT = Number(1, 1_000_000, whole=True)
PIXELS = Number(1, 65_536, whole=True)
POSITIVE = Number(0, 1e18, whole=False, open_ends="low")
MINUTES = Number(0, 1_000_000, whole=False, open_ends="low")
SHARE = Number(0, 1, whole=False, open_ends="low high")
# What torch's and numpy's generators both take.
SEED = Number(0, 2**63 - 1, whole=True)
SEEDS = Number(1, 1000, whole=True)


def option(name: str, kind: Any, default: Any, text: str) -> Callable[[Command], Command]:
    """An option that takes a value, with its default shown."""
    if isinstance(default, bool):
        # As it is given.
        default = str(default).lower()
    return click.option(f"--{name}", type=kind, default=default, show_default=True, help=text)


def options(*decorators: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """Several options as one decorator."""

    def decorate(command: Command) -> Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


SCALE = _Scale([str(one) for one in SCALES])


def scale_option(usual: str) -> Callable[[Command], Command]:
    """The option `--scale`, with its default."""
    return option("scale", SCALE, usual, "Upscaling factor.")


def dataset_option(usual: str) -> Callable[[Command], Command]:
    """The option `--dataset`, with its default."""
    return option(
        "dataset",
        TEXT,
        usual,
        "samples, div2k, t91, bsd200, set5, set14, bsd100, urban100, a folder, or several joined "
        "by +.",
    )


scale, dataset = scale_option("2"), dataset_option("samples")
patch_size = option("patch-size", PIXELS, 33, "Side of a training patch, in pixels.")
patches = options(
    patch_size,
    option("stride", PIXELS, 14, "Distance between patches, in pixels."),
)
train_images = option(
    "train-images", OrWord(COUNT, "all"), "all", "Use only so many training pictures."
)
split = option("split", OneOf(SPLITS), "test", "Which pictures of the data set.")
inference_precision = option(
    "precision",
    OneOf(INFERENCE_PRECISIONS),
    "float32",
    "bfloat16 needs OpenVINO, and a processor that multiplies it.",
)
how_written = options(
    option("format", OneOf(FORMAT_NAMES), "png", "Of results; same is that of each picture."),
    option(
        "quality",
        OrWord(Number(1, 100, whole=True), "auto"),
        "auto",
        "Of jpeg, webp and avif, from 1 to 100.",
    ),
    option(
        "skip-done", TRUE_OR_FALSE, False, "Leave out what was made of the same file the same way."
    ),
)
gate_split = option(
    "gate-split",
    TRUE_OR_FALSE,
    False,
    "Cut a part `gate`, for promotions alone, out of the test pictures.",
)
ranked_by = click.option(
    "--metric",
    type=click.Choice(RANKED_BY),
    metavar="METRIC",
    default="srcnn_psnr",
    show_default=True,
    help=f"Rank by this, highest first: {', '.join(RANKED_BY)}.",
)
border = option(
    "border",
    OrWord(Number(0, 65_536, whole=True), "scale"),
    "scale",
    "Pixels left out along each edge.",
)
architecture = option(
    "architecture",
    NetworkName(),
    "9-5-5",
    "Kernel sizes of the layers, as in 9-1-5:32-16; vdsr; or another network, as net.py:Net.",
)
channels = option(
    "channels",
    OneOf(CHANNELS),
    "y",
    "What the network works on: luma, luma and chroma, or red, green and blue.",
)
seed = option("seed", SEED, 0, "Of the first weights and the patches' order.")
device = option("device", OneOf(DEVICES), "auto", "Where to train.")
memory = option(
    "memory",
    OrWord(Size(), "auto"),
    "auto",
    "Of a process, for training planes, as 8GB; larger sets are read part by part.",
)
storage = option(
    "storage",
    OrWord(TEXT, "auto"),
    "auto",
    "Database of the study, such as postgresql://host/name; auto is a file below data.",
)
init_from = option(
    "init-from",
    OrWord(TEXT, "none"),
    "none",
    "Begin with the weights of newest, an alias, a version, shipped, or a model URI.",
)
max_minutes = option(
    "max-minutes",
    OrWord(MINUTES, "none"),
    "none",
    "Train for about so long, with the schedule fitted to it, instead of by epochs.",
)


def epochs(recipe: TrainingSettings) -> Callable[[Command], Command]:
    """The option `--epochs`, with a recipe's default."""
    return option("epochs", COUNT, recipe.epochs, "Passes over all patches.")


def hyper_parameters(recipe: TrainingSettings) -> Callable[[Command], Command]:
    """Everything else that a training is asked for, with a recipe's defaults."""

    def of_recipe(name: str, kind: Any, text: str) -> Callable[[Command], Command]:
        return option(name, kind, getattr(recipe, name.replace("-", "_")), text)

    return options(
        channels,
        of_recipe("batch-size", PIXELS, "Patches a step."),
        of_recipe("lr", POSITIVE, "Highest learning rate."),
        of_recipe("last-layer-lr-factor", POSITIVE, "The last layer's share of the rate."),
        of_recipe("optimizer", OneOf(OPTIMIZERS), "How weights follow gradients."),
        of_recipe("schedule", OneOf(SCHEDULES), "How the rate changes."),
        option(
            "gradient-clip", OrWord(POSITIVE, "none"), "none", "Longest gradient a step may follow."
        ),
        of_recipe("residual", TRUE_OR_FALSE, "Learn the difference from bicubic."),
        of_recipe("padding", OneOf(PADDINGS), "What lies outside a patch."),
        of_recipe("initialization", OneOf(INITIALIZATIONS), "Of the first weights."),
        of_recipe("precondition", TRUE_OR_FALSE, "Train the first layer on whitened planes."),
        of_recipe("sampling", OneOf(SAMPLINGS), "Each patch once a pass, or by its error."),
        of_recipe("loss", OneOf(LOSSES), "Squared errors alike, or weighed as PSNR does."),
        of_recipe("augment", TRUE_OR_FALSE, "Turn and mirror the patches."),
        option("ema-decay", OrWord(SHARE, "none"), "none", "Keep a moving average of the weights."),
        of_recipe("precision", OneOf(PRECISIONS), "What the convolutions compute in."),
        patches,
        max_minutes,
        train_images,
        seed,
        device,
    )
