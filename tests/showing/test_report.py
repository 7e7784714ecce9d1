"""The page of an evaluation: what it says, and how it works in a browser."""

import base64
import html
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from srcnn_mlflow.measuring.evaluation import ImageScore
from srcnn_mlflow.showing.difference import coloured
from srcnn_mlflow.showing.exhibits import Exhibit, Extremes
from srcnn_mlflow.showing.report import About, render_report
from tests.conftest import sampled

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Frame, Page

Colour = tuple[int, int, int]
RED, BLUE, GREEN, BLACK, YELLOW = (
    *((200, 30, 30), (30, 30, 200), (30, 160, 30)),
    *((0, 0, 0), (255, 255, 0)),
)
WIDTH, HEIGHT = 160, 120
ATTACK = "<script>alert(1)</script>.png"
QUOTES = "\"><img src=x onerror='alert(2)'>.png"
ABOUT: About = {
    "model": "srcnn-x2 version 7",
    "dataset": "holiday & <b>work</b>",
    "split": "test",
    "digest": "0123456789abcdef0123456789abcdef",
    "images": 7,
    "border": 2,
    "commit": "fedcba9876543210fedcba9876543210fedcba98",
    "run": "0a1b2c3d4e5f60718293a4b5c6d7e8f9",
    "date": "2026-11-26 15:50 UTC",
    "address": "/work of mine/mlruns/1/0a1b2c3d4e5f60718293a4b5c6d7e8f9/artifacts/evaluation",
}


def score(name: str, gain: float, bicubic: float = 30.0) -> ImageScore:
    return ImageScore(*(name, bicubic, bicubic + gain, 0.85, 0.8625, 100.0, 80.0))


def exhibit(name: str, gain: float = 1.0) -> Exhibit:
    """Bicubic's is red and SRCNN's is blue; luma changed in the left half alone."""
    size = (WIDTH, HEIGHT)
    bicubic_luma = np.zeros((HEIGHT, WIDTH), np.uint8)
    srcnn_luma = bicubic_luma.copy()
    srcnn_luma[:, : WIDTH // 2] = 100
    return Exhibit(
        score=score(name, gain),
        original=Image.new("RGB", size, GREEN),
        small=Image.new("RGB", (WIDTH // 2, HEIGHT // 2)),
        bicubic=Image.new("RGB", size, RED),
        srcnn=Image.new("RGB", size, BLUE),
        bicubic_luma=bicubic_luma,
        srcnn_luma=srcnn_luma,
    )


def large_exhibit(pixels: np.ndarray, name: str = "large.png") -> Exhibit:
    picture = Image.fromarray(pixels)
    plane, changed = pixels[..., 0], pixels[..., 1]
    return Exhibit(score(name, 1.0), picture, picture, picture, picture, plane, changed)


def seven() -> tuple[list[ImageScore], Extremes]:
    """Seven pictures, of which three are among the best and the worst, and one is a loss."""
    names = [ATTACK, QUOTES, "c.png", "d.png", "e.png", "f.png", "g.png"]
    exhibits = [exhibit(name, 0.5 - 0.1 * number) for number, name in enumerate(names)]
    extremes = Extremes(best=tuple(exhibits[:5]), worst=tuple(exhibits[:1:-1]))
    return [one.score for one in exhibits], extremes


def pictures(page: str, kind: str) -> list[np.ndarray]:
    """The pictures of a kind that a page holds."""
    found = re.findall(rf'<img data-kind="{kind}"[^>]*base64,([^"]*)"', page)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(code)))) for code in found]


def test_the_page_holds_the_table_and_what_it_was_measured_on() -> None:
    page = render_report(2, *seven(), ABOUT)
    text = " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())
    assert "Scale Metric Bicubic SRCNN Improvement" in text
    assert "x2 PSNR (dB) 30.00 30.20 +0.20 x2 SSIM 0.8500 0.8625 +0.0125" in text
    for value in ABOUT.values():
        assert str(value) in text
    assert "1 of 7 below bicubic: g.png ( −0.100 dB )" in text
    assert "d.png +0.20 30.00 30.20 0.8500 0.8625" in text
    # What one looks at stands first, and how it was measured last.
    assert page.index("<figure") < page.index('id="gains"') < page.index('id="about"')
    assert page.index(str(ABOUT["digest"])) > page.rindex("<figure")
    assert "The 5 pictures with the lowest PSNR at x2" in text


