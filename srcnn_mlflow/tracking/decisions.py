"""How often a set of pictures has chosen something, and so flatters what it chose.

A set is known by its digest, whatever data set and split it was called. What it chose is read off
the runs of the tracking store, in any experiment, deleted ones among them: that a run is no longer
looked at takes nothing back.
"""

from dataclasses import asdict, dataclass

from mlflow.entities import Run

from srcnn_mlflow.pictures.datasets import Split
from srcnn_mlflow.tracking import active_run
from srcnn_mlflow.tracking.run_search import runs_ever
from srcnn_mlflow.tracking.seen_pictures import log_seen

# The tag of a promotion that says on which pictures it decided, by their digest.
DECIDED_ON = "decided_on"
# The tag of a promotion that names whom the version was held against, by its URI.
JUDGED_AGAINST = "judged_against"
# How the verdict begins on a version that could not be run, so that no picture decided.
NOT_RUN = "refused: it cannot be run"


@dataclass(frozen=True)
class Decisions:
    """What a set of pictures has chosen.

    Attributes:
        promotions: verdicts that rest on it, refusals among them.
        epochs: trainings whose epoch it chose, but for trials of a sweep.
        sweeps: sweeps whose trials it ranked.
    """

    promotions: int
    epochs: int
    sweeps: int

    def sentence(self, subject: str = "This set") -> str:
        """Tell of it, or nothing where it has chosen nothing.

        >>> Decisions(3, 12, 0).sentence()
        'This set has decided 3 promotions (refusals count), and chose the epoch of 12 trainings.'
        >>> Decisions(0, 0, 1).sentence("set5")
        'set5 chose the settings of 1 sweep.'
        """
        told = [
            f"{what} {count} {one if count == 1 else one + 's'}{among}"
            for what, count, one, among in (
                ("has decided", self.promotions, "promotion", " (refusals count)"),
                ("chose the epoch of", self.epochs, "training", ""),
                ("chose the settings of", self.sweeps, "sweep", ""),
            )
            if count
        ]
        if not told:
            return ""
        *first, last = told
        return f"{subject} {', '.join(first)}{', and ' if first else ''}{last}."

    def facts(self) -> dict[str, int | str]:
        """The numbers by name, with the sentence, for files that programs read."""
        return {**asdict(self), "told": self.sentence()}


def record_decision(split: Split, opponent: str | None) -> None:
    """Let the active run, a promotion, say what it decides on, and keep which pictures these are.

    Args:
        split: the pictures.
        opponent: the URI of the version that is judged against; None for bicubic alone.
    """
    active_run.set_tags({DECIDED_ON: split.digest, JUDGED_AGAINST: opponent or "bicubic"})
    log_seen([split])


def find_decisions(digest: str) -> Decisions:
    """What the set of pictures with a digest has chosen, as far as the tracking store knows.

    Runs from before decisions were tagged count too: their inputs have digests, and a promotion
    its verdict.
    """
    promotions = runs_ever(f"tags.entry_point = 'promote' and datasets.digest = '{digest}'")
    validated = [
        run
        for run in runs_ever(f"datasets.digest = '{digest}' and datasets.context = 'valid'")
        # What only prepares has no epoch, and nor has what never came to the end of one.
        if "best_epoch" in run.data.metrics
    ]
    studies = {_study(run) for run in validated if _is_trial(run)}
    epochs = sum(not _is_trial(run) for run in validated)
    return Decisions(sum(map(has_decided, promotions)), epochs, len(studies))


def has_decided(promotion: Run) -> bool:
    """Whether the run of a promotion that was given pictures came to a verdict by them."""
    verdict = promotion.data.tags.get("verdict")
    return verdict is not None and not verdict.startswith(NOT_RUN)


def _is_trial(run: Run) -> bool:
    return bool(run.data.tags.get("entry_point") == "trial")


def _study(run: Run) -> str:
    return str(run.data.tags.get("study", run.info.run_id))
