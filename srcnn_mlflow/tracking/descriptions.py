"""What the UI says of registered models and versions, unless a person has said something else."""

import hashlib

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from srcnn_mlflow.machine.credentials import without_credentials
from srcnn_mlflow.machine.text import as_markdown
from srcnn_mlflow.measuring.model_card import model_card
from srcnn_mlflow.tracking.card_facts import find_card_facts
from srcnn_mlflow.tracking.champions import champions
from srcnn_mlflow.tracking.registry import model_name
from srcnn_mlflow.tracking.run_search import artifact_names, find_run, read_text

# The tag of a version that tells which of its descriptions is ours, by its digest.
DESCRIBED = "described"
# Where a promotion keeps its table among its artifacts.
VERDICT_TABLE = "promotion/verdict.md"
# MLflow's databases keep no description of more characters.
_LONGEST = 5000
_CUT = "\n\nWhat is older stands in card.md among the artifacts of its promotion.\n"


def describe_new(scale: int, version: int) -> None:
    """Let the UI say what a new version is, and its model, where nobody has said it."""
    client, name = MlflowClient(), model_name(scale)
    if not client.get_registered_model(name).description:
        client.update_registered_model(name, _about(scale))
    describe_version(scale, version, _card(scale, version))


def describe_version(scale: int, version: int, text: str) -> bool:
    """Let the UI show a text, in Markdown, above a version.

    Returns:
        Whether it does; not where a person has written there.
    """
    client, name, number = MlflowClient(), model_name(scale), str(version)
    if not _is_ours(client.get_model_version(name, number)):
        return False
    if len(text) > _LONGEST:
        text = text[: _LONGEST - len(_CUT)].rpartition("\n")[0] + _CUT
    # Killed between the two, it is taken for a person's: what is foreign is never lost.
    client.update_model_version(name, number, text)
    client.set_model_version_tag(name, number, DESCRIBED, _digest(text))
    return True


def write_card(scale: int, version: int, verdict: str, run_id: str) -> bool:
    """Keep the card of a version that was promoted with its promotion, and show it above it.

    Args:
        scale: 2, 3 or 4.
        version: its number.
        verdict: the table of its promotion, in Markdown.
        run_id: of the promotion.

    Returns:
        Whether it is shown; not where a person has written there.
    """
    card = _card(scale, version, verdict)
    MlflowClient().log_text(run_id, card, "card.md")
    return describe_version(scale, version, card)


def renew_card(scale: int, version: int) -> bool:
    """Let the UI show of a version what is known of it now.

    Returns:
        Whether it does; not where a person has written there.
    """
    found = MlflowClient().get_model_version(model_name(scale), str(version))
    return describe_version(scale, version, _card(scale, version, _verdict_of(found)))


def complete_card(scale: int) -> None:
    """Write the champion's card, if its promotion was killed before it had."""
    champion = champions(scale).present
    if champion is None:
        return
    version = MlflowClient().get_model_version(model_name(scale), str(champion))
    reason, run = version.tags.get("verdict", ""), find_run(version.tags.get("judged_by"))
    is_told = as_markdown(reason) in (version.description or "")
    if run is None or not reason.startswith("promoted: ") or is_told or not _is_ours(version):
        return
    write_card(scale, champion, _verdict_of(version), run.info.run_id)


def _verdict_of(version: ModelVersion) -> str:
    """The table of a version's newest promotion; empty where there was none, or it is not kept."""
    run = find_run(version.tags.get("judged_by"))
    folder, _, file = VERDICT_TABLE.rpartition("/")
    if run is None or file not in artifact_names(run.info.run_id, folder):
        return ""
    # Its first line is the verdict, which the card has already.
    return read_text(run.info.run_id, VERDICT_TABLE).partition("\n\n")[2]


def _card(scale: int, version: int, verdict: str = "") -> str:
    return without_credentials(model_card(find_card_facts(scale, version, verdict)))


def _about(scale: int) -> str:
    """What a registered model is."""
    return (
        f"Networks that make a picture {scale} times as large: bicubic interpolation, sharpened by "
        "SRCNN. `srcnn-mlflow train` and `import-weights` register versions; each says what it "
        "is, how it was made, and what it has.\n\n"
        "- `champion`: the version in use. `srcnn-mlflow promote` gives the alias to a version "
        "that is better on the same pictures.\n"
        "- `challenger`: the newest that was trained.\n"
        "- `previous-champion`: the one to which `promote` with `version=previous` returns.\n"
    )


def _is_ours(version: ModelVersion) -> bool:
    """Whether nobody but this package has described a version."""
    text = version.description
    return not text or version.tags.get(DESCRIBED) == _digest(text)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
