"""The versions of a registered model, to be chosen from."""

from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from srcnn_mlflow.tracking.registry import model_name


@dataclass(frozen=True)
class ListedVersion:
    """A registered version.

    Attributes:
        number: in the registry.
        architecture: as its tag has it; empty where it has none.
        aliases: that point to it.
    """

    number: int
    architecture: str
    aliases: tuple[str, ...]


def list_versions(scale: int, most: int) -> list[ListedVersion]:
    """The versions of a scale, the newest first; none where there is no registered model.

    Args:
        scale: decides the registered model.
        most: how many.
    """
    name, client = model_name(scale), MlflowClient()
    try:
        aliases = client.get_registered_model(name).aliases
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return []
        raise
    found = client.search_model_versions(
        f"name = '{name}'", max_results=most, order_by=["version_number DESC"]
    )
    return [
        ListedVersion(
            int(version.version),
            version.tags.get("architecture", ""),
            tuple(alias for alias, number in aliases.items() if number == version.version),
        )
        for version in found
    ]
