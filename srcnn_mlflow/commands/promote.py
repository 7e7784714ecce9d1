"""`promote`: make a version the champion, if it has earned it on the same test pictures."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from srcnn_mlflow.commands.evaluate import load_comparable, score_model
from srcnn_mlflow.machine.errors import ModelError
from srcnn_mlflow.machine.text import is_number
from srcnn_mlflow.measuring.evaluation import ImageScore, summarize
from srcnn_mlflow.measuring.gate import Judgement, describe, judge
from srcnn_mlflow.pictures.datasets import Split
from srcnn_mlflow.pictures.photos import Photo
from srcnn_mlflow.tracking import active_run, registry, runs
from srcnn_mlflow.tracking.registry import CHALLENGER, CHAMPION, PREVIOUS_CHAMPION, FoundModel

SPLIT = "test"
ARTIFACTS = "promotion"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Verdict:
    """What the gate decided.

    Attributes:
        version: the version that was judged.
        champion: the champion it was judged against; None where there was none.
        shortcomings: one sentence for everything it fell short of; empty when it was promoted.
    """

    version: int
    champion: int | None
    shortcomings: tuple[str, ...]

    @property
    def promoted(self) -> bool:
        """Whether the version is champion now."""
        return not self.shortcomings


def promote(
    scale: int,
    version: str,
    dataset: str,
    known: Sequence[ImageScore] | None = None,
) -> Verdict:
    """Judge a version in a run of its own, and move the alias `champion` when it passes.

    Args:
        scale: 2, 3 or 4.
        version: `challenger`, a version number, or `previous` to roll back without judging.
        dataset: its test pictures decide.
        known: the version's scores on these pictures, where they have just been measured.

    Raises:
        SrcnnError: with a message for the person who asked.
    """
    parameters = {"scale": scale, "version": version, "dataset": dataset}

    def check() -> tuple[FoundModel, Split] | None:
        if version == "previous":
            registry.find_model(PREVIOUS_CHAMPION, scale)
            return None
        if version != CHALLENGER and not is_number(version):
            raise ModelError(f"version {version!r} is not challenger, a number or previous")
        return registry.find_model(version, scale), load_comparable(dataset, SPLIT, scale, scale)

    with runs.track_after(
        check, "promote", scale, parameters, f"promote x{scale} {version}"
    ) as candidate:
        registry.mend_aliases(scale)
        return _roll_back(scale) if candidate is None else _judge(scale, *candidate, known)


def _roll_back(scale: int) -> Verdict:
    former = registry.find_model(PREVIOUS_CHAMPION, scale)
    assert former.version is not None
    champion = registry.version_with_alias(scale, CHAMPION)
    registry.promote(scale, former.version)
    logger.info(
        "rolled back: version %d is champion of %s again",
        former.version,
        registry.model_name(scale),
    )
    return Verdict(former.version, champion, ())


def _judge(
    scale: int, found: FoundModel, split: Split, known: Sequence[ImageScore] | None
) -> Verdict:
    assert found.version is not None
    active_run.set_tags({"model_uri": found.uri})
    champion = registry.version_with_alias(scale, CHAMPION)
    if champion == found.version:
        reason = f"it is the champion of {registry.model_name(scale)} already"
        # Of the run alone; the version keeps the verdict that made it champion.
        active_run.set_tags({"verdict": f"refused: {reason}"})
        return _tell_refusal(champion, champion, (reason,))
    active_run.log_split(split)
    challenger_scores = known or score_model(found, split.photos, scale, scale)
    _record_scores(scale, found.version, challenger_scores, split.label)
    judgement = _judge_against(champion, challenger_scores, split.photos, scale)
    while not judgement.shortcomings:
        # Before the alias, so that no champion is without its reason if the process is killed.
        _record_verdict(scale, found.version, f"promoted: better than {_named(champion)}")
        if registry.replace_champion(scale, found.version, champion):
            return _accept(scale, found.version, champion, judgement)
        present = registry.version_with_alias(scale, CHAMPION)
        logger.info("version %s has become champion meanwhile; judging against it", present)
        champion = present
        judgement = _judge_against(champion, challenger_scores, split.photos, scale)
    return _refuse(scale, found.version, champion, judgement.shortcomings)


def _record_scores(
    scale: int, version: int, scores: Sequence[ImageScore], measured_on: str
) -> None:
    summary = summarize(scores)
    active_run.log_metrics(asdict(summary))
    registry.tag_version(scale, version, registry.score_tags(summary, measured_on))


def _judge_against(
    champion: int | None,
    challenger_scores: Sequence[ImageScore],
    photos: Sequence[Photo],
    scale: int,
) -> Judgement:
    scores = None
    if champion is not None:
        scores = score_model(registry.find_model(str(champion), scale), photos, scale, scale)
        summary = summarize(scores)
        active_run.log_metrics(
            {"champion_psnr": summary.srcnn_psnr, "champion_ssim": summary.srcnn_ssim}
        )
    judgement = judge(challenger_scores, scores, f"champion version {champion}")
    table = describe(judgement)
    logger.info(table)
    active_run.log_text(table, f"{ARTIFACTS}/verdict.md")
    active_run.log_json(asdict(judgement), f"{ARTIFACTS}/verdict.json")
    return judgement


def _named(champion: int | None) -> str:
    """What a version has to be better than."""
    return "bicubic" if champion is None else f"bicubic and version {champion}"


def _accept(scale: int, version: int, champion: int | None, judgement: Judgement) -> Verdict:
    psnr, ssim = judgement.contests[0].challenger, judgement.contests[1].challenger
    logger.info(
        "version %d is champion of %s: %.3f dB and SSIM %.5f, better than %s",
        version,
        registry.model_name(scale),
        psnr,
        ssim,
        _named(champion),
    )
    return Verdict(version, champion, ())


def _refuse(
    scale: int, version: int, champion: int | None, shortcomings: tuple[str, ...]
) -> Verdict:
    _record_verdict(scale, version, f"refused: {'; '.join(shortcomings)}")
    return _tell_refusal(version, champion, shortcomings)


def _tell_refusal(version: int, champion: int | None, shortcomings: tuple[str, ...]) -> Verdict:
    logger.info("version %s is not promoted: %s", version, "; ".join(shortcomings))
    return Verdict(version, champion, shortcomings)


def _record_verdict(scale: int, version: int, verdict: str) -> None:
    active_run.set_tags({"verdict": verdict})
    registry.tag_version(scale, version, {"judged_by": active_run.run_id(), "verdict": verdict})
