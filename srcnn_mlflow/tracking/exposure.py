"""Whether what made a model what it is has ever seen a picture that it is judged on."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from srcnn_mlflow.pictures.photos import Photo
from srcnn_mlflow.tracking.decisions import JUDGED_AGAINST, has_decided
from srcnn_mlflow.tracking.registry import FoundModel
from srcnn_mlflow.tracking.run_search import runs_ever
from srcnn_mlflow.tracking.seen_pictures import (
    SeenPicture,
    all_is_known,
    find_seen,
    recognize,
    seen_by_run,
)

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


@dataclass(frozen=True)
class History:
    """The pictures that had to do with a model before; None for those that are not known.

    Attributes:
        training: its network has learned from them.
        epoch: they chose its epoch.
        promotions: what each of its promotions decided on, and those in which it was to be beaten.
        all_is_known: whether `training` and `epoch` are all; not where it began with another
            network of which that is not known.
    """

    training: tuple[SeenPicture, ...] | None
    epoch: tuple[SeenPicture, ...] | None
    promotions: tuple[tuple[SeenPicture, ...] | None, ...]
    all_is_known: bool = True

    def exposure(self, photos: Sequence[Photo]) -> Exposure:
        """How many of some pictures are among them, or copies of them."""
        training, epoch = (
            None if seen is None else (_count(seen, photos) or (0 if self.all_is_known else None))
            for seen in (self.training, self.epoch)
        )
        known = [one for pictures in self.promotions if pictures is not None for one in pictures]
        promotion: int | None = _count(known, photos)
        if promotion == 0 and None in self.promotions:
            promotion = None
        return Exposure(len(photos), training, epoch, promotion)


def find_history(found: FoundModel) -> History:
    """Look up a model's training and its promotions, which have kept their pictures.

    Args:
        found: a registered version, or the shipped weights.
    """
    seen = find_seen(found)
    training, epoch = (
        None if seen is None else tuple(one for one in seen if one.split == split)
        for split in ("train", "valid")
    )
    known = seen is None or all_is_known(found)
    return History(training, epoch, _of_promotions(found), known)


def _of_promotions(found: FoundModel) -> tuple[tuple[SeenPicture, ...] | None, ...]:
    if found.version is None:
        return ()
    filters = (f"tags.{tag} = '{found.uri}'" for tag in ("model_uri", JUDGED_AGAINST))
    promotions = {
        run.info.run_id: run
        for wanted in filters
        for run in runs_ever(f"tags.entry_point = 'promote' and {wanted}")
        # One that rolled back, or met the champion itself, was given no pictures.
        if run.inputs and run.inputs.dataset_inputs and has_decided(run)
    }
    return tuple(seen_by_run(run_id) for run_id in promotions)


def _count(seen: Sequence[SeenPicture], photos: Sequence[Photo]) -> int:
    return len(recognize(seen, photos))


def _in_words(count: int | None) -> str:
    return "not known" if count is None else "none" if count == 0 else str(count)
