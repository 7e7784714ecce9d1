"""What stands above a version, and what a person has written there."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from srcnn_mlflow.tracking.descriptions import describe_version
from tests.conftest import put_store


def test_a_long_text_is_cut_where_a_line_ends_and_a_persons_words_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    client = MlflowClient()
    client.create_registered_model("srcnn-x2")
    client.create_model_version("srcnn-x2", str(tmp_path))
    assert describe_version(2, 1, "short")
    assert describe_version(2, 1, "a line\n" * 1000)
    text = client.get_model_version("srcnn-x2", "1").description or ""
    # PostgreSQL refuses more.
    assert 4900 < len(text) <= 5000
    assert "a line\n\nWhat is older stands in card.md" in text
    assert describe_version(2, 1, "short again")
    client.update_model_version("srcnn-x2", "1", "mine")
    assert not describe_version(2, 1, "long")
    assert client.get_model_version("srcnn-x2", "1").description == "mine"