def test_colours_stand_in_the_page_where_they_were_measured() -> None:
    scores, extremes = seven()
    assert "RGB" not in render_report(2, scores, extremes, ABOUT)
    in_colour = [replace(one, bicubic_rgb_psnr=28.0, srcnn_rgb_psnr=27.91) for one in scores]
    page = render_report(2, in_colour, extremes, ABOUT)
    assert "RGB PSNR (dB)" in page
    assert page.count("27.91</td>") == len(scores) + 1
    assert "averaged over red, green and blue" in page


def test_a_gain_below_zero_is_a_loss_in_the_chart() -> None:
    page = render_report(2, *seven(), ABOUT)
    bars = re.findall(r'class="bar( loss)?"[^>]*>.*?left: ([\d.]+)%; width: ([\d.]+)%', page, re.S)
    zero = float(re.findall(r'grid zero" style="left: ([\d.]+)%', page)[0])
    assert [loss for loss, _, _ in bars] == [""] * 6 + [" loss"]
    widths = [float(width) for _, _, width in bars]
    np.testing.assert_allclose(
        np.array(widths) / widths[0], [1, 0.8, 0.6, 0.4, 0.2, 0, 0.2], atol=1e-3
    )
    assert [float(left) for _, left, _ in bars[:6]] == [zero] * 6
    assert float(bars[6][1]) + widths[6] == pytest.approx(zero, abs=0.01)


@pytest.mark.parametrize("gains", [[0.0], [float("inf")], [-3.0, -1.0], [1.0, float("inf")]])
def test_odd_gains_are_drawn_inside_the_chart(gains: list[float]) -> None:
    scores = [score(f"{number}.png", gain) for number, gain in enumerate(gains)]
    page = render_report(2, scores, Extremes((exhibit("a.png"),), ()), ABOUT)
    for left, width in re.findall(r"<i style=\"left: (.*?)%; width: (.*?)%\"></i>", page):
        assert 0 <= float(left) <= float(left) + float(width) <= 100.001


def test_names_are_text_and_never_markup() -> None:
    page = render_report(2, *seven(), ABOUT)
    assert page.count("<script>") == page.count("</script>") == 1
    assert "<b>" not in page
    assert "<img src=x" not in page
    assert html.escape(ATTACK) in page


def test_the_page_refers_to_nothing_outside() -> None:
    page = render_report(2, *seven(), ABOUT)
    for address in re.findall(r'(?:src|href)="([^"]*)"', page):
        assert address.startswith(("data:image/webp;base64,", "#exhibit-"))
    assert not re.search(r"https?:|url\(|@import", re.sub(r"base64,[^\"]*", "", page))
    assert "default-src 'none'; img-src data:;" in page


def test_a_picture_among_best_and_worst_is_held_once() -> None:
    page = render_report(2, *seven(), ABOUT)
    assert len(pictures(page, "srcnn")) == len(pictures(page, "original")) == 7
    assert page.count("Among the best and among the worst") == 3
    # Those three, and the typical one, which stands at the top.
    assert page.count("shown above") == 4
    for target in re.findall(r'href="#(exhibit-\d)"', page):
        assert f'id="{target}"' in page


