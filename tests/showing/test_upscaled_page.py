"""The page of enlarged pictures: it finds their files, whatever these are called, and works."""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from srcnn_mlflow.showing.upscaled_page import Pair, render_upscaled

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

RED, BLUE = (200, 30, 30), (30, 30, 200)
NAMES = (
    *("a.png", '100% #1? of: <b>"c" & gr\u00fc\u00dfe.png', "clear.png"),
    "a-folder-of-last-summer/in-the-mountains/a-picture-of-the-highest-one.png",
)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page of pictures; one is clear in its middle, so that one sees through."""
    folder = tmp_path_factory.mktemp("upscaled")
    pairs = []
    for name in NAMES:
        srcnn = folder / "sub" / name
        pair = Pair(name, (160, 120), srcnn, srcnn.with_name(f"bicubic {srcnn.name}"))
        pair.srcnn.parent.mkdir(parents=True, exist_ok=True)
        for path, colour in ((pair.srcnn, BLUE), (pair.bicubic, RED)):
            pixels = np.full((120, 160, 4), (*colour, 255), np.uint8)
            if name == "clear.png":
                pixels[30:90, :, 3] = 0
            Image.fromarray(pixels).save(path)
        pairs.append(pair)
    page = folder / "comparison-x2.html"
    page.write_text(render_upscaled(2, "the weights", pairs, folder), encoding="utf-8")
    return page.as_uri()


@pytest.fixture
def page(browser: "Browser", address: str) -> Iterator["Page"]:
    complaints: list[str] = []
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    opened = context.new_page()
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.goto(address)
    yield opened
    context.close()
    assert complaints == []


def test_pictures_of_a_folder_stand_before_those_of_the_folders_in_it() -> None:
    names = ("A/B/c.png", "A/d.png", "b/a.png", "z.png", "y.png")
    pairs = [Pair(name, (8, 8), Path("out", name), Path("out", f"{name}.png")) for name in names]
    text = render_upscaled(2, "the weights", pairs, Path("out"))
    headings = re.findall(r"<h3[^>]*>(.*?)</h3>", text)
    assert headings == ["z.png", "y.png", "A/d.png", "A/B/c.png", "b/a.png"]


def colours(page: "Page", number: int, row: float) -> list[tuple[int, ...]]:
    """What a stage shows to the left and to the right of its middle, at a share of its height."""
    stage = page.locator(".stage").nth(number)
    stage.scroll_into_view_if_needed()
    page.wait_for_function(
        "number => [...document.querySelectorAll('.stage')[number].querySelectorAll('img')]"
        ".every(image => image.complete && image.naturalWidth)",
        arg=number,
    )
    shot = Image.open(io.BytesIO(stage.screenshot())).convert("RGB")
    places = [(round(share * shot.width), round(row * shot.height)) for share in (0.3, 0.7)]
    return [shot.getpixel(place) for place in places]  # type: ignore[misc]


def test_every_picture_stands_beside_bicubics(page: "Page") -> None:
    assert page.locator("h3").all_text_contents() == list(NAMES)
    for number in range(len(NAMES)):
        assert colours(page, number, 0.2) == [RED, BLUE]
    # Neither is seen through the other.
    clear = colours(page, 2, 0.4)
    assert clear[0] == clear[1] not in (RED, BLUE)
    slider = page.get_by_role("slider").first
    assert slider.evaluate("one => one.getBoundingClientRect().bottom") < 1000
    slider.focus()
    page.keyboard.press("Home")
    assert colours(page, 0, 0.2) == [BLUE, BLUE]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_barrier(page: "Page", scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    violations = axe.Axe().run(page).response["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in violations] == []
