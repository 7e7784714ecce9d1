"""Versions and bicubic beside each other: by requests, and on the page, in a browser."""

import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from srcnn_mlflow.network.upscaler import Upscaler
from srcnn_mlflow.pictures.imaging import enlarge
from srcnn_mlflow.pictures.picture import Picture
from srcnn_mlflow.showing.service_page import render_service
from tests.conftest import sampled, textured_pixels
from tests.screenshots import keep
from tests.serving.asking import (
    PICTURE,
    get,
    number,
    pixels_of,
    png,
    post,
    registry_of_versions,
    serving,
)
from tests.versions import EQUAL, GOOD, MIDDLE, WEAK, network

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

MEMORY = 'srcnn_worker_resident_bytes{scale="2",takes="other versions"}'


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[str]:
    with (
        registry_of_versions(tmp_path_factory.mktemp("compared"), empty_store) as folder,
        serving(folder, "--scale", "2", SRCNN_MAX_OUTPUT_MEGAPIXELS="0.5") as address,
    ):
        yield address


@pytest.mark.exhaustive
def test_any_version_may_be_asked_and_few_are_kept(service: str, tmp_path: Path) -> None:
    names = [one["name"] for one in json.loads(get(f"{service}/versions"))["2"]]
    served, *others = (f"Version {number}" for number in (GOOD, 5, EQUAL, MIDDLE, WEAK))
    assert names == ["Bicubic", f"{served} (champion)", *others]
    picture = Image.fromarray(PICTURE)
    for version, strength in ((WEAK, 0.3), (MIDDLE, 0.6), (GOOD, 1.0), (EQUAL, 0.6)):
        status, headers, body = post(f"{service}/upscale?version={version}", png(PICTURE))
        assert (status, headers["X-Model-Version"]) == (200, f"srcnn-x2/{version}")
        assert float(headers["Server-Timing"].removeprefix("work;dur=")) > 0
        expected = Upscaler(network(2, strength, tmp_path)).upscale_image(picture)
        np.testing.assert_array_equal(pixels_of(body), np.asarray(expected))
    # Two processes beside those of the served version.
    served_memory = number(service, "srcnn_worker_resident_bytes{") - number(service, MEMORY)
    assert 0.5 * served_memory < number(service, MEMORY) < 1.5 * served_memory


def test_bicubic_is_that_of_the_package(service: str) -> None:
    for pixels in (PICTURE, PICTURE[..., 0], np.dstack([PICTURE, PICTURE[..., :1]])):
        status, headers, body = post(f"{service}/upscale?version=bicubic", png(pixels))
        assert (status, headers["X-Model-Version"]) == (200, "bicubic")
        expected = enlarge(Picture.of(Image.fromarray(pixels)), 2).image()
        assert Image.open(io.BytesIO(body)).mode == expected.mode
        far = pixels_of(body).astype(int) - np.asarray(expected)
        # Of a transparent picture, the package keeps hidden colours out.
        assert np.abs(far).max() <= 1 or pixels.shape[-1] == 4
    flipped = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PICTURE).save(flipped, "PNG", exif=exif)
    answers = [
        post(f"{service}/upscale?version={version}", flipped.getvalue())[2]
        for version in ("bicubic", "served")
    ]
    assert [pixels_of(body).shape for body in answers] == [(100, 80, 3)] * 2


@pytest.mark.parametrize(
    ("version", "body", "reason"),
    [
        ("99", png(PICTURE), "the version cannot be used; GET /versions names those there are"),
        ("../4", png(PICTURE), "version '../4' is unknown; give bicubic, served or a number"),
        ("bicubic", b"no picture", "bicubic interpolation takes PNG, JPEG, WebP, TIFF, BMP and"),
        ("bicubic", png(textured_pixels(400, 400, 1)), "a picture may have 0.125 megapixels;"),
    ],
)
def test_what_cannot_be_compared_is_said(
    service: str, version: str, body: bytes, reason: str
) -> None:
    status, _, answer = post(f"{service}/upscale?version={version}", body)
    assert (status, json.loads(answer)["message"][: len(reason)]) == (400, reason)