def test_pictures_are_lossless_and_of_a_large_one_the_changed_part_is_shown() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (600, 900, 3), np.uint8)
    pixels[..., 1] = pixels[..., 0]
    pixels[470:590, 500:620, 1] ^= 255
    one = large_exhibit(pixels)
    page = render_report(2, [one.score], Extremes((one,), (one,)), ABOUT)
    (shown,) = pictures(page, "original")
    # Around (530, 560), but not beyond the lower edge.
    np.testing.assert_array_equal(shown, pixels[330:600, 380:740])
    place = re.findall(r'<i style="left: ([\d.]+)%; top: ([\d.]+)%', page)[-1]
    assert [float(value) for value in place] == pytest.approx([100 * 380 / 900, 55])
    assert "360&times;270 of 900&times;600 pixels" in page


def test_a_colour_profile_stays_out() -> None:
    one = exhibit("a.png")
    one.original.info["icc_profile"] = b"profile" * 100_000
    page = render_report(2, [one.score], Extremes((one,), ()), ABOUT)
    assert len(page) < 100_000


@pytest.mark.exhaustive
def test_a_hundred_large_pictures_of_noise_stay_below_15_mb() -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (1356, 2040, 3), np.uint8)
    exhibits = [large_exhibit(pixels, f"{number}.png") for number in range(10)]
    scores = [score(f"{number}" * 40, 0.01 * number) for number in range(100)]
    page = render_report(2, scores, Extremes(tuple(exhibits[:5]), tuple(exhibits[5:])), ABOUT)
    assert 10_000_000 < len(page.encode()) < 15_000_000


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render_report(2, *seven(), ABOUT), encoding="utf-8")
    return path


OpenPage = Callable[..., "Page"]


