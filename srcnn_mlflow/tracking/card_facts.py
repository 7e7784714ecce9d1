"""What the tracking store knows of a registered version, for its card."""

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric

from srcnn_mlflow.measuring.model_card import CardFacts, SetScore
from srcnn_mlflow.tracking.registry import FoundModel, logged_id, model_name, version_tags
from srcnn_mlflow.tracking.run_search import find_run

_OF_A_SCORE = ("images", "bicubic_psnr", "srcnn_psnr", "bicubic_ssim", "srcnn_ssim")


def find_card_facts(found: FoundModel, scale: int, verdict: str) -> CardFacts:
    """Gather what is known of a registered version.

    Args:
        found: the version.
        scale: 2, 3 or 4.
        verdict: the table of its promotion, in Markdown.
    """
    assert found.version is not None
    run = find_run(mlflow.models.Model.load(str(found.folder)).run_id)
    model_id = logged_id(found)
    metrics = MlflowClient().get_logged_model(model_id).metrics if model_id else None
    return CardFacts(
        model_name(scale),
        found.version,
        scale,
        version_tags(scale, found.version) or {},
        run.data.params if run else {},
        scores_of(metrics or []),
        verdict,
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
