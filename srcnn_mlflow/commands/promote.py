"""`promote`: make a version the champion, if it has earned it on the same pictures."""

import logging
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from srcnn_mlflow.commands.evaluate import load_comparable, score_model, tell_seen
from srcnn_mlflow.commands.promote_line import (
    ARTIFACTS,
    Broken,
    describe_broken,
    newest_that_runs,
    reason_of,
    record_verdict,
)
from srcnn_mlflow.commands.promote_previous import ROLLED_BACK, check_former, roll_back
from srcnn_mlflow.machine.errors import DamagedModelError, ModelError
from srcnn_mlflow.machine.text import as_markdown, is_number
from srcnn_mlflow.measuring.evaluation import ImageScore, summarize
from srcnn_mlflow.measuring.gate import Judgement, decision, describe, judge, refusal
from srcnn_mlflow.pictures.datasets import GATE, Split
from srcnn_mlflow.tracking import active_run, champions, registry, runs
from srcnn_mlflow.tracking.active_run import Measured
from srcnn_mlflow.tracking.champions import Champions
from srcnn_mlflow.tracking.decisions import find_decisions, record_decision
from srcnn_mlflow.tracking.descriptions import VERDICT_TABLE, complete_card, renew_card, write_card
from srcnn_mlflow.tracking.judge import check_model
from srcnn_mlflow.tracking.registry import CHALLENGER, FoundModel, model_name
from srcnn_mlflow.tracking.registry_lock import alone_in_registry

# Both have numbers of the same names. A run's own are those of the last step: the challenger's.
CHAMPIONS_STEP, CHALLENGERS_STEP = 0, 1

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Verdict:
    """What the gate decided.

    Attributes:
        version: the version that was judged.
        champion: the champion it was judged against, or that was rolled back; None for none.
        shortcomings: one sentence for everything it fell short of; empty when it was promoted.
    """

    version: int
    champion: int | None
    shortcomings: tuple[str, ...]

    @property
    def promoted(self) -> bool:
        """Whether the version is champion now."""
        return not self.shortcomings


@dataclass(frozen=True)
class _Opponent:
    """Whom a challenger has to beat beside bicubic.

    Attributes:
        version: the champion, or the newest before it that can be run; None where there is none.
        scores: its scores.
        line: the champions up to it, which stay in the line.
        broken: the champion and those before it that cannot be run.
    """

    version: int | None
    scores: Sequence[ImageScore] | None
    line: tuple[int, ...]
    broken: tuple[Broken, ...]

    @property
    def name(self) -> str:
        """How tables and sentences call it."""
        return f"{'former ' if self.broken else ''}champion version {self.version}"


def promote(
    scale: int,
    version: str,
    dataset: str,
    split: str = "test",
    gate_split: bool = False,
    known: Sequence[ImageScore] | None = None,
) -> Verdict:
    """Judge a version in a run of its own, and move the alias `champion` when it passes.

    Args:
        scale: 2, 3 or 4.
        version: `challenger`, a version number, or `previous` to roll back without judging.
        dataset: names the photographs.
        split: which of them decide: `train`, `valid`, `test`, `gate` or `all`.
        gate_split: cut a gate out of the test pictures.
        known: the version's scores on these pictures, where they have just been measured.

    Raises:
        SrcnnError: with a message for the person who asked.
    """
    parameters = {
        "scale": scale,
        "version": version,
        "dataset": dataset,
        "split": split,
        "gate_split": gate_split,
    }

    def check() -> tuple[FoundModel, Split] | None:
        if version == "previous":
            check_former(scale)
            return None
        if version != CHALLENGER and not is_number(version):
            raise ModelError(f"version {version!r} is not challenger, a number or previous")
        found = registry.find_model(version, scale)
        return found, load_comparable(dataset, split, scale, scale, gate_split)

    with runs.track_after(
        check, "promote", scale, parameters, f"promote x{scale} {version}"
    ) as candidate:
        champions.mend_aliases(scale)
        complete_card(scale)
        if candidate is None:
            champion, former = roll_back(scale)
            left = "" if former is None else f", in place of version {former}"
            active_run.describe(f"{model_name(scale)}/{champion} is champion again{left}.")
            return Verdict(champion, former, ())
        found, pictures = candidate
        on_more = _command_on_more(scale, found.version, dataset, split, gate_split)
        return _judge(scale, found, pictures, known, on_more)


