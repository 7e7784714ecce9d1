"""The site: built as `make site` does, then crawled, and looked at in a browser."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from site_pages import commands_page

from srcnn_mlflow.cli import cli
from srcnn_mlflow.machine.text import as_text
from tests.conftest import ROOT, sampled

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# What a page loads, in contrast to where it leads.
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
# Of each kind of page one: prose and a picture, tables, signatures, long words.
SEEN = ("index", "how-to/benchmark", "reference/python", "how-to/serve")


class Found(HTMLParser):
    """What a page loads, where it leads, and the places in it that a link may name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.leads: list[str] = []
        self.places: set[str] = {""}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.places |= {given[name] or "" for name in ("id", "name") if name in given}
        if (address := given.get(LOADED.get(tag, ""))) and given.get("rel") != "canonical":
            self.loads.append(address)
        if tag == "a" and (address := given.get("href")):
            self.leads.append(address)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Found]:
    return {path: Found(path.read_text(encoding="utf-8")) for path in site.glob("**/*.html")}


@pytest.mark.slow
def test_no_link_is_dead(site: Path, pages: dict[Path, Found]) -> None:
    dead = []
    for path, found in pages.items():
        for address in found.leads + found.loads:
            parts = urlsplit(address)
            if parts.scheme or address.startswith("//"):
                continue
            # The page for what is not found may be shown in any folder.
            start = site if parts.path.startswith("/") else path.parent
            target = (start / unquote(parts.path).lstrip("/")).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                dead.append(f"{path.name}: {address}")
            elif target in pages and unquote(parts.fragment) not in pages[target].places:
                dead.append(f"{path.name}: {address} has no such place")
    assert len(pages) > 25
    assert dead == []


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[Path, Found]) -> None:
    addresses = [one for found in pages.values() for one in found.loads]
    for path in site.glob("**/*.css"):
        addresses += re.findall(r"(?:url\(|@import )[\"']?([^\"')]+)", path.read_text())
    outside = [one for one in addresses if one.startswith(("//", "http:", "https:"))]
    assert len(addresses) > 100
    assert outside == []


def rows_of(page: str, command: str) -> dict[str, str]:
    """Parameter to default, of a command's table on the generated page."""
    section = page.split(f"\n### {command}\n")[1].split("\n### ")[0]
    rows = re.findall(r"^\| `([\w-]+)` \|.*\| (?:`(.*)`|(required)) \| [^|]*\|$", section, re.M)
    return {name.replace("-", "_"): default or required for name, default, required in rows}


def test_the_reference_of_parameters_is_the_commands_and_mlproject() -> None:
    page = commands_page()
    entry_points = yaml.safe_load((ROOT / "MLproject").read_text())["entry_points"]
    for name, command in cli.commands.items():
        rows = rows_of(page, name)
        assert list(rows) == [one.name for one in command.params] or name == "upscale"
        declared = entry_points.get(name)
        if declared is not None:
            assert rows == {
                parameter: as_text(about.get("default", "required"))
                for parameter, about in declared["parameters"].items()
            }


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("width", "scheme"),
    sampled([(390, "dark"), (1280, "light"), (390, "light"), (1280, "dark")], 2),
)
def test_axe_finds_no_barrier_and_nothing_is_asked_of_others(
    browser: "Browser", address: str, scheme: str, width: int
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    found = []
    for name in SEEN:
        page.goto(f"{address}/{name}.html")
        if folder := os.environ.get("SRCNN_SITE_SCREENSHOTS"):
            file = f"{name.replace('/', '-')}-{width}-{scheme}.png"
            page.screenshot(path=Path(folder) / file)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        found += [
            (name, one["id"], [node["target"] for node in one["nodes"]][:3])
            for one in axe.Axe().run(page).response["violations"]
        ]
    page.close()
    assert found == []
    assert all(one.startswith((address, "data:", "blob:")) for one in asked)
