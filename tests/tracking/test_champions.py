"""The line of champions, told from what a registry holds."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from srcnn_mlflow.tracking import champions
from srcnn_mlflow.tracking.champions import Champions
from tests.conftest import put_store

NAME = "srcnn-x2"
VERSIONS = 5


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[MlflowClient]:
    folder = tmp_path_factory.mktemp("champions")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, folder))
        yield MlflowClient()


@pytest.fixture(autouse=True)
def new_model(client: MlflowClient) -> Iterator[None]:
    client.create_registered_model(NAME)
    for _ in range(VERSIONS):
        client.create_model_version(NAME, "somewhere")
    yield
    client.delete_registered_model(NAME)


def promoted(*line: int) -> None:
    for version in line:
        champions.promote(2, version, champions.champions(2).line)


def previous(client: MlflowClient) -> int | None:
    alias = client.get_registered_model(NAME).aliases.get("previous-champion")
    return None if alias is None else int(alias)


def test_a_model_that_is_not_registered_has_no_champions() -> None:
    assert champions.champions(3) == Champions(None, ())
    champions.mend_aliases(3)


def test_champions_follow_one_another_and_are_walked_back(client: MlflowClient) -> None:
    promoted(1, 2, 3)
    assert champions.champions(2) == Champions(3, (1, 2))
    assert previous(client) == 2
    champions.roll_back(2, 2, (1,))
    assert champions.champions(2) == Champions(2, (1,))
    assert previous(client) == 1
    promoted(4)
    assert champions.champions(2) == Champions(4, (1, 2))
    champions.roll_back(2, 1, ())
    assert champions.champions(2) == Champions(1, ())
    assert previous(client) is None


def test_a_version_may_be_champion_twice() -> None:
    promoted(1, 2, 1)
    assert champions.champions(2) == Champions(1, (1, 2))
    champions.roll_back(2, 2, (1,))
    assert champions.champions(2) == Champions(2, (1,))


def test_an_alias_that_was_moved_by_hand_decides(client: MlflowClient) -> None:
    promoted(1, 2)
    client.set_registered_model_alias(NAME, "champion", "5")
    assert champions.champions(2) == Champions(5, (1, 2))
    client.set_registered_model_alias(NAME, "champion", "1")
    assert champions.champions(2) == Champions(1, ())
    champions.mend_aliases(2)
    assert previous(client) is None


def test_a_previous_champion_that_was_chosen_by_hand_is_returned_to_first(
    client: MlflowClient,
) -> None:
    promoted(1, 2, 3)
    client.set_registered_model_alias(NAME, "previous-champion", "5")
    champions.mend_aliases(2)
    assert champions.champions(2) == Champions(3, (1, 2, 5))
    # One of the line is what a kill has left.
    client.set_registered_model_alias(NAME, "previous-champion", "1")
    champions.mend_aliases(2)
    assert champions.champions(2) == Champions(3, (1, 2))
    assert previous(client) == 2


def test_the_former_ones_are_known_where_the_champion_was_deleted(client: MlflowClient) -> None:
    promoted(1, 2, 3)
    client.delete_model_version(NAME, "3")
    assert champions.champions(2) == Champions(None, (1, 2, 3))
    champions.mend_aliases(2)
    assert previous(client) == 2


def test_a_deleted_version_is_nobodys_previous_champion(client: MlflowClient) -> None:
    promoted(1, 2, 3)
    client.delete_model_version(NAME, "2")
    champions.mend_aliases(2)
    assert previous(client) == 1


def test_a_store_of_before_tells_its_line_by_who_replaced_whom(client: MlflowClient) -> None:
    for alias, version in (("champion", "3"), ("previous-champion", "2")):
        client.set_registered_model_alias(NAME, alias, version)
    assert champions.champions(2) == Champions(3, (2,))
    for version, replaced in (("2", "1"), ("3", "2")):
        client.set_model_version_tag(NAME, version, "replaced", replaced)
    assert champions.champions(2) == Champions(3, (1, 2))
    # A roll back of before let two versions replace one another.
    client.set_model_version_tag(NAME, "2", "replaced", "3")
    client.set_registered_model_alias(NAME, "champion", "2")
    assert champions.champions(2) == Champions(2, (3,))


@pytest.mark.parametrize("text", ["", "no list", "7", '{"1": 2}', '["a"]', "[null]"])
def test_a_line_that_was_spoilt_by_hand_counts_as_none(client: MlflowClient, text: str) -> None:
    promoted(1, 2)
    client.set_registered_model_tag(NAME, champions.LINE, text)
    assert champions.champions(2).present == 2
    assert champions.champions(2).former in ((1,), ())


def test_a_line_of_any_length_can_be_kept(client: MlflowClient) -> None:
    line = tuple(1 + number % 2 for number in range(30_000))
    start = time.monotonic()
    champions.promote(2, 3, line)
    assert champions.champions(2) == Champions(3, line[1 - champions.LONGEST_LINE :])
    assert time.monotonic() - start < 5
    assert previous(client) == 2