def _judge(
    scale: int,
    found: FoundModel,
    split: Split,
    scores: Sequence[ImageScore] | None,
    on_more: str,
) -> Verdict:
    assert found.version is not None
    active_run.set_tags({"model_uri": found.uri})
    known = champions.champions(scale)
    if known.present == found.version:
        return _refuse_champion(scale, found)
    _warn_of_roll_back(scale, found.version)
    model_id = registry.logged_id(found)
    active_run.log_split(split, models=[model_id])
    tell_seen(found, split)
    try:
        scores = scores or _score(found, split, scale)
    except DamagedModelError as error:
        reason = f"it cannot be run: {reason_of(scale, found.version, error)}"
        return _refuse(scale, found.version, known.present, (reason,))
    summary = summarize(scores)
    active_run.log_measured(Measured(summary.metrics(), split, model_id, CHALLENGERS_STEP))
    registry.tag_version(scale, found.version, registry.score_tags(summary, split.label))
    decided = _describe_decisions(split)
    while known.present != found.version:
        opponent = _find_opponent(known, found.version, split, scale)
        record_decision(split, None if opponent.version is None else _uri(scale, opponent.version))
        judgement = _judge_against(opponent, found.version, scores, scale, on_more, decided)
        if judgement.shortcomings:
            verdict = _refuse(scale, found.version, opponent.version, judgement.shortcomings)
            renew_card(scale, found.version)
            return verdict
        with alone_in_registry(model_name(scale)):
            present = champions.champions(scale)
            if present == known:
                _record_promotion(scale, found.version, opponent, judgement)
                champions.promote(scale, found.version, opponent.line)
        if present == known:
            # Outside the queue, in which others wait.
            _write_card(scale, found.version, f"{describe(judgement)}\n{decided}")
            return _accept(scale, found.version, opponent, judgement)
        logger.info("version %s has become champion meanwhile; judging against it", present.present)
        known = present
    return _refuse_champion(scale, found)


def _refuse_champion(scale: int, found: FoundModel) -> Verdict:
    """Refuse to judge the champion against itself; a broken one is named."""
    check_model(found, scale)
    assert found.version is not None
    reason = f"it is the champion of {model_name(scale)} already"
    # Of the run alone; the version keeps the verdict that made it champion.
    active_run.set_tags({"verdict": f"refused: {reason}"})
    return _tell_refusal(found.version, found.version, (reason,))


def _warn_of_roll_back(scale: int, version: int) -> None:
    verdict = (registry.version_tags(scale, version) or {}).get("verdict", "")
    if verdict.startswith(ROLLED_BACK):
        logger.warning("version %d is judged anew, though it was %s", version, verdict)


def _score(found: FoundModel, split: Split, scale: int) -> tuple[ImageScore, ...]:
    """Score a model; where that fails, find out whether the model is to blame.

    Raises:
        DamagedModelError: it cannot be run on a small picture either.
        ModelError: it can; so it may be the picture, or the machine.
    """
    try:
        return score_model(found, split.photos, scale, scale)
    except ModelError as error:
        check_model(found, scale)
        raise ModelError(str(error)) from error


def _log_champion(found: FoundModel, scores: Sequence[ImageScore], split: Split) -> None:
    summary, model_id = summarize(scores), registry.logged_id(found)
    values = {"champion_psnr": summary.srcnn_psnr, "champion_ssim": summary.srcnn_ssim}
    if model_id is not None:
        active_run.log_inputs([], [model_id])
        values |= summary.metrics()
    active_run.log_measured(Measured(values, split, model_id, CHAMPIONS_STEP))


def _find_opponent(known: Champions, challenger: int, split: Split, scale: int) -> _Opponent:
    if known.present is None:
        return _Opponent(None, None, known.line, ())

    def judged(found: FoundModel) -> tuple[ImageScore, ...]:
        tell_seen(found, split)
        scores = _score(found, split, scale)
        _log_champion(found, scores, split)
        return scores

    # A challenger that was champion before is not held against itself.
    line, scores, broken = newest_that_runs(scale, known.line, judged, beside=challenger)
    return _Opponent(line[-1] if line else None, scores, line, broken)


