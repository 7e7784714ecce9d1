"""Views of runs that an address opens, as a real store keeps them."""

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient

from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.tracking.experiments import usual_experiment
from srcnn_mlflow.tracking.views import evaluations, table_path, trainings
from tests.conftest import ROOT, put_store


def test_an_address_names_a_view_that_its_experiment_holds(
    empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    experiment = usual_experiment(MlflowClient())
    view = evaluations(4, "0123456789abcdef")
    pages = {table_path(experiment, view), table_path(experiment, view)}
    assert pages == {
        f"#/experiments/{experiment}/runs?workflowType=machine_learning"
        "&viewStateShareKey=evaluations-x4-01234567"
    }
    tags = MlflowClient().get_experiment(experiment).tags
    kept = json.loads(tags["mlflow.sharedViewState.evaluations-x4-01234567"])
    assert kept["orderByKey"] in kept["selectedColumns"]
    # What the address shows is what a search finds, and in that order.
    found = MlflowClient().search_runs([experiment], kept["searchFilter"])
    assert list(found) == []


def test_the_page_names_the_views_that_make_demo_leaves() -> None:
    samples = load_dataset("samples")
    page = (ROOT / "docs/how-to/compare.md").read_text(encoding="utf-8")
    for view in (
        evaluations(4, samples.measured("test").digest),
        trainings(4, samples.split("valid").digest),
    ):
        assert f"?workflowType=machine_learning&viewStateShareKey={view.key})" in page
