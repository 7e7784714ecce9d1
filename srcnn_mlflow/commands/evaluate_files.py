"""What an evaluation leaves in its run: tables, figures and the report."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from srcnn_mlflow.machine.text import as_markdown
from srcnn_mlflow.measuring.evaluation import (
    ImageScore,
    Summary,
    describe_protocol,
    summarize,
)
from srcnn_mlflow.measuring.tables import describe_bias, markdown_table, table_rows
from srcnn_mlflow.showing.exhibits import Extremes
from srcnn_mlflow.showing.figures import draw_exhibits
from srcnn_mlflow.showing.report import About, render_report
from srcnn_mlflow.tracking import active_run
from srcnn_mlflow.tracking.decisions import Decisions

ARTIFACTS = "evaluation"
PER_IMAGE = (
    *("image", "bicubic_psnr", "srcnn_psnr", "psnr_gain"),
    *("bicubic_ssim", "srcnn_ssim", "bicubic_mse", "srcnn_mse"),
    *("bicubic_bias", "srcnn_bias"),
)
PER_IMAGE_IN_COLOUR = ("bicubic_rgb_psnr", "srcnn_rgb_psnr", "rgb_psnr_gain")


def write_files(
    scores: Sequence[ImageScore],
    extremes: Extremes,
    scale: int,
    about: About,
    decisions: Decisions,
) -> None:
    """Let the active run have tables, figures and the report of an evaluation.

    Args:
        scores: picture by picture.
        extremes: the pictures to show.
        scale: 2, 3 or 4.
        about: model, dataset, split, digest, images, border and commit.
        decisions: what the pictures have chosen.
    """
    summary = summarize(scores)
    in_colour = summary.rgb_psnr_gain is not None
    keys = (*PER_IMAGE, *(PER_IMAGE_IN_COLOUR if in_colour else ()))
    columns = {key: [getattr(score, key) for score in scores] for key in keys}
    active_run.log_table(columns, f"{ARTIFACTS}/per_image.json")
    with active_run.artifact_folder(ARTIFACTS) as folder:
        _write_tables(folder, scale, summary, about, decisions)
        title = f"{about['model']} at x{scale}: {about['dataset']}, split {about['split']}"
        for kind, heading, exhibits in extremes.titled(scale):
            draw_exhibits(exhibits, title, heading, folder / f"{kind}.png")
        decided = decisions.sentence()
        found_at: About = {
            "run": active_run.run_id(),
            "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            "address": active_run.place_of_artifacts(ARTIFACTS),
        }
        report = render_report(scale, scores, extremes, {**about, **found_at}, decided)
        (folder / "report.html").write_text(report, encoding="utf-8")


def _write_tables(
    folder: Path, scale: int, summary: Summary, about: About, decisions: Decisions
) -> None:
    rows = table_rows(scale, summary)
    decided = decisions.sentence()
    sentences = (
        f"Model {about['model']} on {about['images']} pictures of {about['dataset']}, split "
        f"{about['split']} (digest {about['digest']}). {f'{decided} ' if decided else ''}"
        f"{describe_protocol(int(about['border']), summary.rgb_psnr_gain is not None)} "
        f"Mean squared error {summary.mse_reduction_percent:.1f} % lower than bicubic's. "
        f"{describe_bias(summary)} Commit {about['commit']}."
    )
    (folder / "table.md").write_text(
        f"{markdown_table(rows)}\n\n{as_markdown(sentences)}\n", encoding="utf-8"
    )
    table = {
        "rows": [row.cells() for row in rows],
        "summary": summary.metrics(),
        **about,
        "decisions": decisions.facts(),
    }
    (folder / "table.json").write_text(json.dumps(table, indent=2), encoding="utf-8")
