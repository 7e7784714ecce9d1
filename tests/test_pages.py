"""Every command of the README and the site is one that is understood, and is run by a test.

The sessions of the pages are run here, one after the other in one folder, and what they print is
held against what stands there. `SRCNN_RECORD=1 python -m pytest tests/test_pages.py -k sessions`
writes into the pages what they print now.
"""

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml
from mlflow.cli import cli as mlflow_cli
from PIL import Image

from srcnn_mlflow.cli import cli
from srcnn_mlflow.commands import work
from srcnn_mlflow.pictures import photos
from tests.conftest import BIN, ROOT, context_of, put_store, run_here, write_crops
from tests.pages import PAGES, Block, blocks

ENTRY_POINTS = yaml.safe_load((ROOT / "MLproject").read_text())["entry_points"]
BLOCKS = [block for page in PAGES for block in blocks(page) if block.commands]
# Pages whose sessions go on with what those before them have made.
SESSIONS = [
    *("how-to/enlarge.md", "upscaling.md", "how-to/train.md", "how-to/compare.md"),
    *("how-to/promote.md", "how-to/exchange.md", "how-to/store.md"),
]
# The folder in which the sessions were, as the pages call it.
SHOWN = "/home/anna/work"
# Digests, and what is measured of time and memory, differ from one machine to another.
_VARYING = re.compile(
    r"[0-9a-f]{8,}|\d[\d.,]*(?= (?:s|ms|minutes|patches/s|[kKMG]?B|bytes|cores|files?)\b)"
    r"|\d\.\d+e-\d+"
)
_NUMBER = re.compile(r"[+-]?\d+\.\d{2,}")


def of_this_project(words: list[str]) -> None:
    """Refuse a command that click would refuse."""
    if words[:1] == ["-h"] or words[:1] == ["--version"]:
        return
    context_of(words[0], words[1:])


def of_a_project(words: list[str]) -> None:
    """`mlflow run` of this checkout: declared parameters, with values that the command takes."""
    context = mlflow_cli.commands["run"].make_context("run", list(words))
    assert context.params["uri"] == "."
    name = context.params["entry_point"]
    given = dict(one.split("=", 1) for one in context.params["param_list"] or ())
    # A loop of the shell gives one after the other.
    given = {key: value for key, value in given.items() if not value.startswith("$")}
    assert set(given) <= set(ENTRY_POINTS[name]["parameters"])
    options = [f"--{key.replace('_', '-')}={value}" for key, value in given.items()]
    of_this_project([name, *options])


def understood(words: list[str]) -> None:
    """Parse a command as its program would, without running it."""
    match words:
        case ["srcnn-mlflow", *rest] | ["python", "-m", "srcnn_mlflow", *rest]:
            of_this_project(rest)
        case ["torchrun", *rest]:
            of_this_project(rest[rest.index("srcnn_mlflow") + 1 :])
        case ["mlflow", "run", *rest]:
            of_a_project(rest)
        case ["mlflow", *rest]:
            found: click.Command | None = mlflow_cli
            while isinstance(found, click.Group):
                found = found.get_command(click.Context(found), rest.pop(0))
            assert found is not None
            found.make_context(found.name, rest)
        case ["make", *targets]:
            makefile = (ROOT / "Makefile").read_text()
            assert all(re.search(rf"^[\w ]*\b{one}\b[\w ]*:", makefile, re.M) for one in targets)
        case ["python", "-m", "pip" | "pytest", *_]:
            pass
        case ["python", script, *options]:
            source = (ROOT / script).read_text()
            for one in options:
                if one.startswith("--"):
                    assert f'"{one}"' in source
        case _:
            pytest.fail(f"no such command: {words}")


@pytest.mark.parametrize("page", sorted({one.page for one in BLOCKS}), ids=lambda one: one.name)
def test_every_command_of_a_page_is_understood(page: Path) -> None:
    for block in BLOCKS:
        for words in block.commands if block.page == page else ():
            try:
                understood(words)
            except click.ClickException as error:
                pytest.fail(f"{page.name}: {shlex.join(words)}: {error.format_message()}")


