"""Names in other languages, held against a Markdown renderer, a shell and a file system."""

import html
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from srcnn_mlflow.machine.text import as_file_name, as_markdown, printable, shortened
from srcnn_mlflow.measuring.tables import aligned_table

RENDERER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
HOSTILE = (
    "a|b.png",
    "|",
    "<script>alert(1)</script>.png",
    "<img src=x onerror=alert(1)>.png",
    "[click](javascript:alert(1)).png",
    "![x](http://localhost/x.png)",
    "`rm -rf`.png",
    "**bold** _it_ __x__ ~~gone~~ a*b*c",
    "my_photo_1_.png",
    "a&lt;b&amp;.png",
    "back\\slash\\|.png",
    "# heading",
    "- item",
    "+ item",
    "=====",
    "$E=mc^2$",
    "two\nlines\r\n\n<b>",
    "<!-- hidden -->",
    "&#124;&copy;",
    "\u202egnp.exe",
)


def shown(page: str) -> str:
    """What a reader sees of a page."""
    return html.unescape(re.sub(r"<[^>]*>", "", page)).strip()


def tags(page: str) -> set[str]:
    return set(re.findall(r"</?([a-z0-9]+)", page))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_stands_in_markdown_as_it_is(name: str) -> None:
    page = RENDERER.render(f"Model {as_markdown(name)} of {as_markdown(name)}.")
    assert shown(page) == f"Model {printable(name)} of {printable(name)}."
    assert tags(page) == {"p"}
    assert tags(RENDERER.render(as_markdown(name))) == {"p"}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_breaks_no_row_of_a_table(name: str) -> None:
    rows = [{"Picture": as_markdown(one), "PSNR": "30.00"} for one in (name, "plain.png")]
    page = RENDERER.render(aligned_table(rows, text_columns=1))
    cells = [shown(cell) for cell in re.findall(r"<td.*?</td>", page, re.DOTALL)]
    assert cells == [printable(name), "30.00", "plain.png", "30.00"]
    assert tags(page) == {"table", "thead", "tbody", "tr", "th", "td"}


@given(
    st.text(min_size=1, max_size=30)
    | st.text(alphabet="ab_*`|<>&[]()!\\~#$-+= .", min_size=1, max_size=12)
)
def test_any_name_stands_in_markdown_as_it_is(text: str) -> None:
    page = RENDERER.render(f"of {as_markdown(text)}.")
    # Blanks are one blank to a reader of HTML.
    assert shown(page).split() == f"of {printable(text)}.".split()
    assert tags(page) == {"p"}


def test_plain_names_stay_as_they_are() -> None:
    for name in ("img_001.png", "photo (2).jpg", "Größe 50%.tif", "a+b-c=d.png", "x2.bmp"):
        assert as_markdown(name) == name


@given(st.text(min_size=1, max_size=400))
@example("x2-9-5-5-" + "ü" * 300)
@example("../../etc/passwd\0")
@example("caf\udce9")
def test_any_text_becomes_a_file_name(text: str) -> None:
    name = as_file_name(text, 60)
    assert re.fullmatch(r"[\w.-]+", name)
    assert len(name.encode()) <= 60
    assert Path(f"x{name}").name == f"x{name}"


def test_names_that_differ_at_their_end_alone_stay_apart() -> None:
    long = "folder/" * 40
    assert as_file_name(f"{long}a", 240) != as_file_name(f"{long}b", 240)
    assert as_file_name("x2-9-5-5-samples", 240) == "x2-9-5-5-samples"


@given(st.text(max_size=80), st.integers(3, 60))
def test_a_shortened_text_keeps_beginning_and_end(text: str, length: int) -> None:
    found = shortened(text, length)
    assert len(found) == min(len(text), length)
    assert found == text or (found[0], found[-1]) == (text[0], text[-1])
