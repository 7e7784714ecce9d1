"""Which pictures a training or a promotion has seen: kept with its run, asked when one judges."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from srcnn_mlflow.machine.garbage import no_search
from srcnn_mlflow.pictures.datasets import Split
from srcnn_mlflow.pictures.likeness import Likeness, find_alike
from srcnn_mlflow.pictures.photos import Photo
from srcnn_mlflow.tracking import active_run
from srcnn_mlflow.tracking.registry import FoundModel
from srcnn_mlflow.tracking.run_search import find_run

_FOLDER, _FILE = "pictures", "pictures/seen.json"
# The tag of a run that began with a network of which it is not known what that had seen.
_BEFORE, _NOT_KNOWN = "trained_before_on", "not known"


@dataclass(frozen=True)
class SeenPicture:
    """A picture of a training or a promotion.

    Attributes:
        split: `train`, or `valid` where it chose the epoch; of a promotion, what it decided on.
        name: of its file.
        identity: of its pixels, in any mode.
        likeness: its perceptual hashes.
    """

    split: str
    name: str
    identity: str
    likeness: Likeness


def log_seen(
    splits: Iterable[Split], before: Sequence[SeenPicture] = (), all_is_known: bool = True
) -> None:
    """Keep with the active run which pictures it learns from, or decides on.

    Args:
        splits: what it is given.
        before: what the network has seen that it begins with.
        all_is_known: whether these are all of them.
    """
    with no_search():
        pictures = [
            SeenPicture(split.name, photo.name, photo.identity, photo.likeness)
            for split in splits
            for photo in split.photos
        ]
        # A line each: of a hundred thousand, indented ones would take seconds.
        lines = ",\n".join(json.dumps(vars(one)) for one in (*pictures, *before))
    active_run.log_text(f"[{lines}]", _FILE)
    if not all_is_known:
        active_run.set_tags({_BEFORE: _NOT_KNOWN})


def all_is_known(found: FoundModel) -> bool:
    """Whether what `find_seen` gives is all: not where a network began with one of unknown past."""
    run_id = Model.load(str(found.folder)).run_id
    run = find_run(run_id)
    return run is not None and run.data.tags.get(_BEFORE) != _NOT_KNOWN


def find_seen(found: FoundModel) -> tuple[SeenPicture, ...] | None:
    """The pictures that a model was trained on, or None where its run has not kept them."""
    run_id = Model.load(str(found.folder)).run_id
    return None if run_id is None else seen_by_run(run_id)


def seen_by_run(run_id: str) -> tuple[SeenPicture, ...] | None:
    """The pictures that a training or a promotion has used, or None where it has not kept them."""
    if not _has_kept(run_id):
        return None
    pictures = json.loads(mlflow.artifacts.load_text(f"runs:/{run_id}/{_FILE}"))
    return tuple(
        SeenPicture(**{**picture, "likeness": tuple(picture["likeness"])}) for picture in pictures
    )


def recognize(seen: Sequence[SeenPicture], photos: Sequence[Photo]) -> dict[Photo, SeenPicture]:
    """Those of the photographs that were seen, as they are or as a copy, each with what it is."""
    alike = find_alike([one.likeness for one in seen], [photo.likeness for photo in photos])
    known = {photos[place]: seen[one] for one, place in alike}
    same = {one.identity: one for one in seen}
    return known | {photo: same[photo.identity] for photo in photos if photo.identity in same}


def _has_kept(run_id: str) -> bool:
    try:
        files = MlflowClient().list_artifacts(run_id, _FOLDER)
    except MlflowException as error:
        # A model may come from another store than its run.
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise
    return any(file.path == _FILE for file in files)