@pytest.fixture
def open_page(browser: "Browser", report: Path) -> Iterator[OpenPage]:
    """Open the report in a context of its own; complaints and requests fail the test."""
    complaints: list[str] = []
    requests: list[str] = []
    contexts = []

    def opened(width: int = 1280, **options: Any) -> "Page":
        context = browser.new_context(viewport={"width": width, "height": 800}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(report.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
    assert {url for url in requests if not url.startswith("data:")} <= {report.as_uri()}


def colours(page: "Page | Frame", places: Sequence[float]) -> list[Colour]:
    """What the first stage shows, at fractions of its width, a third from its top."""
    stage = page.locator(".stage").first
    screenshot = Image.open(io.BytesIO(stage.screenshot())).convert("RGB")
    row = screenshot.height // 3
    points = [(round(place * screenshot.width), row) for place in places]
    return [screenshot.getpixel(point) for point in points]  # type: ignore[misc]


def box(page: "Page", selector: str) -> tuple[float, float, float, float]:
    """Left, top, width and height of the first match on the screen."""
    page.locator(selector).first.scroll_into_view_if_needed()
    found = page.locator(selector).first.bounding_box()
    assert found is not None
    return found["x"], found["y"], found["width"], found["height"]


def swipe(page: "Page", start: float, end: float) -> None:
    """Draw a finger over the first stage, between fractions of its width."""
    left, top, width, height = box(page, ".stage")
    finger = page.context.new_cdp_session(page)

    def touch(kind: str, *places: float) -> None:
        points = [{"x": left + place * width, "y": top + height / 2} for place in places]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", start)
    for part in (0.25, 0.5, 0.75, 1):
        touch("touchMove", start + part * (end - start))
    touch("touchEnd")


def scrolled(page: "Page") -> list[float]:
    """How far the first picture is panned, from the left and from the top."""
    return page.locator(".window").first.evaluate(  # type: ignore[no-any-return]
        "pane => [pane.scrollLeft, pane.scrollTop]"
    )


def test_the_divider_follows_the_mouse(open_page: OpenPage) -> None:
    page = open_page()
    assert colours(page, (0.2, 0.45, 0.55, 0.8)) == [RED, RED, BLUE, BLUE]
    left, top, width, height = box(page, ".stage")
    page.mouse.move(left + width / 2, top + height / 2)
    page.mouse.down()
    page.mouse.move(left + 0.3 * width, top + height / 2, steps=3)
    page.mouse.up()
    assert colours(page, (0.2, 0.45, 0.55, 0.8)) == [RED, BLUE, BLUE, BLUE]
    page.mouse.move(left + 0.9 * width, top + height / 2)
    assert colours(page, (0.2, 0.45)) == [RED, BLUE]
    page.mouse.click(left + 0.7 * width, top + 0.8 * height)
    assert colours(page, (0.2, 0.45, 0.55, 0.8)) == [RED, RED, RED, BLUE]


def test_the_divider_follows_a_finger(open_page: OpenPage) -> None:
    page = open_page(360, has_touch=True, is_mobile=True)
    left, top, width, height = box(page, ".stage")
    page.touchscreen.tap(left + 0.3 * width, top + 0.3 * height)
    assert colours(page, (0.2, 0.45, 0.8)) == [RED, BLUE, BLUE]
    swipe(page, 0.3, 0.7)
    assert colours(page, (0.2, 0.45, 0.8)) == [RED, RED, BLUE]
    # Away from the divider too.
    swipe(page, 0.1, 0.4)
    assert colours(page, (0.3, 0.5)) == [RED, BLUE]


def test_a_finger_pans_a_zoomed_picture_and_still_moves_the_divider(open_page: OpenPage) -> None:
    page = open_page(360, has_touch=True, is_mobile=True)
    page.get_by_role("radio", name="8×").first.check()
    before = scrolled(page)[0]
    swipe(page, 0.9, 0.6)
    page.wait_for_function("x => document.querySelector('.window').scrollLeft > x", arg=before)
    assert colours(page, (0.45, 0.55)) == [RED, BLUE]
    swipe(page, 0.5, 0.8)
    assert colours(page, (0.45, 0.7, 0.9)) == [RED, RED, BLUE]


def test_the_divider_follows_the_keyboard(open_page: OpenPage) -> None:
    page = open_page()
    page.get_by_role("radio", name="8×").first.focus()
    for _ in range(3):
        page.keyboard.press("Tab")
    slider = page.get_by_role("slider").first
    assert slider.evaluate("element => element === document.activeElement")
    assert slider.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
    page.keyboard.press("Home")
    assert colours(page, (0.1, 0.5, 0.9)) == [BLUE, BLUE, BLUE]
    page.keyboard.press("End")
    assert colours(page, (0.1, 0.5, 0.9)) == [RED, RED, RED]
    for _ in range(4):
        page.keyboard.press("PageDown")
    assert colours(page, (0.5, 0.7)) == [RED, BLUE]
    assert slider.get_attribute("aria-valuetext") == "60 % bicubic"


def magnified(page: "Page") -> list[Colour]:
    """The colour in the middle of each half of the first loupe."""
    panes = page.locator(".loupe").first.locator("canvas")
    shots = [Image.open(io.BytesIO(panes.nth(half).screenshot())) for half in (0, 1)]
    return [one.convert("RGB").getpixel((one.width // 2, 20)) for one in shots]  # type: ignore[misc]


def test_the_loupe_shows_both_pictures_where_the_mouse_or_the_keyboard_is(
    open_page: OpenPage,
) -> None:
    page = open_page()
    loupe, spot = page.locator(".loupe").first, page.locator(".spot").first
    assert not loupe.is_visible()
    page.get_by_role("checkbox", name="Loupe").first.focus()
    page.keyboard.press("Space")
    assert magnified(page) == [RED, BLUE]
    page.keyboard.press("Tab")
    before = spot.bounding_box()
    assert before is not None
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    after = spot.bounding_box()
    assert after is not None
    # Of the picture's 160 pixels, on a stage of whole multiples of them.
    larger = round(box(page, ".canvas")[2] / WIDTH)
    assert after["x"] - before["x"] == pytest.approx(24 * larger, abs=0.1)
    assert before["y"] - after["y"] == pytest.approx(larger, abs=0.1)
    left, top, width, height = box(page, ".stage")
    page.mouse.move(left + 0.8 * width, top + 0.9 * height)
    found = spot.bounding_box()
    assert found is not None
    assert found["x"] + found["width"] / 2 == pytest.approx(left + 0.8 * width, abs=1)
    page.get_by_role("radio", name="Difference ×15").first.check(force=True)
    assert page.locator(".loupe canvas:visible").count() == 1


def test_a_finger_moves_the_loupe_and_not_the_divider(open_page: OpenPage) -> None:
    page = open_page(390, has_touch=True, is_mobile=True)
    page.get_by_role("checkbox", name="Loupe").first.check(force=True)
    before = page.locator(".spot").first.bounding_box()
    swipe(page, 0.2, 0.3)
    after = page.locator(".spot").first.bounding_box()
    assert before is not None
    assert after is not None
    assert after["x"] < before["x"] - 10
    assert page.get_by_role("slider").first.input_value() == "50"
    # What is under the finger, the loupe leaves free.
    loupe = page.locator(".loupe").first.bounding_box()
    assert loupe is not None
    assert loupe["y"] > after["y"] + after["height"] or loupe["y"] + loupe["height"] < after["y"]


def test_buttons_show_original_errors_and_difference(open_page: OpenPage) -> None:
    page = open_page()
    slider = page.locator("input[type=range]").first
    page.get_by_role("radio", name="SRCNN | Original").first.check()
    assert colours(page, (0.2, 0.8)) == [BLUE, GREEN]
    assert slider.get_attribute("aria-valuetext") == "50 % SRCNN"
    # Arrow keys walk through a group of radio buttons.
    page.keyboard.press("ArrowRight")
    assert colours(page, (0.2, 0.8)) == [YELLOW, YELLOW]
    slider.focus()
    page.keyboard.press("Home")
    # Of SRCNN's luma of 100 in the left half, against the original's of 107.
    slight = tuple(coloured(np.array(7 * 5 / 255)).tolist())
    assert colours(page, (0.2, 0.8)) == [slight, YELLOW]
    assert page.locator(".scale-bar").first.is_visible()
    assert "between the error of bicubic and the error of SRCNN" in str(
        slider.get_attribute("aria-label")
    )
    page.get_by_role("radio", name="Difference ×15").first.check()
    assert colours(page, (0.2, 0.8)) == [YELLOW, BLACK]
    assert slider.is_hidden()
    assert page.locator(".badge").nth(1).is_hidden()
    page.get_by_role("radio", name="Bicubic | SRCNN").first.check()
    page.keyboard.press("Tab")
    assert colours(page, (0.2, 0.8)) == [BLUE, BLUE]
    assert page.locator(".scale-bar").first.is_hidden()


@pytest.mark.parametrize(("width", "height"), [(1280, 1000), (390, 844)])
def test_a_slider_is_in_sight_at_once(open_page: OpenPage, width: int, height: int) -> None:
    page = open_page(width)
    page.set_viewport_size({"width": width, "height": height})
    slider = page.locator("input[type=range]").first.bounding_box()
    assert slider is not None
    assert slider["y"] + slider["height"] <= height


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_paper_all_pictures_stand_beside_each_other(open_page: OpenPage, scheme: str) -> None:
    page = open_page(color_scheme=scheme)
    page.emulate_media(media="print")
    background = "element => getComputedStyle(element).backgroundColor"
    assert page.locator("body").evaluate(background) == "rgb(255, 255, 255)"
    for hidden in (".badge", ".divider", ".toolbar", "input[type=range]"):
        assert page.locator(hidden).first.is_hidden(), hidden
    shown = [one.bounding_box() for one in page.locator(".exhibit").first.locator("img").all()]
    corners = {(one["x"], one["y"]) for one in shown if one}
    assert len(corners) == 6
    assert all(one and one["width"] > 200 and one["height"] > 150 for one in shown)
    printed = "element => getComputedStyle(element).printColorAdjust"
    assert page.locator(".bar i").first.evaluate(printed) == "exact"
    whole = "element => getComputedStyle(element).breakInside"
    assert page.locator(".exhibit").first.evaluate(whole) == "avoid"
    assert page.pdf().count(b"/Type /Page\n") < 12


def test_zoom_shows_pixels_at_the_same_place_in_every_view(open_page: OpenPage) -> None:
    page = open_page()
    canvas, pane = page.locator(".canvas").first, page.locator(".window").first
    for zoom in (1, 2, 4, 8):
        page.get_by_role("radio", name=f"{zoom}×", exact=True).first.check()
        size = canvas.evaluate("canvas => [canvas.clientWidth, canvas.clientHeight]")
        assert size == [zoom * WIDTH, zoom * HEIGHT]
    rendering = "image => getComputedStyle(image).imageRendering"
    assert page.locator("[data-kind=original]").first.evaluate(rendering) == "pixelated"
    middle = scrolled(page)
    shown = pane.evaluate("pane => [pane.clientWidth, pane.clientHeight]")
    expected = [(8 * WIDTH - shown[0]) / 2, (8 * HEIGHT - shown[1]) / 2]
    assert middle == pytest.approx(expected, abs=2)
    assert colours(page, (0.2, 0.45, 0.55, 0.8)) == [RED, RED, BLUE, BLUE]
    page.get_by_role("radio", name="Difference ×15").first.check()
    assert scrolled(page) == middle
    assert colours(page, (0.2, 0.8)) == [YELLOW, BLACK]


def test_a_zoomed_picture_is_panned_by_mouse_and_keyboard(open_page: OpenPage) -> None:
    page = open_page()
    page.get_by_role("radio", name="8×").first.check()
    left, top, width, height = box(page, ".stage")
    before = scrolled(page)
    page.mouse.move(left + 0.2 * width, top + 0.5 * height)
    page.mouse.down()
    page.mouse.move(left + 0.2 * width + 60, top + 0.5 * height + 40, steps=4)
    page.mouse.up()
    assert scrolled(page) == pytest.approx([before[0] - 60, before[1] - 40], abs=1)
    # The divider stays where it is on the screen.
    assert colours(page, (0.45, 0.55)) == [RED, BLUE]
    moved = scrolled(page)[0]
    page.locator(".window").first.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("x => document.querySelector('.window').scrollLeft > x", arg=moved)
    assert colours(page, (0.45, 0.55)) == [RED, BLUE]


def test_nothing_is_wider_than_a_phone(open_page: OpenPage) -> None:
    page = open_page(360)
    page.locator("summary").click()
    page.get_by_role("radio", name="8×").first.check()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    right = "element => element.getBoundingClientRect().right"
    for selector in (".results", ".chart", ".toolbar", ".stage", ".facts table"):
        assert page.locator(selector).first.evaluate(right) <= 344.5, selector


def test_it_works_in_the_frame_of_the_mlflow_ui(open_page: OpenPage, report: Path) -> None:
    page = open_page()
    # The flags of MLflow's view of HTML artifacts.
    code = html.escape(report.read_text(encoding="utf-8"))
    frame_code = f'<iframe sandbox="allow-scripts" srcdoc="{code}" width="900" height="700">'
    page.set_content(frame_code)
    frame = page.frames[1]
    frame.get_by_role("slider").first.focus()
    page.keyboard.press("Home")
    assert colours(frame, (0.2, 0.8)) == [BLUE, BLUE]
    frame.get_by_role("radio", name="SRCNN | Original").first.check()
    assert colours(frame, (0.2, 0.8)) == [GREEN, GREEN]
    link = frame.locator("a[href^='#']").last
    target = frame.locator(str(link.get_attribute("href")))
    link.click()
    assert abs(target.evaluate("one => one.getBoundingClientRect().top")) < 5


@pytest.mark.parametrize(
    ("scheme", "width"),
    sampled([("light", 1280), ("dark", 360), ("light", 360), ("dark", 1280)], 2),
)
def test_axe_finds_no_barrier(open_page: OpenPage, scheme: str, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = open_page(width, color_scheme=scheme)
    page.locator("summary").click()
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(21, 24, 27)")
    violations = axe.Axe().run(page).response["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in violations] == []
