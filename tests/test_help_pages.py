"""What help there is: every command and option, whole sentences, and examples that parse."""

import re
import shlex

import click
import pytest
from click.testing import CliRunner

from srcnn_mlflow.cli import cli
from srcnn_mlflow.help_pages import EXAMPLES, SUBJECTS, TASKS
from tests.conftest import context_of

every_command = pytest.mark.parametrize("name", sorted(cli.commands))


def help_of(*arguments: str) -> str:
    done = CliRunner(env={"COLUMNS": "80"}).invoke(cli, arguments, terminal_width=80)
    assert done.exit_code == 0, done.output
    return done.output


def test_alone_it_lists_every_command_once_and_by_task() -> None:
    alone = help_of()
    assert alone == help_of("-h") == help_of("--help")
    first_words = re.findall(r"^  (\S+)", alone, re.MULTILINE)
    assert {name: first_words.count(name) for name in cli.commands} == dict.fromkeys(
        cli.commands, 1
    )
    listed = [name for names in TASKS.values() for name in names]
    assert sorted(listed) == sorted(cli.commands)
    assert EXAMPLES.keys() == cli.commands.keys()


@pytest.mark.parametrize("name", ["", *sorted(cli.commands)])
def test_nothing_is_cut_short_at_80_columns(name: str) -> None:
    page = help_of(*([name] if name else []), "-h")
    assert max(map(len, page.splitlines())) <= 80
    assert "..." not in page.replace("[ARGS]...", "")


@every_command
def test_the_first_sentence_is_in_the_list(name: str) -> None:
    sentence = " ".join((cli.commands[name].help or "").split("\n\n")[0].split())
    listed = " ".join(help_of().split())
    assert f"{name} {sentence.split('. ')[0].rstrip('.')}." in listed


@every_command
def test_its_example_is_one_that_it_takes(name: str) -> None:
    page = help_of(name, "-h")
    assert f"Example:\n  srcnn-mlflow {EXAMPLES[name]}\n" in page
    word, *arguments = shlex.split(EXAMPLES[name])
    assert word == name
    if name not in ("import-weights", "score"):
        context_of(name, arguments)


@pytest.mark.parametrize("name", ["train", "reproduce"])
def test_many_options_are_listed_by_subject(name: str) -> None:
    page = help_of(name, "-h")
    for option in cli.commands[name].params:
        assert page.count(f"  {option.opts[0]} ") == 1
    at = [page.index(f"\n{title}:\n") for title in (*SUBJECTS, "Options")]
    assert at == sorted(at)
    names = {param.name for param in cli.commands["train"].params}
    assert {name for names in SUBJECTS.values() for name in names} <= names


def test_the_version_says_what_a_report_of_a_fault_needs() -> None:
    page = help_of("--version")
    assert page.startswith("srcnn-mlflow ")
    for word in ("Python 3", "mlflow ", "torch ", "onnxruntime ", "threads for this process"):
        assert word in page
    assert "missing" not in page


def test_a_mistyped_word_is_answered_with_the_nearest() -> None:
    for arguments, nearest in (
        (["trian"], "Did you mean 'train'?"),
        (["train", "--epoch", "3"], "Did you mean '--epochs'?"),
        (["train", "--optimizer", "moun"], "'muon', 'adam'. Did you mean 'muon'?"),
    ):
        done = CliRunner().invoke(cli, arguments, standalone_mode=False)
        assert isinstance(done.exception, click.UsageError)
        assert nearest in done.exception.format_message()


def test_a_shell_completes_commands_and_words() -> None:
    for words, expected in (
        ("srcnn-mlflow tr", "train"),
        ("srcnn-mlflow train --opt", "--optimizer"),
        ("srcnn-mlflow train --optimizer m", "muon"),
    ):
        environment = {
            "_SRCNN_MLFLOW_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - 1),
        }
        done = CliRunner(env=environment).invoke(cli, prog_name="srcnn-mlflow")
        assert f"plain,{expected}" in done.output.splitlines()
