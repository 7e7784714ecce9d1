"""Every option of every command, with values that nobody should give: refused, and in one line."""

import asyncio
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from srcnn_mlflow import cli
from srcnn_mlflow.parameters import (
    COUNT,
    MINUTES,
    PIXELS,
    POSITIVE,
    SEED,
    SHARE,
    Number,
    OrWord,
    Text,
)
from tests.conftest import put_store, sampled

DIGITS = "12345678901234567890"
ODD = (
    *("nan", "NaN", "inf", "-inf", "1e309", "-1e309", "-1", DIGITS, "-" + DIGITS, "9" * 400),
    *("", " ", " 5", "5 ", "\t", "\n", "5\n", "0x10", "1_000", "1,5", "1/2", "--1", "1e", "."),
    *("٣", "٢٫٥", "²", "½", "三", "none.", "null", "None", "True", "[]", "a" * 5000),
)
# For texts, which are looked up before they can be wrong.
ODD_TEXTS = ("", " ", "nan", DIGITS, "٣", "²", "0x10", "a\nb", "..", "a" * 5000)
# What lets a command find a fault soon, once it has taken the odd value.
MISSING = {"dataset": "no such folder", "inputs": "no such picture.png", "file": "no such.pth"}
NUMBERS = {"count": COUNT, "pixels": PIXELS, "positive": POSITIVE, "minutes": MINUTES}
NUMBERS |= {"share": SHARE, "seed": SEED}

Run = Callable[..., tuple[int, str]]


def options(of: Callable[[click.Option], bool]) -> list[tuple[str, click.Option]]:
    """Every option of every command that answers a question with yes."""
    return [
        (name, option)
        for name, command in sorted(cli.cli.commands.items())
        for option in command.params
        if isinstance(option, click.Option) and of(option)
    ]


def number_of(option: click.Option) -> Number | None:
    kind = option.type.kind if isinstance(option.type, OrWord) else option.type
    return kind if isinstance(kind, Number) else None


def is_text(option: click.Option) -> bool:
    kind = option.type.kind if isinstance(option.type, OrWord) else option.type
    return isinstance(kind, Text)


def named(pair: tuple[str, click.Option]) -> str:
    return f"{pair[0]} {pair[1].opts[0]}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    # In a folder of its own, so that nothing lies in `..`.
    folder = tmp_path_factory.mktemp("odd") / "folder"
    folder.mkdir()
    put_store(empty_store, folder)
    return folder


@contextmanager
def no_running_loop() -> Iterator[None]:
    """As in a program of its own; the browser of another test keeps a loop running in this one."""
    loop = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(loop)


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command with one odd value; gives its exit code and what it said on standard error."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")

    def call(command: str, option: click.Option, value: str, *more: str) -> tuple[int, str]:
        arguments = [command, f"{option.opts[0]}={value}", *more]
        for other in cli.cli.commands[command].params:
            if other.name in MISSING and other is not option:
                arguments.append(f"{other.opts[0]}={MISSING[other.name]}")
        monkeypatch.setattr(sys, "argv", ["srcnn-mlflow", *arguments])
        with pytest.raises(SystemExit) as ended, no_running_loop():
            cli.main()
        return int(ended.value.code or 0), capsys.readouterr().err

    return call


@pytest.mark.parametrize("pair", options(lambda one: number_of(one) is not None), ids=named)
def test_an_odd_number_is_refused_with_its_name_and_its_range(
    run: Run, pair: tuple[str, click.Option]
) -> None:
    command, option = pair
    number = number_of(option)
    assert number is not None
    for value in ODD:
        code, errors = run(command, option, value)
        assert code == 2, value
        assert errors.startswith(f"error: Invalid value for '{option.opts[0]}': {value!r} is not ")
        assert number.described in errors
        assert len(errors.splitlines()) == 1


@pytest.mark.parametrize(
    "values", sampled([["", "nan", "½", "True"], list(ODD)]), ids=["few", "all"]
)
@pytest.mark.parametrize(
    "pair", options(lambda one: number_of(one) is None and not is_text(one)), ids=named
)
def test_an_odd_choice_is_refused_with_its_name(
    run: Run, pair: tuple[str, click.Option], values: Sequence[str]
) -> None:
    command, option = pair
    if option.opts == ["--help"] or option.is_flag:
        pytest.skip("takes no value")
    for value in values:
        code, errors = run(command, option, value)
        if isinstance(option.type, click.types.BoolParamType) and value in ("True",):
            continue
        assert code == 2, value
        assert errors.startswith(f"error: Invalid value for '{option.opts[0]}': ")


@pytest.mark.slow
@pytest.mark.parametrize("pair", options(is_text), ids=named)
def test_an_odd_text_ends_in_a_message(run: Run, pair: tuple[str, click.Option]) -> None:
    command, option = pair
    for value in ODD_TEXTS:
        code, errors = run(command, option, value)
        assert code in (0, 1, 2), value
        if not value.strip():
            assert code == 2
            assert f"Invalid value for '{option.opts[0]}': {value!r} is empty." in errors
        if code:
            assert errors.splitlines()[-1].startswith("error: "), (value, errors)
        assert "Traceback" not in errors


@pytest.mark.parametrize(
    "pair", options(lambda one: not one.is_flag and not one.multiple), ids=named
)
def test_an_option_that_is_given_twice_is_refused(run: Run, pair: tuple[str, click.Option]) -> None:
    command, option = pair
    name = option.opts[0]
    for again in ([f"{name}=1"], [name, "1"]):
        code, errors = run(command, option, "1", *again)
        assert code == 2
        assert errors == f"error: {name} is given 2 times; give it once\n"


@given(st.sampled_from(sorted(NUMBERS)), st.one_of(st.text(), st.floats().map(str)))
def test_what_is_taken_is_finite_and_in_its_range(name: str, text: str) -> None:
    number = NUMBERS[name]
    try:
        value = number.convert(text, None, None)
    except click.BadParameter:
        return
    assert math.isfinite(value)
    assert value == float(text)
    assert text.isascii()
    assert number.low <= value <= number.high


@pytest.mark.parametrize(
    ("number", "text", "value"),
    [
        (COUNT, "1", 1),
        (COUNT, "1000000", 1_000_000),
        (COUNT, "+7", 7),
        (SEED, "-0", 0),
        (SEED, "9223372036854775807", 2**63 - 1),
        (POSITIVE, ".5", 0.5),
        (POSITIVE, "1.", 1.0),
        (POSITIVE, "3e-4", 3e-4),
        (POSITIVE, "1E+3", 1000.0),
        (SHARE, "0.999", 0.999),
    ],
)
def test_numbers_are_taken_as_they_are_written(number: Number, text: str, value: float) -> None:
    converted = number.convert(text, None, None)
    assert converted == value
    assert type(converted) is type(value)


@pytest.mark.parametrize(
    ("number", "text"),
    [(COUNT, "0"), (COUNT, "1000001"), (COUNT, "1.0"), (SEED, "9223372036854775808")]
    + [(POSITIVE, text) for text in ("0", "-0", "0.0", "1e-400", "1e19")]
    + [(SHARE, text) for text in ("0", "1", "1.0", "1.1", "0.99999999999999999999")],
)
def test_the_ends_of_a_range_are_where_they_are_said_to_be(number: Number, text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not"):
        number.convert(text, None, None)