def test_commands_within_sentences_are_understood() -> None:
    count = 0
    for page in PAGES:
        for text in re.findall(r"`(srcnn-mlflow [a-z][^`]*)`", page.read_text(encoding="utf-8")):
            name, *options = shlex.split(text)[1:]
            assert name in cli.commands, text
            if options:
                of_this_project([name, *options])
            count += 1
    assert count > 5


def test_every_command_is_run_by_a_test_or_says_why_not() -> None:
    silent = [
        f"{block.page.name}: {shlex.join(block.commands[0])}"
        for block in BLOCKS
        if block.mark is None and block.kind != "console"
    ]
    assert silent == []
    for block in BLOCKS:
        if block.mark and block.mark.startswith("run by"):
            assert (ROOT / block.mark.removeprefix("run by ")).is_file(), block.mark


def test_sessions_stand_on_pages_that_are_run() -> None:
    names = {str(one.page.relative_to(ROOT / "docs")) for one in BLOCKS if one.kind == "console"}
    assert names == set(SESSIONS)


def test_every_variable_of_the_environment_stands_on_its_page() -> None:
    page = (ROOT / "docs" / "reference" / "environment.md").read_text(encoding="utf-8")
    name = r"SRCNN_\w*[A-Z]\b"
    sources = (ROOT / "srcnn_mlflow").rglob("*.py")
    read = {one for path in sources for one in re.findall(name, path.read_text(encoding="utf-8"))}
    assert len(read) > 8
    assert set(re.findall(rf"^\| `({name})`", page, flags=re.MULTILINE)) == read


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    """What anna has: a store, a photograph, and a folder of photographs that is split."""
    folder = tmp_path_factory.mktemp("session") / "work"
    folder.mkdir()
    put_store(empty_store, folder)
    write_crops(folder / "photos", 96, train=6, valid=2, test=6)
    with Image.open(folder / "photos" / "test" / "coffee0.png") as image:
        image.convert("RGB").save(folder / "photo.jpg")
    return folder


def printed(command: str, folder: Path) -> str:
    """What a command of a session prints, with the folder as the pages call it."""
    done = run_here(*shlex.split(command)[1:], cwd=folder)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout.replace(str(folder), SHOWN).replace(f"{BIN}/", "")


def session(block: Block) -> Iterator[tuple[str, str]]:
    """Each command with what it is said to print."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, output = part.replace("\\\n", " ").partition("\n")
        yield command, output


def alike(line: str, shown: str) -> bool:
    """Whether two lines differ in nothing but what varies, and in numbers by little."""
    # Which epoch is the best may turn on the last digit.
    plain = (one.rstrip().replace(" (best)", "") for one in (line, shown))
    ours, theirs = (_VARYING.sub("#", one) for one in plain)
    if _NUMBER.sub("N", ours) != _NUMBER.sub("N", theirs):
        return False
    pairs = zip(_NUMBER.findall(ours), _NUMBER.findall(theirs), strict=True)
    return all(abs(float(a) - float(b)) < 0.5 for a, b in pairs)


@pytest.mark.slow
def test_sessions_print_what_stands_on_the_pages(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Imported here above, before any test could have changed the name that it takes over.
    for module in (photos, work):
        monkeypatch.setattr(module, "DIGESTS", Path("digests.json"))
    differing = []
    for name in SESSIONS:
        page = ROOT / "docs" / name
        for block in [one for one in blocks(page) if one.kind == "console"]:
            found = [(command, printed(command, workspace)) for command, _ in session(block)]
            if os.environ.get("SRCNN_RECORD"):
                new = "".join(f"$ {command}\n{output}" for command, output in found)
                page.write_text(page.read_text(encoding="utf-8").replace(block.text, new))
                continue
            for (command, output), (_, shown) in zip(found, session(block), strict=True):
                lines = output.splitlines(), shown.splitlines()
                if len(lines[0]) != len(lines[1]) or not all(map(alike, *lines)):
                    differing.append(f"{name}: {command}\n{output}\nbut on the page\n{shown}")
    assert not differing, "\n".join(differing)