def test_the_policy_lets_nothing_run_but_what_the_page_brings() -> None:
    page = render_service({2: 4.0, 4: 1.0}, ["a"])
    policy = dict(part.split(" ", 1) for part in page.policy.split("; "))
    assert "unsafe" not in page.policy
    assert policy["default-src"] == policy["form-action"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert len(policy["script-src"].split()) == page.html.count("<script>") == 2
    assert not re.search(r"https?:|url\(|@import|style=|onclick", page.html)
    assert page.html.count('name="scale"') == 2


OpenPage = Callable[..., "Page"]


@pytest.fixture
def open_page(browser: "Browser", service: str) -> Iterator[OpenPage]:
    """Open the page in a context of its own; complaints and requests elsewhere fail the test."""
    complaints: list[str] = []
    requests: list[str] = []
    contexts = []

    def opened(width: int = 1280, **options: Any) -> "Page":
        context = browser.new_context(viewport={"width": width, "height": 844}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.on(
            "console",
            # What is refused, Chromium tells by itself.
            lambda message: (
                complaints.append(message.text) if "status of 400" not in message.text else None
            ),
        )
        page.goto(service)
        page.wait_for_selector("#right option", state="attached")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
    own = (service, f"blob:{service}", "data:,")
    assert [address for address in requests if not address.startswith(own)] == []


def wait_for_result(page: "Page", *captions: str) -> None:
    """Wait until two ways are shown."""
    page.wait_for_function(
        """captions => !document.querySelector("#result").ariaBusy && captions ===
          [...document.querySelectorAll(".badge")].map(one => one.textContent).join()""",
        arg=",".join(captions),
    )


def saved(page: "Page", side: str) -> np.ndarray:
    """The pixels of the file that a side offers."""
    with page.expect_download() as download:
        page.locator(f"#facts-{side} a").click()
    assert download.value.suggested_filename.endswith(".png")
    return np.asarray(Image.open(download.value.path()))


def choose(page: "Page", name: str, content: bytes) -> None:
    """Give the page a file."""
    kind = "application/octet-stream"
    page.set_input_files("#file", {"name": name, "mimeType": kind, "buffer": content})


def test_a_sample_is_compared_by_the_keyboard_alone(open_page: OpenPage, service: str) -> None:
    page = open_page()
    for _ in range(3):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.sample") == "chelsea"
    page.keyboard.press("Enter")
    wait_for_result(page, "Bicubic", f"Version {GOOD}")
    sample = page.request.get(f"{service}/samples/chelsea.png").body()
    for side, version in (("left", "bicubic"), ("right", "served")):
        _, _, expected = post(f"{service}/upscale?version={version}", sample)
        np.testing.assert_array_equal(saved(page, side), pixels_of(expected))
    facts = page.locator("#facts-right").text_content()
    assert re.fullmatch(rf"Version {GOOD}[\d.]+ s\d+ kB", facts or "")
    keep(page, "service")
    # The stage and its slider are in sight.
    slider = page.get_by_role("slider")
    assert slider.evaluate("one => one.getBoundingClientRect().bottom") <= 844
    page.get_by_label("Right").focus()
    page.keyboard.press("End")
    wait_for_result(page, "Bicubic", f"Version {WEAK}")
    assert (
        slider.get_attribute("aria-label")
        == f"Divider between Bicubic and Version {WEAK} on the picture"
    )


def test_a_photograph_is_dropped_and_one_too_large_is_cut(open_page: OpenPage) -> None:
    page = open_page()
    page.evaluate(
        """async () => {
          const answer = await fetch("samples/coffee.png");
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([await answer.blob()], "my coffee.png"));
          document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
        }"""
    )
    wait_for_result(page, "Bicubic", f"Version {GOOD}")
    assert page.locator("h3").text_content() == "my coffee.png"
    photo = {
        "name": "large.png",
        "mimeType": "image/png",
        "buffer": png(textured_pixels(400, 600, 2)),
    }
    page.set_input_files("#file", photo)  # type: ignore[arg-type]
    page.wait_for_function("() => document.querySelector('h3').textContent === 'large.png'")
    assert page.locator("#cut").text_content() == (
        "The middle of 600×400 pixels: the server takes 0.13 megapixels at ×2."
    )
    made = saved(page, "left")
    assert 0.45e6 < made.shape[0] * made.shape[1] <= 0.5e6


def test_what_is_no_photograph_is_refused_and_the_page_goes_on(open_page: OpenPage) -> None:
    page = open_page()
    choose(page, "a.txt", b"nothing")
    page.wait_for_selector("#trouble:not(:empty)")
    told = page.get_by_role("alert").text_content() or ""
    assert told.startswith("a.txt: bicubic interpolation takes PNG")
    page.get_by_role("button", name="rocket").click()
    wait_for_result(page, "Bicubic", f"Version {GOOD}")
    assert page.locator("#trouble").text_content() == ""


@pytest.mark.parametrize(
    ("width", "scheme"),
    sampled([(1280, "light"), (390, "dark"), (1280, "dark"), (390, "light")], 2),
)
def test_axe_finds_no_barrier(open_page: OpenPage, width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = open_page(width, color_scheme=scheme, has_touch=width == 390, is_mobile=width == 390)

    def barriers() -> list[tuple[str, list[str]]]:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        violations = axe.Axe().run(page).response["violations"]
        return [(one["id"], [node["html"] for node in one["nodes"]]) for one in violations]

    assert barriers() == []
    page.get_by_role("button", name="china").click()
    wait_for_result(page, "Bicubic", f"Version {GOOD}")
    page.locator("[name=loupe-1]").check(force=True)
    assert barriers() == []
