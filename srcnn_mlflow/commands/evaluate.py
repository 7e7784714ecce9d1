"""`evaluate`: a registered model against bicubic, in numbers and in pictures."""

import logging
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from srcnn_mlflow.commands.evaluate_files import ARTIFACTS, write_files
from srcnn_mlflow.machine.atomic_write import atomic_write
from srcnn_mlflow.machine.errors import ImageError, ModelError
from srcnn_mlflow.machine.git import git_commit
from srcnn_mlflow.machine.text import as_markdown, short_dataset
from srcnn_mlflow.measuring.ensemble import self_ensemble
from srcnn_mlflow.measuring.evaluation import (
    ImageScore,
    Summary,
    check_sizes,
    score_photos,
    summarize,
)
from srcnn_mlflow.measuring.gate import LEAST_PICTURES
from srcnn_mlflow.measuring.tables import describe_bias, markdown_table, table_rows
from srcnn_mlflow.network.upscaler import Upscaler
from srcnn_mlflow.pictures.datasets import GATE, Dataset, Split, describe, load_dataset
from srcnn_mlflow.pictures.imaging import Plane
from srcnn_mlflow.pictures.photos import Photo
from srcnn_mlflow.showing.exhibits import choose_exhibits
from srcnn_mlflow.showing.report import About
from srcnn_mlflow.tracking import active_run, registry, runs
from srcnn_mlflow.tracking.active_run import Measured
from srcnn_mlflow.tracking.decisions import find_decisions
from srcnn_mlflow.tracking.judge import JudgedModel
from srcnn_mlflow.tracking.registry import FoundModel
from srcnn_mlflow.tracking.seen_pictures import all_is_known, find_seen, recognize
from srcnn_mlflow.tracking.views import evaluations

MOST_NAMED = 5

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """A model's scores on some photographs.

    Attributes:
        model: what was judged.
        scores: picture by picture.
        digest: of the pictures, together.
        model_id: of its logged model; None for one that this store does not have.
    """

    model: FoundModel
    scores: tuple[ImageScore, ...]
    digest: str
    model_id: str | None

    @property
    def summary(self) -> Summary:
        """The scores, averaged."""
        return summarize(self.scores)


def evaluate(
    scale: int,
    model: str,
    dataset: str,
    split: str,
    border: int | None,
    ensemble: bool = False,
    pictures: Split | None = None,
    gate_split: bool = False,
    results: Path | None = None,
) -> Evaluation:
    """Judge a model in a run of its own.

    Args:
        scale: 2, 3 or 4.
        model: `newest`, an alias, a version number, `shipped` or a model URI.
        dataset: names the photographs.
        split: `train`, `valid`, `test`, `gate` or `all`.
        border: pixels left out along each edge; None for the scale.
        ensemble: measure the model's self-ensemble too, apart from the model itself.
        pictures: the photographs, where they have been loaded already.
        gate_split: cut a gate out of the test pictures.
        results: a folder for what was measured, as `score` takes it: luma as grey PNG files, and
            of a network on colours these.

    Raises:
        SrcnnError: with a message for the person who asked.
    """
    parameters = {
        "scale": scale,
        "model": model,
        "dataset": dataset,
        "split": split,
        "border": "scale" if border is None else border,
        "self_ensemble": ensemble,
        "gate_split": gate_split,
        "results": results,
    }
    width = scale if border is None else border

    def check() -> tuple[FoundModel, Split]:
        found = registry.find_model(model, scale)
        _check_scale(found, scale)
        photographs = pictures or load_comparable(dataset, split, scale, width, gate_split)
        _check_apart(results, photographs)
        return found, photographs

    with runs.track_after(
        check, "evaluate", scale, parameters, f"evaluate x{scale} {short_dataset(dataset)}"
    ) as (
        found,
        photographs,
    ):
        active_run.set_tags(
            {"model_uri": found.uri, "mlflow.runName": f"{found.label} on {short_dataset(dataset)}"}
        )
        model_id = registry.logged_id(found)
        active_run.log_split(photographs, models=[model_id])
        tell_seen(found, photographs)
        evaluation = _judge(found, model_id, photographs, scale, width, results)
        if ensemble:
            _judge_ensemble(evaluation, photographs, scale, width)
        return evaluation


def _check_scale(found: FoundModel, scale: int) -> None:
    """Make sure that a model was trained for a scale, where its files say so."""
    for network in found.folder.glob(f"**/{registry.NETWORK_FILE}"):
        made_for = Upscaler(network).scale
        if made_for != scale:
            raise ModelError(
                f"{found.label} enlarges by {made_for}, not by {scale}; give scale={made_for}, or "
                f"a model trained with scale={scale}"
            )


def load_split(dataset: str, split: str, gate_split: bool = False) -> Split:
    """The photographs of a split, each once, after telling what the data set holds."""
    loaded = load_dataset(dataset, gate_split=gate_split)
    found = loaded.measured(split)
    describe(loaded, tuple(loaded.splits) if split == "all" else (split,))
    if gate_split or split == GATE:
        tell_small_gate(loaded)
    return found


def tell_small_gate(dataset: Dataset) -> None:
    """Warn of a gate that no champion can be replaced on, for want of pictures."""
    gate = len(dataset.splits.get(GATE, ()))
    if gate < LEAST_PICTURES:
        logger.warning(
            "the gate of %s has %d picture(s), and to replace a champion takes at least %d; add "
            "pictures, or join div2k, which with gate_split=true brings 30",
            *(dataset.name, gate, LEAST_PICTURES),
        )


