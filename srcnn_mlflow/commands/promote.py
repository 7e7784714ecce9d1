"""`promote`: make a version the champion, if it has earned it on the same test pictures."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import mlflow

from srcnn_mlflow import registry, tracking
from srcnn_mlflow.commands.evaluate import load_photos, score_model
from srcnn_mlflow.datasets import Photo
from srcnn_mlflow.errors import ModelError
from srcnn_mlflow.evaluation import ImageScore, summarize
from srcnn_mlflow.gate import Judgement, describe, judge
from srcnn_mlflow.progress import Say
from srcnn_mlflow.registry import CHALLENGER, CHAMPION, PREVIOUS_CHAMPION

SPLIT = "test"
ARTIFACTS = "promotion"


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
    say: Say,
    known: Sequence[ImageScore] | None = None,
) -> Verdict:
    """Judge a version in a run of its own, and move the alias `champion` when it passes.

    Args:
        scale: 2, 3 or 4.
        version: `challenger`, a version number, or `previous` to roll back without judging.
        dataset: its test pictures decide.
        say: where messages go.
        known: the version's scores on these pictures, where they have just been measured.

    Raises:
        SrcnnError: with a message for the person who asked.
    """
    parameters = {"scale": scale, "version": version, "dataset": dataset}
    with tracking.track("promote", scale, parameters, f"promote x{scale} {version}"):
        registry.mend_aliases(scale)
        if version == "previous":
            return _roll_back(scale, say)
        return _judge(scale, version, dataset, say, known)


def _roll_back(scale: int, say: Say) -> Verdict:
    former = registry.find_model(PREVIOUS_CHAMPION, scale)
    assert former.version is not None
    champion = registry.version_with_alias(scale, CHAMPION)
    registry.promote(scale, former.version)
    say(f"rolled back: version {former.version} is champion of {registry.model_name(scale)} again")
    return Verdict(former.version, champion, ())


def _judge(
    scale: int, version: str, dataset: str, say: Say, known: Sequence[ImageScore] | None
) -> Verdict:
    if version != CHALLENGER and not version.isdigit():
        raise ModelError(f"version {version!r} is not challenger, a number or previous")
    found = registry.find_model(version, scale)
    assert found.version is not None
    mlflow.set_tag("model_uri", found.uri)
    champion = registry.version_with_alias(scale, CHAMPION)
    if champion == found.version:
        reason = f"it is the champion of {registry.model_name(scale)} already"
        # Of the run alone; the version keeps the verdict that made it champion.
        mlflow.set_tag("verdict", f"refused: {reason}")
        return _say_refusal(champion, champion, (reason,), say)
    photos = load_photos(dataset, SPLIT, say)
    tracking.log_photos(dataset, photos, SPLIT)
    challenger_scores = known or score_model(found, photos, scale, scale, say)
    _record_scores(scale, found.version, challenger_scores, f"{dataset} {SPLIT}")
    judgement = _judge_against(champion, challenger_scores, photos, scale, say)
    while not judgement.shortcomings:
        # Before the alias, so that no champion is without its reason if the process is killed.
        _record_verdict(scale, found.version, f"promoted: better than {_named(champion)}")
        present = registry.version_with_alias(scale, CHAMPION)
        if present == champion:
            registry.promote(scale, found.version)
            return _accept(scale, found.version, champion, judgement, say)
        say(f"version {present} has become champion meanwhile; judging against it")
        champion = present
        judgement = _judge_against(champion, challenger_scores, photos, scale, say)
    return _refuse(scale, found.version, champion, judgement.shortcomings, say)


def _record_scores(
    scale: int, version: int, scores: Sequence[ImageScore], measured_on: str
) -> None:
    summary = summarize(scores)
    mlflow.log_metrics(asdict(summary))
    registry.tag_version(scale, version, registry.score_tags(summary, measured_on))


def _judge_against(
    champion: int | None,
    challenger_scores: Sequence[ImageScore],
    photos: Sequence[Photo],
    scale: int,
    say: Say,
) -> Judgement:
    scores = None
    if champion is not None:
        scores = score_model(registry.find_model(str(champion), scale), photos, scale, scale, say)
        summary = summarize(scores)
        mlflow.log_metrics(
            {"champion_psnr": summary.srcnn_psnr, "champion_ssim": summary.srcnn_ssim}
        )
    judgement = judge(challenger_scores, scores, f"champion version {champion}")
    table = describe(judgement)
    say(table)
    mlflow.log_text(table, f"{ARTIFACTS}/verdict.md")
    mlflow.log_dict(asdict(judgement), f"{ARTIFACTS}/verdict.json")
    return judgement


def _named(champion: int | None) -> str:
    """What a version has to be better than."""
    return "bicubic" if champion is None else f"bicubic and version {champion}"


def _accept(
    scale: int, version: int, champion: int | None, judgement: Judgement, say: Say
) -> Verdict:
    psnr, ssim = judgement.contests[0].challenger, judgement.contests[1].challenger
    say(
        f"version {version} is champion of {registry.model_name(scale)}: {psnr:.3f} dB and SSIM "
        f"{ssim:.5f}, better than {_named(champion)}"
    )
    return Verdict(version, champion, ())


def _refuse(
    scale: int, version: int, champion: int | None, shortcomings: tuple[str, ...], say: Say
) -> Verdict:
    _record_verdict(scale, version, f"refused: {'; '.join(shortcomings)}")
    return _say_refusal(version, champion, shortcomings, say)


def _say_refusal(
    version: int, champion: int | None, shortcomings: tuple[str, ...], say: Say
) -> Verdict:
    say(f"version {version} is not promoted: {'; '.join(shortcomings)}")
    return Verdict(version, champion, shortcomings)


def _record_verdict(scale: int, version: int, verdict: str) -> None:
    run = mlflow.active_run()
    assert run is not None
    mlflow.set_tag("verdict", verdict)
    registry.tag_version(scale, version, {"judged_by": run.info.run_id, "verdict": verdict})
