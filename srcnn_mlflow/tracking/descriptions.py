"""What the UI says of a registered version, unless a person has said something else."""

import hashlib

from mlflow import MlflowClient

from srcnn_mlflow.tracking.registry import model_name

# The tag of a version that tells which of its descriptions is ours, by its digest.
DESCRIBED = "described"


def describe_version(scale: int, version: int, text: str) -> bool:
    """Let the UI show a text, in Markdown, above a version.

    Returns:
        Whether it does; not where a person has written there.
    """
    client, name, number = MlflowClient(), model_name(scale), str(version)
    found = client.get_model_version(name, number)
    if found.description and found.tags.get(DESCRIBED) != _digest(found.description):
        return False
    # Killed between the two, it is taken for a person's: what is foreign is never lost.
    client.update_model_version(name, number, text)
    client.set_model_version_tag(name, number, DESCRIBED, _digest(text))
    return True


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
