"""`evaluate`: a registered model against bicubic, in numbers and in pictures."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import mlflow

from srcnn_mlflow import registry, tracking
from srcnn_mlflow.datasets import SPLITS, Photo, describe, digest, load_dataset
from srcnn_mlflow.evaluation import (
    ImageScore,
    Summary,
    describe_protocol,
    markdown_table,
    score_photos,
    self_ensemble,
    summarize,
    table_rows,
)
from srcnn_mlflow.exhibits import Extremes, choose_exhibits
from srcnn_mlflow.figures import draw_exhibits
from srcnn_mlflow.judge import JudgedModel
from srcnn_mlflow.progress import Say
from srcnn_mlflow.registry import FoundModel
from srcnn_mlflow.report import About, render_report

ARTIFACTS = "evaluation"
PER_IMAGE = (
    *("image", "bicubic_psnr", "srcnn_psnr", "psnr_gain"),
    *("bicubic_ssim", "srcnn_ssim", "bicubic_mse", "srcnn_mse"),
)


@dataclass(frozen=True)
class Evaluation:
    """A model's scores on some photographs.

    Attributes:
        model: what was judged.
        scores: picture by picture.
    """

    model: FoundModel
    scores: tuple[ImageScore, ...]

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
    say: Say,
    ensemble: bool = False,
) -> Evaluation:
    """Judge a model in a run of its own.

    Args:
        scale: 2, 3 or 4.
        model: `newest`, an alias, a version number or a model URI.
        dataset: names the photographs.
        split: `train`, `valid`, `test` or `all`.
        border: pixels left out along each edge; None for the scale.
        say: where messages go.
        ensemble: measure the model's self-ensemble too, apart from the model itself.

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
    }
    with tracking.track("evaluate", scale, parameters, f"evaluate x{scale} {dataset}"):
        found = registry.find_model(model, scale)
        mlflow.set_tags(
            {"model_uri": found.uri, "mlflow.runName": f"evaluate {found.label} on {dataset}"}
        )
        photos = load_photos(dataset, split, say)
        tracking.log_photos(dataset, photos, split)
        width = scale if border is None else border
        evaluation = _judge(found, photos, scale, dataset, split, width, say)
        if ensemble:
            _judge_ensemble(found, photos, scale, width, say)
        return evaluation


def load_photos(dataset: str, split: str, say: Say) -> tuple[Photo, ...]:
    """The photographs of a split, after telling what the data set holds."""
    loaded = load_dataset(dataset, say)
    describe(loaded, SPLITS if split == "all" else (split,), say)
    return loaded.photos(split)


def score_model(
    found: FoundModel, photos: Sequence[Photo], scale: int, border: int, say: Say
) -> tuple[ImageScore, ...]:
    """Score a logged model picture by picture, run as it was logged."""
    with JudgedModel(found.folder) as judged:
        scored = score_photos(photos, scale, border, judged.upscale_luma, say)
        return tuple(score for _, score in scored)


def _judge(
    found: FoundModel,
    photos: Sequence[Photo],
    scale: int,
    dataset: str,
    split: str,
    border: int,
    say: Say,
) -> Evaluation:
    with JudgedModel(found.folder) as judged:
        scored = list(score_photos(photos, scale, border, judged.upscale_luma, say))
        extremes = choose_exhibits(scored, scale, judged)
    evaluation = Evaluation(found, tuple(score for _, score in scored))
    about: About = {
        "model": found.label,
        "dataset": dataset,
        "split": split,
        "digest": digest(photos),
        "images": len(scored),
        "border": border,
        "commit": tracking.git_commit(),
    }
    _log(evaluation, extremes, scale, about)
    heading = f"{found.label} on {len(scored)} pictures of {dataset} {split}:"
    table = markdown_table(table_rows(scale, evaluation.summary))
    mlflow.set_tag(tracking.DESCRIPTION, f"{heading}\n\n{table}")
    say(heading)
    say(table)
    say(f"table, pictures and report.html: {mlflow.get_artifact_uri(ARTIFACTS)}")
    return evaluation


def _log(evaluation: Evaluation, extremes: Extremes, scale: int, about: About) -> None:
    mlflow.log_metrics(asdict(evaluation.summary))
    columns = {key: [getattr(score, key) for score in evaluation.scores] for key in PER_IMAGE}
    mlflow.log_table(columns, f"{ARTIFACTS}/per_image.json")
    with tracking.artifact_folder(ARTIFACTS) as folder:
        _write_tables(folder, scale, evaluation.summary, about)
        for kind, heading, exhibits in extremes.titled(scale):
            draw_exhibits(exhibits, f"{evaluation.model.label}: {heading}", folder / f"{kind}.png")
        report = render_report(scale, evaluation.scores, extremes, about)
        (folder / "report.html").write_text(report, encoding="utf-8")


def _judge_ensemble(
    found: FoundModel, photos: Sequence[Photo], scale: int, border: int, say: Say
) -> None:
    with JudgedModel(found.folder) as judged:
        enlarge = self_ensemble(judged.upscale_luma)
        scored = score_photos(photos, scale, border, enlarge, say)
        summary = summarize(score for _, score in scored)
    mlflow.log_metrics({"ensemble_psnr": summary.srcnn_psnr, "ensemble_ssim": summary.srcnn_ssim})
    say(
        f"self-ensemble of {found.label}, eight times the work: {summary.srcnn_psnr:.2f} dB, SSIM "
        f"{summary.srcnn_ssim:.4f}"
    )


def _write_tables(folder: Path, scale: int, summary: Summary, about: About) -> None:
    rows = table_rows(scale, summary)
    (folder / "table.md").write_text(
        f"{markdown_table(rows)}\n\n"
        f"Model {about['model']} on {about['images']} pictures of {about['dataset']}, split "
        f"{about['split']} (digest {about['digest']}). {describe_protocol(int(about['border']))} "
        f"Mean squared error {summary.mse_reduction_percent:.1f} % lower than bicubic's. Commit "
        f"{about['commit']}.\n",
        encoding="utf-8",
    )
    table = {"rows": [row.cells() for row in rows], "summary": asdict(summary), **about}
    (folder / "table.json").write_text(json.dumps(table, indent=2), encoding="utf-8")
