"""A model's page in the MLflow UI, in a real browser: each score, its pictures and its run.

With SRCNN_SCREENSHOTS set to a folder, the page's picture is written there.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModel

from srcnn_mlflow.commands.evaluate import evaluate
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.tracking import registry
from srcnn_mlflow.tracking.runs import track
from tests.conftest import ROOT, http_server, put_store, run_here, sampled, write_crops
from tests.journeys.test_interface import NO_ASSISTANT, SLOW
from tests.screenshots import keep
from tests.versions import network

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# How much of the shipped network's correction a version makes.
PARTS = (0.5, 1.0)
SETS = ("crops-100", "crops-120")


@dataclass(frozen=True)
class Judged:
    """A store in which two models were evaluated on two sets."""

    folder: Path
    uri: str

    def model(self, version: int) -> LoggedModel:
        """The logged model of a version of srcnn-x2."""
        client = MlflowClient(self.uri)
        source = client.get_model_version("srcnn-x2", str(version)).source or ""
        return client.get_logged_model(source.removeprefix("models:/"))


@contextmanager
def judged(folder: Path, uri: str) -> Iterator[Judged]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        patch.setenv("SRCNN_HOME", str(folder / "data"))
        for number, name in enumerate(SETS):
            write_crops(folder / name, 100 + 20 * number, test=3)
        for part in PARTS:
            with track(
                "train",
                2,
                {"architecture": "9-1-5"},
                f"train x2 9-1-5, {part:.0%} of its correction",
            ):
                registry.register(2, network(2, part, folder), {"architecture": "9-1-5"})
        for version in range(1, len(PARTS) + 1):
            for name in SETS:
                evaluate(2, str(version), name, "test", None)
        yield Judged(folder, uri)


@pytest.fixture(scope="module", params=sampled(["SQLite", "PostgreSQL"]))
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, empty_store: Path
) -> Iterator[Judged]:
    folder = tmp_path_factory.mktemp("judged")
    if request.param == "SQLite":
        uri = put_store(empty_store, folder)
    else:
        uri = request.getfixturevalue("postgres_store")
    with judged(folder, uri) as found:
        yield found


def test_a_models_page_shows_every_score_with_its_pictures_and_its_run(
    store: Judged, browser: "Browser"
) -> None:
    model = store.model(2)
    command = ("ui", "--port", "PORT", "--workers", "1")
    with http_server(
        *command, "--backend-store-uri", store.uri, cwd=store.folder, environment=dict(os.environ)
    ) as address:
        page = browser.new_page(viewport={"width": 1440, "height": 620})
        page.set_default_timeout(SLOW)
        page.add_init_script(NO_ASSISTANT)
        of_model = f"#/experiments/{model.experiment_id}/models/{model.model_id}"
        page.goto(f"{address}/{of_model}?workflowType=machine_learning")
        page.get_by_text("srcnn_psnr").first.wait_for()
        page.get_by_placeholder("Search metrics").fill("psnr")
        for name in SETS:
            (score,) = (
                one
                for one in model.metrics or []
                if one.key == "srcnn_psnr" and (one.dataset_name or "").startswith(name)
            )
            row = page.get_by_role("row").filter(has_text="srcnn_psnr").filter(has_text=name)
            assert f"{score.value:.2f}"[:4] in row.inner_text()
            link = row.locator("a[href*='/runs/']").first.get_attribute("href") or ""
            assert link.endswith(score.run_id or "nothing")
        keep(page, "model")
        page.close()


def test_the_leaderboard_has_the_order_of_the_evaluations(store: Judged) -> None:
    for name in SETS:
        digest = load_dataset(name).measured("test").digest
        done = run_here("leaderboard", "--scale", "2", "--dataset", name, cwd=store.folder)
        assert done.returncode == 0, done.stderr
        listed = [int(found) for found in re.findall(r"srcnn-x2/(\d)", done.stdout)]
        scores = {
            version: next(
                one.value
                for one in store.model(version).metrics or []
                if one.key == "srcnn_psnr" and one.dataset_digest == digest
            )
            for version in (1, 2)
        }
        best_first = sorted(scores, key=lambda version: -scores[version])
        assert listed == best_first
        found = by_the_recipe_of_the_page(digest, store)
        assert [line.split()[0] for line in found] == [
            store.model(one).model_id for one in best_first
        ]
        assert f"'srcnn_psnr': {scores[best_first[0]]}" in found[0]


def by_the_recipe_of_the_page(digest: str, store: Judged) -> list[str]:
    """What its code prints, of these pictures and this scale."""
    blocks = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs/how-to/compare.md").read_text(), re.DOTALL
    )
    (code,) = (block for block in blocks if "search_logged_models" in block)
    code = re.sub(r"[0-9a-f]{32}", digest, code).replace("scale = '4'", "scale = '2'")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=store.folder, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()
