"""What the tracking store knows of a registered version, for its card."""

from collections.abc import Iterable
from datetime import UTC, datetime

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, Metric, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from srcnn_mlflow.measuring.model_card import CardFacts, Contest, RunPage, SetScore
from srcnn_mlflow.tracking.registry import model_name
from srcnn_mlflow.tracking.run_search import artifact_names, find_run

_OF_A_SCORE = ("images", "bicubic_psnr", "srcnn_psnr", "bicubic_ssim", "srcnn_ssim")


def find_card_facts(scale: int, version: int, verdict: str = "") -> CardFacts:
    """Gather what is known of a registered version.

    Args:
        scale: 2, 3 or 4.
        version: its number.
        verdict: the table of its promotion, in Markdown; empty where it was not promoted.
    """
    found = MlflowClient().get_model_version(model_name(scale), str(version))
    made_by = find_run(found.run_id)
    metrics = metrics_of(found)
    known = (find_run(run_id) for run_id in sorted({str(one.run_id) for one in metrics}))
    runs = sorted((_whole(run) for run in known if run), key=_start, reverse=True)
    return CardFacts(
        model_name(scale),
        version,
        scale,
        found.tags,
        made_by.data.params if made_by else {},
        scores_of(metrics),
        verdict,
        contests_of(runs),
        next((_page(run) for run in runs if _has_picture(run)), None),
    )


def _whole(run: Run) -> Run:
    """A run, or the comparison of which it is the part of one version."""
    if run.data.tags.get("entry_point") != "compare-version":
        return run
    return find_run(run.data.tags.get(MLFLOW_PARENT_RUN_ID)) or run


def _start(run: Run) -> int:
    return int(run.info.start_time)


def logged_model_of(version: ModelVersion) -> LoggedModel | None:
    """What a version was registered of; None for a version of before, which has none."""
    try:
        return MlflowClient().get_logged_model(str(version.source).removeprefix("models:/"))
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def metrics_of(version: ModelVersion) -> list[Metric]:
    """The numbers of its logged model, each with the run that measured it."""
    model = logged_model_of(version)
    return (model.metrics if model else None) or []


def _has_picture(run: Run) -> bool:
    return run.data.tags.get("entry_point") == "evaluate" and "best.png" in artifact_names(
        run.info.run_id, "evaluation"
    )


def _page(run: Run) -> RunPage:
    return RunPage(run.info.experiment_id, run.info.run_id)


def contests_of(runs: Iterable[Run]) -> tuple[Contest, ...]:
    """The promotions and comparisons among runs, in their order."""
    return tuple(
        Contest(
            datetime.fromtimestamp(run.info.start_time / 1000, UTC).date().isoformat(),
            "promotion" if run.data.tags["entry_point"] == "promote" else "comparison",
            run.data.params.get("dataset", ""),
            run.data.tags.get("model_uri", "").replace("models:/", "").replace("+", ", "),
            run.data.tags.get("verdict", ""),
            _page(run),
        )
        for run in runs
        if run.data.tags.get("entry_point") in ("promote", "compare")
    )


def scores_of(metrics: list[Metric]) -> tuple[SetScore, ...]:
    """The newest score on each set of pictures, in the order of the sets' names."""
    together: dict[tuple[object, ...], dict[str, float]] = {}
    for one in sorted(metrics, key=lambda one: one.timestamp):
        place = (one.dataset_name, one.dataset_digest, one.run_id, one.step)
        together.setdefault(place, {})[one.key] = one.value
    newest = {
        (str(name), str(digest)): values
        for (name, digest, *_), values in together.items()
        if set(_OF_A_SCORE) <= set(values)
    }
    return tuple(
        SetScore(
            name,
            digest,
            int(values["images"]),
            bicubic_psnr=values["bicubic_psnr"],
            srcnn_psnr=values["srcnn_psnr"],
            bicubic_ssim=values["bicubic_ssim"],
            srcnn_ssim=values["srcnn_ssim"],
            interval=(values["psnr_gain_low"], values["psnr_gain_high"])
            if "psnr_gain_low" in values
            else None,
        )
        for (name, digest), values in sorted(newest.items())
    )
