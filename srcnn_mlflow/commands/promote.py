"""`promote`: make a version the champion, if it has earned it on the same test pictures."""

from dataclasses import asdict, dataclass

import mlflow

from srcnn_mlflow import registry, tracking
from srcnn_mlflow.commands.evaluate import load_photos, score_model
from srcnn_mlflow.commands.prepare import Say
from srcnn_mlflow.errors import ModelError
from srcnn_mlflow.evaluation import Summary
from srcnn_mlflow.registry import CHALLENGER, CHAMPION, PREVIOUS_CHAMPION

SPLIT = "test"


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


def find_shortcomings(challenger: Summary, champion: Summary | None) -> tuple[str, ...]:
    """Hold a challenger's averages against bicubic's and the champion's on the same pictures.

    Returns:
        One sentence for everything that is not strictly better; empty when it passes.
    """
    bars = [("bicubic", challenger.bicubic_psnr, challenger.bicubic_ssim)]
    if champion:
        bars.append(("the champion", champion.srcnn_psnr, champion.srcnn_ssim))
    found = []
    for name, psnr, ssim in bars:
        if challenger.srcnn_psnr <= psnr:
            mine = f"{challenger.srcnn_psnr:.3f} dB"
            found.append(f"its PSNR of {mine} does not beat {name}'s {psnr:.3f} dB")
        if challenger.srcnn_ssim <= ssim:
            mine = f"{challenger.srcnn_ssim:.5f}"
            found.append(f"its SSIM of {mine} does not beat {name}'s {ssim:.5f}")
    return tuple(found)


def promote(
    scale: int, version: str, dataset: str, say: Say, known: Summary | None = None
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


def _judge(scale: int, version: str, dataset: str, say: Say, known: Summary | None) -> Verdict:
    if version != CHALLENGER and not version.isdigit():
        raise ModelError(f"version {version!r} is not challenger, a number or previous")
    found = registry.find_model(version, scale)
    assert found.version is not None
    name = registry.model_name(scale)
    mlflow.set_tag("model_uri", found.uri)
    champion = registry.version_with_alias(scale, CHAMPION)
    if champion == found.version:
        return _refuse(found.version, champion, (f"it is the champion of {name} already",), say)
    photos = load_photos(dataset, SPLIT, say)
    tracking.log_photos(dataset, photos, SPLIT)
    challenger_scores = known or score_model(found, photos, scale, scale, say)
    mlflow.log_metrics(asdict(challenger_scores))
    champion_scores = None
    if champion is not None:
        present = registry.find_model(CHAMPION, scale)
        champion_scores = score_model(present, photos, scale, scale, say)
        mlflow.log_metrics(
            {
                "champion_psnr": champion_scores.srcnn_psnr,
                "champion_ssim": champion_scores.srcnn_ssim,
            }
        )
    tags = registry.score_tags(challenger_scores, f"{dataset} {SPLIT}")
    registry.tag_version(scale, found.version, tags)
    shortcomings = find_shortcomings(challenger_scores, champion_scores)
    if shortcomings:
        return _refuse(found.version, champion, shortcomings, say)
    registry.promote(scale, found.version)
    against = "bicubic" if champion is None else f"bicubic and version {champion}"
    mlflow.set_tag("verdict", f"promoted: better than {against}")
    say(
        f"version {found.version} is champion of {name}: {challenger_scores.srcnn_psnr:.3f} dB and "
        f"SSIM {challenger_scores.srcnn_ssim:.5f} on {challenger_scores.images} test pictures, "
        f"better than {against}"
    )
    return Verdict(found.version, champion, ())


def _refuse(version: int, champion: int | None, shortcomings: tuple[str, ...], say: Say) -> Verdict:
    mlflow.set_tag("verdict", f"refused: {'; '.join(shortcomings)}")
    say(f"version {version} is not promoted: {'; '.join(shortcomings)}")
    return Verdict(version, champion, shortcomings)
