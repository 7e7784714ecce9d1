"""Whether what made a model what it is has ever seen a picture that it is judged on."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from srcnn_mlflow.pictures.photos import Photo
from srcnn_mlflow.tracking.decisions import JUDGED_AGAINST, has_decided
from srcnn_mlflow.tracking.registry import FoundModel
from srcnn_mlflow.tracking.run_search import runs_ever
from srcnn_mlflow.tracking.seen_pictures import SeenPicture, find_seen, recognize, seen_by_run

Facts = dict[str, int | str | None]


@dataclass(frozen=True)
class Exposure:
    """How many of some pictures, or copies of them, had to do with a model before.

    Attributes:
        pictures: of how many.
        training: its network has learned from; None where that is not known.
        epoch: chose its epoch; None where that is not known.
        promotion: decided whether it, or another in its place, is champion; None where that is not
            known.
    """

    pictures: int
    training: int | None
    epoch: int | None
    promotion: int | None

    def sentence(self, model: str, dataset: str) -> str:
        """Tell of it in a line."""
        return (
            f"{model} on {dataset}, {self.pictures} pictures: seen in training: "
            f"{_in_words(self.training)}; when the epoch was chosen: {_in_words(self.epoch)}; "
            f"by promotions: {_in_words(self.promotion)}."
        )

    def facts(self, model: str, dataset: str) -> Facts:
        """The numbers by name, with the sentence, for files that programs read."""
        told = self.sentence(model, dataset)
        return {"model": model, "dataset": dataset, **asdict(self), "told": told}


def find_exposure(found: FoundModel, photos: Sequence[Photo]) -> Exposure:
    """Look up a model's training and its promotions, which have kept their pictures.

    Args:
        found: a registered version, or the shipped weights.
        photos: what it is judged on.
    """
    seen = find_seen(found)
    training, epoch = (
        None if seen is None else _count([one for one in seen if one.split == split], photos)
        for split in ("train", "valid")
    )
    return Exposure(len(photos), training, epoch, _seen_by_promotions(found, photos))


def _seen_by_promotions(found: FoundModel, photos: Sequence[Photo]) -> int | None:
    """By those that judged the version, and by those in which it was to be beaten."""
    if found.version is None:
        return 0
    filters = (f"tags.{tag} = '{found.uri}'" for tag in ("model_uri", JUDGED_AGAINST))
    promotions = {
        run.info.run_id: run
        for wanted in filters
        for run in runs_ever(f"tags.entry_point = 'promote' and {wanted}")
        # One that rolled back, or met the champion itself, was given no pictures.
        if run.inputs and run.inputs.dataset_inputs and has_decided(run)
    }
    kept = [seen_by_run(run_id) for run_id in promotions]
    seen = _count([one for pictures in kept if pictures is not None for one in pictures], photos)
    return None if seen == 0 and None in kept else seen


def _count(seen: Sequence[SeenPicture], photos: Sequence[Photo]) -> int:
    return len(recognize(seen, photos))


def _in_words(count: int | None) -> str:
    return "not known" if count is None else "none" if count == 0 else str(count)
