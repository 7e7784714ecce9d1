"""`compare`: several registered versions beside each other, on the same photographs."""

import json
import logging
import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace

from PIL import Image

from srcnn_mlflow.commands.evaluate import load_comparable, tell_seen
from srcnn_mlflow.machine.git import git_commit
from srcnn_mlflow.machine.processors import available_cores
from srcnn_mlflow.machine.progress import progress
from srcnn_mlflow.machine.text import as_markdown, short_dataset
from srcnn_mlflow.measuring.comparison import (
    ComparedModel,
    Findings,
    Picture,
    best_by_scale,
    describe,
    find_extremes,
    findings_page,
    models_table,
    rank_key,
)
from srcnn_mlflow.measuring.evaluation import (
    ImageScore,
    describe_protocol,
    score_photos,
    summarize,
)
from srcnn_mlflow.measuring.leads import describe_leads
from srcnn_mlflow.measuring.spectrum import high_frequencies
from srcnn_mlflow.measuring.timing import ROUNDS, median_seconds
from srcnn_mlflow.pictures.datasets import Split
from srcnn_mlflow.pictures.decoding import open_image
from srcnn_mlflow.pictures.imaging import flatten
from srcnn_mlflow.pictures.photos import Photo, digest, load_luma
from srcnn_mlflow.showing.comparison_figure import draw_comparison, in_words
from srcnn_mlflow.tracking import active_run, runs
from srcnn_mlflow.tracking.active_run import Measured
from srcnn_mlflow.tracking.decisions import Decisions, find_decisions
from srcnn_mlflow.tracking.judge import JudgedModel
from srcnn_mlflow.tracking.registry import logged_id
from srcnn_mlflow.tracking.versions import Version, find_versions

ARTIFACTS = "comparison"
# Of the photograph that is timed: large enough to last, small enough not to wait for.
LARGEST_SIDE = 768
# The tag of the run that a version has below the comparison's.
ENTRY_POINT = "compare-version"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TimedPhotograph:
    """What every version enlarges while it is timed.

    Attributes:
        name: of the picture it comes from.
        image: in full size, mode L or RGB.
    """

    name: str
    image: Image.Image

    @property
    def size(self) -> str:
        """Its width and height."""
        return f"{self.image.width}x{self.image.height}"

    def footnote(self) -> str:
        """How it was timed."""
        return (
            f"Seconds are this machine's, with {available_cores()} cores: the median of {ROUNDS} "
            f"runs after one to warm up, models in turn, in which the model as it is served "
            f"enlarges the middle of {self.name} to {self.size} pixels, from PNG to PNG."
        )


@dataclass(frozen=True)
class _Judged:
    """A version with what was measured of it, picture by picture and on average."""

    version: Version
    model_id: str | None
    scores: Sequence[ImageScore]
    model: ComparedModel


def compare(models: str, dataset: str, split: str, gate_split: bool = False) -> list[ComparedModel]:
    """Judge several versions in one run, each as `evaluate` does, and say what they share.

    Args:
        models: versions joined by `+`, such as `srcnn-x2@champion+srcnn-x4/3`, or `all` for
            every challenger and champion; `shipped` among them stands for the weights that come
            with the package, at each of their scales.
        dataset: names the photographs.
        split: `train`, `valid`, `test`, `gate` or `all`.
        gate_split: cut a gate out of the test pictures.

    Returns:
        What was measured, from the smallest scale, the best of each scale first.

    Raises:
        SrcnnError: with a message for the person who asked.
    """
    parameters = {
        "models": models,
        "dataset": dataset,
        "split": split,
        "gate_split": gate_split,
    }

    def check() -> tuple[list[Version], Split]:
        versions = find_versions(models)
        largest = max(version.scale for version in versions)
        return versions, load_comparable(dataset, split, largest, largest, gate_split)

    with runs.track_after(
        check, "compare", None, parameters, f"compare {short_dataset(dataset)}"
    ) as (
        versions,
        pictures,
    ):
        active_run.set_tags({"model_uri": "+".join(version.found.uri for version in versions)})
        model_ids = [logged_id(version.found) for version in versions]
        active_run.log_inputs([pictures], model_ids)
        for version in versions:
            tell_seen(version.found, pictures)
        with ExitStack() as stack:
            # All at once, so that they can be timed in turn.
            judges = [
                stack.enter_context(JudgedModel(version.found.folder, version.found.name))
                for version in versions
            ]
            shared, scores = _score_all(versions, judges, pictures.photos)
            timed = _photograph_to_time(shared, versions)
            seconds = _time_all(versions, judges, timed.image)
        judged = [
            _Judged(version, model_id, of_version, _measured(version, of_version, time))
            for version, model_id, of_version, time in zip(
                *(versions, model_ids, scores, seconds), strict=True
            )
        ]
        judged.sort(key=lambda one: rank_key(one.model))
        compared = [one.model for one in judged]
        findings = _rank_pictures(judged, shared)
        judged_on = replace(pictures, photos=shared, digest=digest(shared))
        _log_each(judged, judged_on)
        measured_on = f"{len(shared)} pictures of {pictures.label}"
        decisions = find_decisions(pictures.digest)
        leads = _leads(judged)
        _write(compared, leads, findings, timed, measured_on, judged_on.digest, decisions)
        logger.info("on %s:", measured_on)
        logger.info(models_table(compared))
        for lead in leads:
            logger.info(lead)
        if decisions.sentence():
            logger.info(decisions.sentence())
        logger.info(timed.footnote())
        logger.info(describe(findings))
        address = active_run.place_of_artifacts(ARTIFACTS)
        logger.info("table, figure and pictures: %s", address)
        for line in active_run.how_to_see_below("all versions in each chart", "srcnn_psnr"):
            logger.info(line)
    return compared