def tell_seen(found: FoundModel, split: Split) -> None:
    """Tell which pictures of a split a model has seen in its training, and tag the active run."""
    seen = find_seen(found)
    if seen is None or not all_is_known(found):
        logger.info(
            "which pictures %s was trained on is not known; it may have seen some of these",
            found.label,
        )
    known = recognize(seen or (), split.photos)
    if not known:
        return
    pairs = [f"{photo.name} ({one.name} of {one.split})" for photo, one in known.items()]
    names = ", ".join(pairs[:MOST_NAMED]) + (", ..." if len(pairs) > MOST_NAMED else "")
    share = f"{len(known)} of {len(split.photos)}"
    logger.warning(
        "%s has seen %s of these pictures in its training, or copies of them: %s; what it scores "
        "on them says nothing about others",
        *(found.label, share, names),
    )
    tag = re.sub(r"[^\w.-]", "_", found.label)
    active_run.set_tags({f"seen_in_training/{tag}": f"{share}: {names}"})


def load_comparable(
    dataset: str, split: str, scale: int, border: int, gate_split: bool = False
) -> Split:
    """The same, once it is sure that some of them are large enough to be compared."""
    pictures = load_split(dataset, split, gate_split)
    check_sizes(pictures.photos, scale, border)
    return pictures


def score_model(
    found: FoundModel, photos: Sequence[Photo], scale: int, border: int
) -> tuple[ImageScore, ...]:
    """Score a logged model picture by picture, run as it was logged."""
    channels = found.channels
    with JudgedModel(found.folder, found.name) as judged:
        scored = score_photos(photos, scale, border, judged.upscale_pixels, channels)
        return tuple(score for _, score in scored)


def _check_apart(results: Path | None, split: Split) -> None:
    """Make sure that no result lies among the photographs, where it would be taken for one."""
    for photo in split.photos:
        if results is not None and photo.path.resolve().is_relative_to(results.resolve()):
            raise ImageError(
                f"results {results} holds the picture {photo.name} itself; give a folder of their "
                "own"
            )


def _scored(
    judged: JudgedModel,
    channels: str,
    split: Split,
    scale: int,
    border: int,
    results: Path | None,
) -> Iterator[tuple[Photo, ImageScore]]:
    """Score picture by picture, and keep what was measured where that is asked for."""
    made: list[Plane] = []

    def upscale(pixels: Plane) -> Plane:
        made[:] = [judged.upscale_pixels(pixels)]
        return made[0]

    stems = Counter(photo.path.stem for photo in split.photos)
    for photo, score in score_photos(split.photos, scale, border, upscale, channels):
        if results is not None:
            name = photo.path.stem if stems[photo.path.stem] == 1 else photo.path.name
            with atomic_write(results / f"{name}-x{scale}.png") as partial:
                Image.fromarray(made[0]).save(partial, "PNG")
        yield photo, score


def _judge(
    found: FoundModel,
    model_id: str | None,
    split: Split,
    scale: int,
    border: int,
    results: Path | None,
) -> Evaluation:
    channels = found.channels
    with JudgedModel(found.folder, found.name) as judged:
        scored = list(_scored(judged, channels, split, scale, border, results))
        extremes = choose_exhibits(scored, scale, judged, channels)
    evaluation = Evaluation(found, tuple(score for _, score in scored), split.digest, model_id)
    about: About = {
        "model": found.label,
        "dataset": split.dataset,
        "split": split.name,
        "digest": split.digest,
        "images": len(scored),
        "border": border,
        "commit": git_commit(),
    }
    decisions = find_decisions(split.digest)
    _log_measured(evaluation.summary.metrics(), evaluation, split, scale, border)
    write_files(evaluation.scores, extremes, scale, about, decisions)
    heading = f"{found.label} on {len(scored)} pictures of {split.label}:"
    table = markdown_table(table_rows(scale, evaluation.summary))
    decided = decisions.sentence()
    active_run.describe(f"{as_markdown(heading)}\n\n{table}\n\n{decided}".rstrip())
    logger.info(heading)
    logger.info(table)
    if decided:
        logger.info(decided)
    logger.info(describe_bias(evaluation.summary))
    address = active_run.place_of_artifacts(ARTIFACTS)
    logger.info("table, pictures and report.html: %s", address)
    page = active_run.share(evaluations(scale, split.digest))
    if page is not None:
        logger.info("all evaluations on these pictures, best first: %s", page)
    if results is not None:
        held = "luma in grey files" if channels == "y" else "colours, of which luma was taken,"
        logger.info("what was measured, %s for score: %s", held, results)
    return evaluation


def _log_measured(
    values: dict[str, float], evaluation: Evaluation, split: Split, scale: int, border: int
) -> None:
    """Log numbers, tied to the model unless they are of another border than every other number."""
    model_id = evaluation.model_id if border == scale else None
    active_run.log_measured(Measured(values, split, model_id))


def _judge_ensemble(evaluation: Evaluation, split: Split, scale: int, border: int) -> None:
    found = evaluation.model
    with JudgedModel(found.folder, found.name) as judged:
        enlarge = self_ensemble(judged.upscale_pixels)
        scored = score_photos(split.photos, scale, border, enlarge, found.channels)
        summary = summarize(score for _, score in scored)
    values = {"ensemble_psnr": summary.srcnn_psnr, "ensemble_ssim": summary.srcnn_ssim}
    _log_measured(values, evaluation, split, scale, border)
    logger.info(
        "self-ensemble of %s, eight times the work: %.2f dB, SSIM %.4f",
        found.label,
        summary.srcnn_psnr,
        summary.srcnn_ssim,
    )
