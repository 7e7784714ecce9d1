"""Versions, aliases and tags of a registry, and the models that references name."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from srcnn_mlflow.machine.errors import DamagedModelError, ModelError
from srcnn_mlflow.measuring.evaluation import Summary
from srcnn_mlflow.network.shipped import shipped_network
from srcnn_mlflow.tracking import logged_models, registry
from srcnn_mlflow.tracking.registry import FoundModel
from tests.conftest import put_store

NAME = "srcnn-x2"
VERSIONS = 10


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[MlflowClient]:
    """A registry of one model, whose versions have no files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path_factory.mktemp("registry"))
        )
        client = MlflowClient()
        client.create_registered_model(NAME)
        for _ in range(VERSIONS):
            client.create_model_version(NAME, "somewhere")
        yield client


def test_tags_of_a_version_are_those_that_were_set(client: MlflowClient) -> None:
    registry.tag_version(2, 3, {"psnr": "30.1", "measured_on": "Set5 test"})
    registry.tag_version(2, 3, {"psnr": "30.2"})
    assert registry.version_tags(2, 3) == {"psnr": "30.2", "measured_on": "Set5 test"}
    assert registry.version_tags(2, 2) == {}
    client.delete_model_version(NAME, "1")
    # Deleted, never there, and of a model that is not registered.
    assert [registry.version_tags(*one) for one in ((2, 1), (2, 99), (3, 1))] == [None] * 3


def test_an_alias_that_nobody_has_is_none(client: MlflowClient) -> None:
    client.set_registered_model_alias(NAME, "champion", "4")
    assert registry.version_with_alias(2, "champion") == 4
    assert registry.version_with_alias(2, "challenger") is None
    assert registry.version_with_alias(3, "champion") is None


@pytest.mark.usefixtures("client")
def test_the_newest_version_is_the_one_with_the_highest_number() -> None:
    with pytest.raises(DamagedModelError, match=f"version {VERSIONS} of srcnn-x2 is registered"):
        registry.find_model("newest", 2)
    with pytest.raises(DamagedModelError, match="version 9 of srcnn-x2 is registered"):
        registry.find_model("9", 2)


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("previous-champion", "srcnn-x3 has had no earlier champion, so there is none to return"),
        ("challenger", "the registry has no challenger of srcnn-x3; train one with scale=3 first"),
        ("champion", "the registry has no champion of srcnn-x3; train one with scale=3 first"),
        ("newest", "the registry has no version of srcnn-x3; train one with scale=3 first"),
    ],
)
def test_what_the_registry_does_not_have_is_told(reference: str, told: str) -> None:
    with pytest.raises(ModelError, match=f"^{told}"):
        registry.find_model(reference, 3)


@pytest.mark.parametrize(
    "reference",
    [
        *("", "srcnn-x2", "srcnn-x5/1", "srcnn-x2/", "srcnn-x2/new", "srcnn-x2@7", "xsrcnn-x2/1"),
        *("srcnn-x2/3/4", "srcnn-x2/3@champion", "runs:/srcnn-x2/1", "srcnn-x2/1 "),
    ],
)
def test_what_names_no_registered_version_is_refused(reference: str) -> None:
    with pytest.raises(ModelError, match="does not name a registered version; give srcnn-x4@ch"):
        registry.parse_reference(reference)


@pytest.mark.parametrize(
    ("model", "label", "name"),
    [
        (FoundModel("models:/srcnn-x2/7", 7, Path()), "srcnn-x2/7", "srcnn-x2 version 7"),
        (FoundModel("shipped-x2", None, Path()), "shipped-x2", "shipped-x2"),
        (FoundModel("runs:/1/model", None, Path()), "runs:/1/model", "runs:/1/model"),
    ],
)
def test_a_model_is_called_by_its_version_or_by_what_was_given(
    model: FoundModel, label: str, name: str
) -> None:
    assert (model.label, model.name) == (label, name)


def test_a_model_without_a_network_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "other.onnx").touch()
    with pytest.raises(DamagedModelError, match=r"model mine holds no network\.onnx"):
        _ = FoundModel("mine", None, tmp_path).network


def test_scores_are_tags_with_what_they_were_measured_on() -> None:
    summary = Summary(29.5, 30.123456, 0.623456, 0.8, 0.8712345, 0.0712345, 13.0, 5)
    assert registry.score_tags(summary, "Set5 test") == {
        "psnr": "30.1235",
        "ssim": "0.87123",
        "psnr_gain": "0.6235",
        "measured_on": "Set5 test",
    }


@pytest.mark.slow
def test_a_network_is_registered_with_its_tags_and_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    network, client = tmp_path / registry.NETWORK_FILE, MlflowClient()
    network.write_bytes(shipped_network(2).read_bytes())
    register_model = logged_models.register_model

    def overtaken(*given: Any) -> ModelVersion:
        version = register_model(*given)
        newer = client.create_model_version(NAME, "of another process").version
        client.set_registered_model_alias(NAME, "challenger", newer)
        return version

    with mlflow.start_run():
        assert registry.register(2, network, {"psnr": "30.1"}) == 1
        assert registry.version_with_alias(2, "challenger") == 1
        assert registry.register(2, network, {}, alias=None) == 2
        assert registry.version_with_alias(2, "challenger") == 1
        assert registry.register(2, network, {}) == 3
        assert registry.version_with_alias(2, "challenger") == 3
        monkeypatch.setattr(logged_models, "register_model", overtaken)
        assert registry.register(2, network, {}) == 4
        assert registry.version_with_alias(2, "challenger") == 5
    assert registry.version_tags(2, 1) == {"psnr": "30.1"}
    found = registry.find_model("1", 2)
    assert (found.uri, found.version) == ("models:/srcnn-x2/1", 1)
    by_folder = registry.find_model(str(found.folder), 2)
    for model in (found, by_folder, registry.find_model("shipped", 2)):
        assert model.network.name == registry.NETWORK_FILE
        assert model.network.read_bytes() == network.read_bytes()
    assert by_folder.version is None
    assert by_folder.name == str(found.folder)
