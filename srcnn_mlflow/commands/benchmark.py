"""`benchmark`: registered models on sets by name, beside what papers state."""

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from srcnn_mlflow.commands.evaluate import load_comparable
from srcnn_mlflow.machine.errors import DatasetError
from srcnn_mlflow.machine.git import git_commit
from srcnn_mlflow.machine.text import as_markdown
from srcnn_mlflow.measuring.benchmarking import (
    Line,
    Measured,
    benchmark_lines,
    benchmark_table,
    describe_distance,
    sources,
)
from srcnn_mlflow.measuring.evaluation import describe_protocol, score_photos
from srcnn_mlflow.pictures.datasets import Split
from srcnn_mlflow.pictures.sets import is_at_hand, named_sets
from srcnn_mlflow.showing.benchmark_figure import draw_benchmark, in_words
from srcnn_mlflow.tracking import active_run, runs
from srcnn_mlflow.tracking.decisions import find_decisions
from srcnn_mlflow.tracking.exposure import Facts, find_history
from srcnn_mlflow.tracking.judge import JudgedModel
from srcnn_mlflow.tracking.registry import logged_id
from srcnn_mlflow.tracking.versions import Version, find_versions

ARTIFACTS = "benchmark"
AT_HAND = "at-hand"
# What is taken where nothing is at hand: the smallest, and the one that every paper has.
_SMALLEST = "set5"

logger = logging.getLogger(__name__)


def benchmark(models: str, sets: str, precision: str = "float32") -> list[Line]:
    """Judge each model on each set, in one run, and lay papers' figures beside its own.

    Args:
        models: as `compare` takes it, or `champions`.
        sets: names of sets joined by `+`; or `at-hand` for the test sets that need no download,
            and for the smallest of them where there is none.
        precision: what the networks compute in, `float32` or `bfloat16`.

    Returns:
        The lines of its table.

    Raises:
        SrcnnError: with a message for the person who asked.
    """
    parameters = {"models": models, "sets": sets, "precision": precision}

    def check() -> tuple[list[Version], list[Split]]:
        versions = find_versions(models)
        largest = max(version.scale for version in versions)
        return versions, [_load(name, largest) for name in choose_sets(sets)]

    with runs.track_after(check, "benchmark", None, parameters, "benchmark") as (versions, splits):
        names = ", ".join(version.found.label for version in versions)
        active_run.set_tags(
            {
                "model_uri": "+".join(version.found.uri for version in versions),
                "mlflow.runName": f"benchmark {names}",
            }
        )
        # A model's page shows what it gives as it is served by default.
        model_ids = [
            logged_id(version.found) if precision == "float32" else None for version in versions
        ]
        active_run.log_inputs(splits, model_ids)
        measured = [
            one
            for version, model_id in zip(versions, model_ids, strict=True)
            for one in _measure(version, splits, precision, model_id)
        ]
        lines = benchmark_lines(sorted(measured, key=lambda one: _place(one, splits)))
        _write(lines, measured, splits, _exposures(versions, splits))
    return lines


def choose_sets(sets: str) -> list[str]:
    """The names of sets, each once.

    Args:
        sets: as `benchmark` takes it.

    Raises:
        DatasetError: one is unknown.
    """
    if sets == AT_HAND:
        found = [name for name, one in named_sets().items() if one.tests_only and is_at_hand(one)]
        return found or [_SMALLEST]
    names = list(dict.fromkeys(name.strip() for name in sets.split("+")))
    for name in names:
        if name not in named_sets():
            raise DatasetError(
                f"set {name!r} is unknown; give some of {', '.join(named_sets())}, joined by +, or "
                f"{AT_HAND}"
            )
    return names


def _load(name: str, scale: int) -> Split:
    """All pictures of a set, under its own name."""
    return load_comparable(name, "test" if named_sets()[name].tests_only else "all", scale, scale)


def _place(one: Measured, splits: Sequence[Split]) -> tuple[int, int]:
    return [split.dataset for split in splits].index(one.dataset), one.scale