def _score_all(
    versions: Sequence[Version], judges: Sequence[JudgedModel], photos: Sequence[Photo]
) -> tuple[tuple[Photo, ...], list[list[ImageScore]]]:
    """Score every version on the photographs that can be compared at every scale.

    Where one of them works on colours, these are measured of all.
    """
    in_colour = any(version.channels != "y" for version in versions)
    shared = tuple(photos)
    scores: list[dict[Photo, ImageScore]] = []
    for version, judged in zip(versions, judges, strict=True):
        logger.info("judging %s", version.found.label)
        scale = version.scale
        enlarge, channels = judged.upscale_pixels, version.channels
        scores.append(dict(score_photos(shared, scale, scale, enlarge, channels, in_colour)))
        shared = tuple(scores[-1])
    if len(shared) < len(photos):
        logger.info(
            "all models are compared on the %d of %d pictures that every one of them could be "
            "judged on",
            len(shared),
            len(photos),
        )
    return shared, [[scored[photo] for photo in shared] for scored in scores]


def _photograph_to_time(photos: Sequence[Photo], versions: Sequence[Version]) -> TimedPhotograph:
    """The middle of the largest photograph, which every scale divides."""
    largest = max(photos, key=lambda photo: photo.width * photo.height)
    image = flatten(open_image(largest.path))
    multiple = math.lcm(*(version.scale for version in versions))
    width, height = (min(side, LARGEST_SIDE) // multiple * multiple for side in image.size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return TimedPhotograph(largest.name, image.crop((left, top, left + width, top + height)))


def _time_all(
    versions: Sequence[Version], judges: Sequence[JudgedModel], photograph: Image.Image
) -> list[float]:
    """Seconds in which each version enlarges a small copy of a photograph to its full size."""

    def task(scale: int, judged: JudgedModel) -> Callable[[], object]:
        size = (photograph.width // scale, photograph.height // scale)
        small = photograph.resize(size, Image.Resampling.BICUBIC)
        return lambda: judged.upscale_image(small)

    return median_seconds(
        [task(version.scale, judged) for version, judged in zip(versions, judges, strict=True)]
    )


def _measured(version: Version, scores: Sequence[ImageScore], seconds: float) -> ComparedModel:
    return ComparedModel(
        version.found.label,
        version.aliases,
        version.scale,
        version.network,
        version.weights,
        summarize(scores),
        seconds,
    )


def _leads(judged: Sequence[_Judged]) -> list[str]:
    """Which version is the best, and by how much, in a sentence for each scale of several."""
    psnr: dict[int, dict[str, list[float]]] = {}
    for one in judged:
        values = [score.srcnn_psnr for score in one.scores]
        psnr.setdefault(one.model.scale, {})[one.model.label] = values
    return [describe_leads(of_scale) for of_scale in psnr.values() if len(of_scale) > 1]


def _rank_pictures(judged: Sequence[_Judged], photos: Sequence[Photo]) -> Findings:
    best = best_by_scale([one.model for one in judged])
    ranked_by = {one.model.scale: one.scores for one in judged if one.model in best.values()}
    pictures = [
        Picture(
            photo.name,
            high_frequencies(load_luma(photo)),
            {scale: ranking[place].srcnn_psnr for scale, ranking in ranked_by.items()},
        )
        for place, photo in enumerate(progress(photos, total=len(photos), label="spectra"))
    ]
    return find_extremes({scale: model.label for scale, model in best.items()}, pictures)


def _log_each(judged: Sequence[_Judged], pictures: Split) -> None:
    """Log each version in a run below this one, so that the UI puts all into one chart."""
    for one in judged:
        model, model_id = one.model, one.model_id
        values = model.values()
        known = {name: values[name] for name in ("label", "architecture", "weights")}
        with runs.track(ENTRY_POINT, model.scale, known, model.name):
            active_run.set_tags({"model_uri": one.version.found.uri})
            active_run.log_split(pictures, models=[model_id])
            measured = {**model.summary.metrics(), "seconds": model.seconds}
            active_run.log_measured(Measured(measured, pictures, model_id))
            active_run.describe(models_table([model]))


def _write(
    compared: Sequence[ComparedModel],
    leads: Sequence[str],
    findings: Findings,
    timed: TimedPhotograph,
    measured_on: str,
    photos_digest: str,
    decisions: Decisions,
) -> None:
    values = [model.values() for model in compared]
    columns = {key: [value[key] for value in values] for key in values[0]}
    active_run.log_table(columns, f"{ARTIFACTS}/table.json")
    active_run.log_json(decisions.facts(), f"{ARTIFACTS}/decisions.json")
    decided = decisions.sentence()
    about = (
        f"On {measured_on} (digest {photos_digest}). {f'{decided} ' if decided else ''}"
        f"{describe_protocol(None, 'srcnn_rgb_psnr' in columns)} "
        f"{timed.footnote()} Commit {git_commit()}."
    )
    with active_run.artifact_folder(ARTIFACTS) as folder:
        draw_comparison(
            compared,
            f"Gain over bicubic on {measured_on}",
            timed.size,
            folder / "figure.png",
        )
        (folder / "table.md").write_text(
            "\n\n".join([models_table(compared), *map(as_markdown, [*leads, about])])
            + f"\n\n![{as_markdown(in_words(compared))}](figure.png)\n",
            encoding="utf-8",
        )
        (folder / "images.md").write_text(findings_page(findings), encoding="utf-8")
        (folder / "images.json").write_text(
            json.dumps(asdict(findings), indent=2), encoding="utf-8"
        )
