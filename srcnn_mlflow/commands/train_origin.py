"""What a training takes from outside itself, and whether that is still what it began with."""

import logging
import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from srcnn_mlflow.commands.train_request import TrainRequest
from srcnn_mlflow.machine.errors import TrainingError
from srcnn_mlflow.machine.git import code_digest, git_commit
from srcnn_mlflow.machine.text import differences
from srcnn_mlflow.pictures.store_writer import Prepared
from srcnn_mlflow.training.distributed import World
from srcnn_mlflow.training.learner import precision_used
from srcnn_mlflow.training.networks import network_of

logger = logging.getLogger(__name__)

# What every checkpoint says of its training.
Facts = Mapping[str, Any]
# What of them says how much memory training planes take, where it is not all of them.
WINDOW = "window"
_UNKNOWN = {"digest": None, "images": None}


def facts_of(request: TrainRequest, prepared: Prepared, planes: str, world: World) -> Facts:
    """Everything that decides a training, in what JSON can hold.

    Args:
        request: what is trained.
        prepared: on what.
        planes: the checksum of its store.
        world: the processes that train together.
    """
    splits = (prepared.train, prepared.valid, prepared.test)
    return {
        "parameters": request.parameters(),
        # Programs of before look for this alone.
        "train_digest": prepared.train.digest,
        "pictures": {
            split.name: {"digest": split.digest, "images": len(split.photos)}
            for split in splits
            if split is not None
        },
        "planes": planes,
        # What a network from outside is made of.
        **({"network": source} if (source := dict(network_of(request.settings).source)) else {}),
        "surroundings": {**surroundings(request, world), "host": platform.node()},
    }


def surroundings(request: TrainRequest, world: World) -> dict[str, str]:
    """What a training may go on without, though its numbers may differ by it, by name."""
    return {
        "git_commit": git_commit(),
        "code": code_digest(),
        "torch": version("torch"),
        "device": world.device.type,
        "computes_in": precision_used(request.settings, world.device),
        "processes": str(world.size),
    }


def check_origin(began: Facts, now: Facts, who: str, remedy: str) -> None:
    """Make sure that a training learns from, and is chosen by, what it began with.

    Args:
        began: what it began with.
        now: what there is now.
        who: what began, for messages, such as `run 1234`.
        remedy: what to do where it is something else.

    Raises:
        TrainingError: the pictures or the prepared planes of training or validation are others, or
            a network from outside is.
    """
    dataset = now["parameters"]["dataset"]
    for split in ("train", "valid"):
        was, present = _pictures(began, split), _pictures(now, split)
        if was["digest"] is None:
            logger.warning("%s does not say which %s pictures it began with", who, split)
        elif was["digest"] != present["digest"]:
            raise TrainingError(
                f"the {split} pictures of data set {dataset} have changed since {who} began "
                f"({was['images'] or 'others'} then, {present['images']} now); {remedy}"
            )
    changed = differences(began.get("network", {}), now.get("network", {}))
    if changed:
        raise TrainingError(
            f"the network {now['parameters']['architecture']} is not the one that {who} began with "
            f"({changed}); {remedy}"
        )
    if began.get("planes", now["planes"]) != now["planes"]:
        raise TrainingError(
            f"the prepared planes of data set {dataset} are not those that {who} began with, but "
            "its pictures are: the file was exchanged, or made anew by another version of Pillow "
            f"or of renamed pictures; {remedy}"
        )


def tell_changes(began: Facts, now: Facts, who: str) -> str:
    """Tell what else has changed since a training began; gives it in words, empty for nothing."""
    was, present = _pictures(began, "test"), _pictures(now, "test")
    dataset = now["parameters"]["dataset"]
    if "pictures" in began and was["digest"] != present["digest"]:
        logger.warning(
            "the test pictures of data set %s have changed since %s began (%s then, %s now); no "
            "training uses them, but later results are not to be compared with earlier ones",
            dataset,
            who,
            was["images"] or 0,
            present["images"] or 0,
        )
    changes = differences(began.get("surroundings", {}), now["surroundings"])
    if changes:
        logger.warning("%s goes on with what it did not begin with: %s", who, changes)
    return changes


def _pictures(facts: Facts, split: str) -> Mapping[str, Any]:
    pictures: Mapping[str, Mapping[str, Any]] = facts.get(
        "pictures", {"train": {"digest": facts["train_digest"], "images": None}}
    )
    return pictures.get(split, _UNKNOWN)