def _measure(
    version: Version, splits: Sequence[Split], precision: str, model_id: str | None
) -> Iterator[Measured]:
    """Score a model on every set, and log each number with its model and its set."""
    found, scale, channels = version.found, version.scale, version.channels
    label = found.label if precision == "float32" else f"{found.label}, {precision}"
    with JudgedModel(found.folder, found.name, precision) as judged:
        for split in splits:
            logger.info("%s on %s", label, split.dataset)
            scored = score_photos(split.photos, scale, scale, judged.upscale_pixels, channels)
            scores = tuple(score for _, score in scored)
            measured = Measured(split.dataset, scale, label, scores, len(split.photos))
            _log(measured, split, model_id)
            yield measured


def _log(measured: Measured, split: Split, model_id: str | None) -> None:
    summary = measured.summary
    by_set = {
        "psnr": summary.srcnn_psnr,
        "ssim": summary.srcnn_ssim,
        "bicubic_psnr": summary.bicubic_psnr,
        "bicubic_ssim": summary.bicubic_ssim,
    }
    # A model has the same number by the same name from whatever command measured it.
    values = {
        **{f"{split.dataset}_{name}": value for name, value in by_set.items()},
        **(summary.metrics() if model_id else {}),
    }
    # A run's own number is that of its last step; those of each scale stay side by side.
    active_run.log_measured(active_run.Measured(values, split, model_id, measured.scale))


def _exposures(versions: Sequence[Version], splits: Sequence[Split]) -> list[Facts]:
    """What has seen the pictures before, a line a model and set."""
    return [
        history.exposure(split.photos).facts(version.found.label, split.dataset)
        for version in versions
        for history in (find_history(version.found),)
        for split in splits
    ]


def _write(
    lines: Sequence[Line],
    measured: Sequence[Measured],
    splits: Sequence[Split],
    exposures: Sequence[Facts],
) -> None:
    table = benchmark_table(lines)
    decisions = {split.dataset: find_decisions(split.digest) for split in splits}
    chosen = [one.sentence(dataset) for dataset, one in decisions.items() if one.sentence()]
    seen = [str(one["told"]) for one in exposures]
    about = [*_sentences(lines, measured, splits), *chosen, *seen]
    with active_run.artifact_folder(ARTIFACTS) as folder:
        draw_benchmark(lines, folder / "figure.png")
        page = "\n\n".join(
            [table, *map(as_markdown, about), f"![{as_markdown(in_words(lines))}](figure.png)"]
        )
        (folder / "table.md").write_text(f"{page}\n", encoding="utf-8")
        contents = {
            "lines": [asdict(line) for line in lines],
            "sets": {
                split.dataset: {
                    "digest": split.digest,
                    "images": len(split.photos),
                    "decisions": decisions[split.dataset].facts(),
                }
                for split in splits
            },
            "seen": exposures,
            "protocol": describe_protocol(None),
            "sources": list(sources(lines)),
            "commit": git_commit(),
        }
        (folder / "table.json").write_text(json.dumps(contents, indent=2), encoding="utf-8")
    active_run.describe("\n\n".join([table, *map(as_markdown, chosen)]))
    logger.info(table)
    for sentence in about:
        logger.info(sentence)
    address = active_run.place_of_artifacts(ARTIFACTS)
    logger.info("table and figure: %s", address)


def _sentences(
    lines: Sequence[Line], measured: Sequence[Measured], splits: Sequence[Split]
) -> list[str]:
    """What has to stand beside the table for its numbers to mean something."""
    sets = "; ".join(
        f"{split.dataset}, {len(split.photos)} pictures, digest {split.digest}" for split in splits
    )
    left_out = [
        f"{one.model} on {one.dataset}: {one.pictures - len(one.scores)} of {one.pictures} "
        "pictures could not be compared, and are left out."
        for one in measured
        if len(one.scores) < one.pictures
    ]
    return [
        describe_distance(lines),
        *left_out,
        f"{describe_protocol(None)} Intervals are Student's at 95 %, over pictures: they say how "
        "far a mean would move on other pictures of the kind.",
        f"Sets: {sets}. Commit {git_commit()}.",
        f"Published: {' '.join(sources(lines))}",
    ]
