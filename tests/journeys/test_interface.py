"""The MLflow UI as a newcomer finds it, in a real browser; the README's screenshots come from here.

With SRCNN_SCREENSHOTS set to a folder, the pictures are written there; with SRCNN_WORKSPACE set to
a folder in which experiments at x4 have been run, that is what they show.
"""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from tests.conftest import http_server, put_store, run_here, runs_of, write_crops

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SLOW = 60_000  # milliseconds, on a busy machine
# The assistant, which opens by itself, covers a quarter of the page.
NO_ASSISTANT = (
    "localStorage.setItem('mlflow.assistant.panelOpen_v1', 'false');"
    "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true');"
)


@dataclass(frozen=True)
class Interface:
    """A running `mlflow ui`, and what it shows."""

    address: str
    client: MlflowClient

    @property
    def experiment(self) -> str:
        """The id of the experiment that the runs are in."""
        (experiment,) = self.client.search_experiments(filter_string="name = 'srcnn'")
        return str(experiment.experiment_id)

    def runs(self, entry_point: str) -> list[Run]:
        """Those at x4, newest first."""
        wanted = f"tags.entry_point = '{entry_point}' and tags.scale = '4'"
        return runs_of(self.client, wanted)


def run_experiments(folder: Path) -> None:
    """Two trainings at x4, of which the first is champion, and their comparison."""
    write_crops(folder / "photos", 160, train=6, valid=2, test=2)
    quick = ("--scale", "4", "--dataset", "photos", "--architecture", "9-1-5")
    for arguments in (
        ("main", *quick, "--epochs", "12"),
        ("train", *quick, "--lr", "0.002", "--epochs", "3"),
        ("evaluate", *quick[:4]),
    ):
        finished = run_here(*arguments, cwd=folder)
        assert finished.returncode == 0, finished.stdout + finished.stderr


@pytest.fixture(scope="module")
def interface(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Interface]:
    given = os.environ.get("SRCNN_WORKSPACE")
    folder = Path(given) if given else tmp_path_factory.mktemp("experiments")
    if not given:
        put_store(empty_store, folder)
        run_experiments(folder)
    command = ("ui", "--port", "PORT", "--workers", "1")
    with http_server(*command, cwd=folder, environment=dict(os.environ)) as address:
        yield Interface(address, MlflowClient(f"sqlite:///{folder}/mlflow.db"))


Show = Callable[..., "Page"]


@pytest.fixture
def show(browser: "Browser", interface: Interface) -> Iterator[Show]:
    """Open a page of the UI, and wait for a text on it."""
    opened: list[Page] = []

    def open_page(path: str, text: str, width: int = 1440, height: int = 900) -> "Page":
        page = browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(SLOW)
        page.add_init_script(NO_ASSISTANT)
        page.goto(f"{interface.address}/{path}")
        page.get_by_text(text).first.wait_for()
        opened.append(page)
        return page

    yield open_page
    for page in opened:
        page.close()


def keep(page: "Page", name: str) -> None:
    """Write a screenshot where the person who runs the tests wants it."""
    if folder := os.environ.get("SRCNN_SCREENSHOTS"):
        page.wait_for_timeout(1500)
        # Where this machine keeps its artifacts is nobody's business.
        place = page.get_by_text("Path: ")
        page.screenshot(path=Path(folder) / f"{name}.png", mask=[place], mask_color="white")


def test_the_best_run_at_x4_stands_first(show: Show, interface: Interface) -> None:
    wanted = quote("tags.scale = '4' and tags.entry_point = 'evaluate'")
    order = quote("metrics.`srcnn_psnr`")
    page = show(
        f"#/experiments/{interface.experiment}/runs?searchFilter={wanted}&orderByKey={order}&orderByAsc=false",
        "matching runs",
        width=1800,
        height=600,
    )
    first = page.locator("[role=row][row-index='0'] a[href*='/runs/']").first
    # A menu opened before the runs are there keeps its metrics folded away.
    first.wait_for()
    page.get_by_role("button", name="Columns", exact=True).click()
    for metric in ("psnr_gain", "srcnn_psnr", "srcnn_ssim"):
        page.get_by_text(metric, exact=True).last.click()
    page.keyboard.press("Escape")
    best = max(interface.runs("evaluate"), key=lambda run: run.data.metrics["srcnn_psnr"])
    assert best.info.run_id in (first.get_attribute("href") or "")
    shown = f"{best.data.metrics['srcnn_psnr']:.2f}"[:4]
    page.locator("[role=row][row-index='0']").get_by_text(shown).first.wait_for()
    keep(page, "runs")


def test_the_report_shows_the_worst_picture_under_a_slider(
    show: Show, interface: Interface
) -> None:
    (run, *_) = interface.runs("evaluate")
    of_run = f"#/experiments/{interface.experiment}/runs/{run.info.run_id}"
    page = show(f"{of_run}/artifacts/evaluation/report.html", "report.html")
    frame = page.frame_locator("iframe")
    frame.get_by_role("heading", name="SRCNN against bicubic at x4").wait_for()
    slider = frame.get_by_role("slider").last
    slider.scroll_into_view_if_needed()
    picture = frame.locator("[data-kind=srcnn]").last
    before = picture.evaluate("element => getComputedStyle(element).clipPath")
    slider.focus()
    for _ in range(20):
        page.keyboard.press("ArrowLeft")
    after = picture.evaluate("element => getComputedStyle(element).clipPath")
    assert before != after
    assert slider.input_value() == "30"
    keep(page, "report")


def test_two_runs_show_which_settings_differ(show: Show, interface: Interface) -> None:
    runs = interface.runs("train")[:2]
    ids, experiments = (
        quote(json.dumps(one))
        for one in ([run.info.run_id for run in runs], [interface.experiment])
    )
    page = show(f"#/compare-runs?runs={ids}&experiments={experiments}", "Comparing 2 Runs")
    page.get_by_label("Parameters - Show diff only").click()
    first, second = (run.data.params for run in runs)
    shown = (
        page.locator("body").inner_text().rpartition("Parameters\n")[2].partition("\nMetrics")[0]
    )
    names = {line.split("\t")[0] for line in shown.splitlines() if "\t" in line}
    assert names == {name for name in first if first[name] != second[name]}
    page.get_by_label("Parameters - Show diff only").scroll_into_view_if_needed()
    keep(page, "compare")


def test_the_registry_says_who_is_champion_and_why(show: Show, interface: Interface) -> None:
    champion = interface.client.get_model_version_by_alias("srcnn-x4", "champion")
    page = show("#/models/srcnn-x4", "champion")
    keep(page, "registry")
    page = show(f"#/models/srcnn-x4/versions/{champion.version}", "promoted: better than")
    page.get_by_text("champion").first.wait_for()


def test_a_training_shows_its_crop_by_the_epoch(show: Show, interface: Interface) -> None:
    run = max(interface.runs("train"), key=lambda run: int(run.data.params["epochs"]))
    page = show(
        f"#/experiments/{interface.experiment}/runs/{run.info.run_id}",
        f"SRCNN {run.data.params['architecture']}",
    )
    page = show(
        f"#/experiments/{interface.experiment}/runs/{run.info.run_id}/model-metrics",
        "val_psnr",
        height=1600,
    )
    page.get_by_text("validation crop").first.scroll_into_view_if_needed()
    slider = page.get_by_role("slider").first
    slider.focus()
    with page.expect_response(lambda answer: "validation%20crop" in answer.url and answer.ok):
        for _ in range(int(slider.get_attribute("aria-valuemax") or 0)):
            page.keyboard.press("ArrowRight")
