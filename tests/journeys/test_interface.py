"""The MLflow UI as a newcomer finds it, in a real browser; the site's screenshots are from here.

With SRCNN_SCREENSHOTS set to a folder, the pictures are written there; with SRCNN_WORKSPACE set to
a folder in which experiments at x4 have been run, that is what they show.
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from tests.conftest import http_server, put_store, run_here, runs_of, write_crops
from tests.screenshots import keep

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TRAINING = "?workflowType=machine_learning"
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
    folder: Path

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
    write_crops(folder / "others", 100, test=1)
    quick = ("--scale", "4", "--dataset", "photos", "--architecture", "9-1-5")
    for arguments in (
        ("main", *quick, "--epochs", "6"),
        ("train", *quick, "--lr", "0.002", "--epochs", "3"),
        # Other pictures, of which PSNR says nothing about these.
        ("evaluate", *quick[:2], "--dataset", "others"),
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
        yield Interface(address, MlflowClient(f"sqlite:///{folder}/mlflow.db"), folder)


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
        page.get_by_text("Model training").first.wait_for()
        page.get_by_text(text).first.wait_for()
        opened.append(page)
        return page

    yield open_page
    for page in opened:
        page.close()


def printed(interface: Interface, *command: str, before: str) -> str:
    """The path of a page of the UI that a command prints behind some words."""
    done = run_here(*command, cwd=interface.folder)
    assert done.returncode == 0, done.stderr
    (path,) = re.findall(re.escape(f"{before}: http://127.0.0.1:5000/") + r"(\S+)", done.stdout)
    return str(path)


def pictures_of(run: Run) -> str:
    """The digest of what an evaluation was made on."""
    assert run.inputs is not None
    return str(run.inputs.dataset_inputs[0].dataset.digest)


def test_the_printed_address_has_the_best_of_the_same_pictures_first(
    show: Show, interface: Interface
) -> None:
    (newest, *_) = interface.runs("evaluate")
    evaluations = [
        run for run in interface.runs("evaluate") if pictures_of(run) == pictures_of(newest)
    ]
    dataset = newest.data.params["dataset"]
    images = int(newest.data.metrics["images"])
    page = show(
        printed(
            interface,
            "results",
            before=f"evaluations at x4 on {images} pictures of {dataset} test, best first",
        ),
        "matching runs",
        width=1280,
        height=520,
    )
    links = page.locator("[role=row] a[href*='/runs/']")
    links.nth(len(evaluations) - 1).wait_for()
    shown = [(link.get_attribute("href") or "").rpartition("/")[2] for link in links.all()]
    best_first = sorted(evaluations, key=lambda run: -run.data.metrics["srcnn_psnr"])
    assert [one.partition("?")[0] for one in shown] == [run.info.run_id for run in best_first]
    if "SRCNN_WORKSPACE" not in os.environ:
        assert len(interface.runs("evaluate")) > len(evaluations)
    for metric in ("srcnn_psnr", "psnr_gain", "bicubic_psnr", "srcnn_ssim"):
        value = f"{best_first[0].data.metrics[metric]:.6f}"[:5]
        page.locator("[role=row][row-index='0']").get_by_text(value).first.wait_for()
        assert page.locator("[role=columnheader]").get_by_text(metric, exact=True).is_visible()
    assert page.get_by_text("Model training").first.is_visible()
    keep(page, "runs")


def test_a_comparison_has_a_bar_a_version_in_one_chart(show: Show, interface: Interface) -> None:
    versions = "srcnn-x4/1+srcnn-x4/2"
    dataset = interface.runs("evaluate")[0].data.params["dataset"]
    asked = ("compare", "--models", versions, "--dataset", dataset)
    path = printed(interface, *asked, before="all versions in each chart")
    page = show(path, "2 matching runs", width=1280, height=1400)
    names = versions.split("+")
    chart = page.get_by_test_id("experiment-view-compare-runs-card").filter(has_text="psnr_gain")
    chart.first.scroll_into_view_if_needed()
    (run, *_) = interface.runs("compare-version")
    for name in names:
        chart.get_by_text(name).first.wait_for()
    assert run.data.params["label"] in names
    keep(page, "comparison")


def test_the_report_shows_the_worst_picture_under_a_slider(
    show: Show, interface: Interface
) -> None:
    (run, *_) = interface.runs("evaluate")
    of_run = f"#/experiments/{interface.experiment}/runs/{run.info.run_id}"
    page = show(f"{of_run}/artifacts/evaluation/report.html{TRAINING}", "report.html")
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


@pytest.mark.exhaustive
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
    page = show(f"#/models/srcnn-x4{TRAINING}", "champion")
    keep(page, "registry")
    page = show(f"#/models/srcnn-x4/versions/{champion.version}{TRAINING}", "promoted: better than")
    page.get_by_text("champion").first.wait_for()


@pytest.mark.exhaustive
def test_a_training_shows_its_crop_by_the_epoch(show: Show, interface: Interface) -> None:
    run = max(interface.runs("train"), key=lambda run: int(run.data.params["epochs"]))
    page = show(
        f"#/experiments/{interface.experiment}/runs/{run.info.run_id}{TRAINING}",
        f"SRCNN {run.data.params['architecture']}",
    )
    page = show(
        f"#/experiments/{interface.experiment}/runs/{run.info.run_id}/model-metrics{TRAINING}",
        "val_psnr",
        height=1600,
    )
    page.get_by_text("validation crop").first.scroll_into_view_if_needed()
    slider = page.get_by_role("slider").first
    assert slider.get_attribute("aria-valuenow") == "0"
    card = page.get_by_test_id("experiment-view-compare-runs-card").filter(
        has_text="validation crop"
    )
    first = card.locator("img").first
    first.wait_for()
    assert first.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    slider.focus()
    with page.expect_response(lambda answer: "validation%20crop" in answer.url and answer.ok):
        for _ in range(int(slider.get_attribute("aria-valuemax") or 0)):
            page.keyboard.press("ArrowRight")