def _describe_decisions(split: Split) -> str:
    """How often these pictures have decided, the verdict that is to come among them."""
    before = find_decisions(split.digest)
    return replace(before, promotions=before.promotions + 1).sentence("With this verdict, this set")


def _judge_against(
    opponent: _Opponent,
    version: int,
    challenger_scores: Sequence[ImageScore],
    scale: int,
    on_more: str,
    decided: str,
) -> Judgement:
    judgement = judge(challenger_scores, opponent.scores, opponent.name, on_more)
    table = f"{describe(judgement)}\n{decided}\n"
    if opponent.broken:
        table += f"\nPassed over: {describe_broken(scale, opponent.broken)}.\n"
    logger.info(table)
    sentence, reasons = decision(f"Version {version} of {model_name(scale)}", judgement)
    listed = "\n".join(f"- {as_markdown(reason)}" for reason in reasons)
    page = "\n\n".join(filter(None, [as_markdown(sentence), listed, table]))
    active_run.log_text(page, VERDICT_TABLE)
    active_run.describe(page)
    facts = {**asdict(judgement), "rule": judgement.rule, "decided": decided}
    active_run.log_json(facts, f"{ARTIFACTS}/verdict.json")
    return judgement


def _command_on_more(
    scale: int, version: int | None, dataset: str, split: str = "test", gate_split: bool = False
) -> str:
    """The command that judges on more pictures: `samples` add 5 that test, `div2k` 30 or more."""
    too_few = split in ("valid", GATE) or "samples" in dataset.split("+")
    more = "div2k" if too_few else "samples"
    command = (
        f"srcnn-mlflow promote --scale {scale} --version {version} "
        f"--dataset {shlex.quote(f'{dataset}+{more}')}"
    )
    command += "" if split == "test" else f" --split {split}"
    return f"{command} --gate-split true" if gate_split or split == GATE else command


def _uri(scale: int, version: int) -> str:
    return f"models:/{model_name(scale)}/{version}"


def _named(opponent: _Opponent) -> str:
    """What a version has to be better than."""
    return "bicubic" if opponent.version is None else f"bicubic and version {opponent.version}"


def _record_promotion(scale: int, version: int, opponent: _Opponent, judgement: Judgement) -> None:
    """Before the alias moves, so that no champion is without its reason after a kill."""
    text = f"promoted: better than {_named(opponent)}"
    if judgement.by_weaker_rule:
        text += f". {judgement.rule}"
    if opponent.broken:
        text += f", in place of a broken champion: {describe_broken(scale, opponent.broken)}"
    for one in opponent.broken:
        if registry.version_tags(scale, one.version) is not None:
            lost = f"lost its place to version {version}: cannot be run ({one.reason})"
            record_verdict(scale, one.version, lost)
    record_verdict(scale, version, text)


def _write_card(scale: int, version: int, verdict: str) -> None:
    if not write_card(scale, version, verdict, active_run.run_id()):
        logger.info("the description of version %d was written by a person, and is kept", version)


def _accept(scale: int, version: int, opponent: _Opponent, judgement: Judgement) -> Verdict:
    psnr, ssim = judgement.contests[0].challenger, judgement.contests[1].challenger
    logger.info(
        "version %d is champion of %s: %.3f dB and SSIM %.5f, better than %s",
        version,
        model_name(scale),
        psnr,
        ssim,
        _named(opponent),
    )
    return Verdict(version, opponent.version, ())


def _refuse(
    scale: int, version: int, champion: int | None, shortcomings: tuple[str, ...]
) -> Verdict:
    record_verdict(scale, version, f"refused: {'; '.join(shortcomings)}")
    return _tell_refusal(version, champion, shortcomings)


def _tell_refusal(version: int, champion: int | None, shortcomings: tuple[str, ...]) -> Verdict:
    sentence, reasons = refusal(f"version {version}", shortcomings)
    logger.info("\n".join([sentence, *(f"- {reason}" for reason in reasons)]))
    return Verdict(version, champion, shortcomings)
