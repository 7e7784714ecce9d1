"""Pages of the site that nobody writes: the commands as they are, and files that lie elsewhere.

MkDocs calls `on_files` when it has listed what lies in docs/, and the others
for each page.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from posixpath import dirname, join, normpath, relpath
from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from srcnn_mlflow.cli import cli
from srcnn_mlflow.help_pages import EXAMPLES, TASKS
from srcnn_mlflow.machine.text import as_text
from srcnn_mlflow.parameters import TRUE_OR_FALSE, Number, OrWord

ROOT = Path(__file__).resolve().parents[1]
# Files that are read where they lie, too, and the pages that they become.
ELSEWHERE = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "srcnn_mlflow/network/weights/README.md": "weights.md",
}
# What links to files outside docs/ lead to on the site.
PAGES = {**ELSEWHERE, "MLproject": "reference/commands.md", "README.md": "how-to/benchmark.md"}
_LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)")
_RESULTS = "[The table of the README](../../README.md#results)."


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add these pages to those that are there."""
    for source, page in ELSEWHERE.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    files.append(File.generated(config, "reference/commands.md", content=commands_page()))
    for book in [one for one in files if one.src_uri.endswith(".ipynb")]:
        page, text = f"{book.src_uri.removesuffix('.ipynb')}.md", book.content_string
        files.append(File.generated(config, page, content=notebook_page(text)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Let links lead to pages, where a reader of the checkout is led to files."""
    address = page.file.src_uri
    sources = {one: source for source, one in ELSEWHERE.items()}
    source = sources.get(address, f"docs/{address}")

    def on_the_site(link: re.Match[str]) -> str:
        target = normpath(join(dirname(source), link[1]))
        target = PAGES.get(target, target.removeprefix("docs/"))
        return f"]({relpath(target, dirname(address) or '.')}{link[2] or ''})"

    text = markdown.replace(_RESULTS, results_table())
    # PSNR and SSIM of a cell stay on one line.
    return _LINK.sub(on_the_site, re.sub(r"(\d) / (\d)", "\\1\u00a0/\u00a0\\2", text))


def on_post_page(output: str, **_: object) -> str:
    """Give the theme's search a name, which it has for those who see it only."""
    return output.replace('class="md-search"', 'class="md-search" aria-label="Search"')


def notebook_page(text: str) -> str:
    """A notebook as Markdown: its words, its code, and what that gave when it was last run."""
    parts = []
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        parts += [_output(one) for one in cell.get("outputs", ())]
    # What a cell prints comes in pieces, which are one block.
    return "\n\n".join(parts).replace("\n```\n\n```text\n", "\n") + "\n"


def _output(output: dict[str, Any]) -> str:
    data = output.get("data", {})
    if "image/png" in data:
        picture = "".join(data["image/png"].split())
        return f"![What the cell gave](data:image/png;base64,{picture})"
    words = output.get("text", data.get("text/plain", ""))
    return f"```text\n{''.join(words).rstrip()}\n```"


def results_table() -> str:
    """The README's table of results, which the site shows where it is explained."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.split("\n## Results\n")[1].split("\n## ")[0]
    return "\n".join(line for line in section.splitlines() if line.startswith("|"))


def commands_page() -> str:
    """Every command with its options, as Markdown, from the commands themselves."""
    lines = [
        "# Commands and their parameters",
        "",
        "Made from the commands themselves. All but those marked *command only* are entry points "
        "of `MLproject` with the same parameters and defaults: `mlflow run . -e train -P "
        "batch_size=8` is `srcnn-mlflow train --batch-size 8`. [What may be given](values.md) "
        "says more of some.",
    ]
    entry_points = _entry_points()
    for task, names in TASKS.items():
        lines += ["", f"## {task}"]
        for name in names:
            lines += ["", *_section(name, name in entry_points)]
    return "\n".join(lines) + "\n"


def _entry_points() -> set[str]:
    text = (ROOT / "MLproject").read_text(encoding="utf-8")
    return set(re.findall(r"^  ([\w-]+):$", text, re.MULTILINE))


def _section(name: str, is_entry_point: bool) -> Iterator[str]:
    command = cli.commands[name]
    yield f"### {name}"
    yield ""
    yield (command.help or "") + ("" if is_entry_point else " *Command only.*")
    yield ""
    if command.params:
        yield "| parameter | takes | default | means |"
        yield "|---|---|---|---|"
        context = click.Context(command, info_name=name)
        yield from (_row(one, context) for one in command.params if isinstance(one, click.Option))
        yield ""
    yield "```bash"
    yield f"srcnn-mlflow {EXAMPLES[name]}"
    yield "```"


def _row(option: click.Option, context: click.Context) -> str:
    name = option.opts[0].removeprefix("--")
    default = "required" if option.required else f"`{as_text(option.get_default(context))}`"
    return f"| `{name}` | {_taken(option.type)} | {default} | {option.help or ''} |"


def _taken(kind: click.ParamType[Any]) -> str:
    """What an option takes, in words."""
    if isinstance(kind, OrWord):
        return f"{_taken(kind.kind)}, or `{kind.word}`"
    if isinstance(kind, click.Choice):
        return ", ".join(f"`{one}`" for one in kind.choices)
    if kind is TRUE_OR_FALSE:
        return "`true`, `false`"
    return kind.described if isinstance(kind, Number) else kind.name
