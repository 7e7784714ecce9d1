"""What has come of a training: a registered version, and a paragraph about it."""

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path

from srcnn_mlflow.commands.train_data import NETWORK
from srcnn_mlflow.commands.train_epochs import Best
from srcnn_mlflow.commands.train_request import TrainRequest
from srcnn_mlflow.commands.train_start import INIT_FROM, is_as_it_began
from srcnn_mlflow.machine.git import git_commit
from srcnn_mlflow.machine.text import as_markdown, short_dataset
from srcnn_mlflow.measuring.evaluation import Summary, score_photos, summarize
from srcnn_mlflow.network.foreign import short_name
from srcnn_mlflow.network.plain_weights import Weights
from srcnn_mlflow.network.upscaler import Upscaler
from srcnn_mlflow.pictures.store_writer import Prepared
from srcnn_mlflow.tracking import active_run, registry
from srcnn_mlflow.tracking.descriptions import describe_new
from srcnn_mlflow.tracking.logged_models import BestEpoch
from srcnn_mlflow.tracking.views import trainings
from srcnn_mlflow.training.networks import network_of
from srcnn_mlflow.training.planned_fit import is_bicubic

# The tag of a run and of its version that says why the network is not worth using.
WARNING = "warning"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """A finished training: the registered version, and its scores on the validation pictures."""

    version: int
    run_id: str
    validation: Summary


def register(
    run_id: str, request: TrainRequest, prepared: Prepared, patches: int, best: Best
) -> Trained:
    """Score the best epoch on the validation pictures, and register it as challenger.

    Args:
        run_id: of the active run.
        request: what was trained.
        prepared: on what.
        patches: how many these were.
        best: its best epoch.

    Raises:
        SrcnnError: with a message for the person who asked.
    """
    scale, network, valid = request.scale, network_of(request.settings), prepared.valid
    weights = best.weights
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / registry.NETWORK_FILE
        path.write_bytes(network.export(weights, scale))
        enlarge = Upscaler(path).upscale_pixels
        scored = score_photos(valid.photos, scale, scale, enlarge, network.channels)
        validation = summarize(score for _, score in scored)
        warning = _warn(request, weights, validation)
        version = registry.register(
            scale,
            path,
            {
                "architecture": network.name,
                **registry.channels_tag(network.channels),
                "dataset": request.dataset,
                "dataset_digest": prepared.train.digest,
                "git_commit": git_commit(),
                **registry.score_tags(validation, valid.label),
                **({INIT_FROM: request.init_from} if request.init_from else {}),
                **{f"{NETWORK}_{name}": text for name, text in network.source.items()},
                **warning,
            },
            epoch=BestEpoch(best.epoch, valid),
        )
    describe_new(scale, version)
    # The same settings may have been trained before: the version tells such runs apart.
    label = f"{registry.model_name(scale)}/{version}"
    about = f"{request.settings.label} {short_dataset(request.dataset)}"
    active_run.set_tags({**warning, "mlflow.runName": f"train {label} {about}"})
    active_run.describe(_describe(request, prepared, patches, version, validation))
    logger.info(
        "registered %s version %d as challenger: %.2f dB on %d validation pictures, "
        "bicubic %.2f dB",
        registry.model_name(scale),
        version,
        validation.srcnn_psnr,
        validation.images,
        validation.bicubic_psnr,
    )
    page = active_run.share(trainings(scale, valid.digest))
    if page is not None:
        logger.info("all trainings with these validation pictures, best first: %s", page)
    for reason in warning.values():
        logger.warning(
            "version %d is %s%s; train longer, or lower lr (now %g)",
            version,
            reason,
            ", and promote will refuse it" if validation.psnr_gain <= 0 else "",
            request.settings.lr,
        )
    return Trained(version, run_id, validation)


def _warn(request: TrainRequest, weights: Weights, validation: Summary) -> dict[str, str]:
    """A tag for the run and the version, where this is no better than what was there; else none."""
    if is_as_it_began(request, weights):
        reason = f"{request.init_from} unchanged, because no epoch was better than it"
    elif is_bicubic(weights, request.settings):
        reason = "bicubic itself, because no epoch was better than the untouched network"
    elif validation.psnr_gain < 0:
        reason = (
            f"worse than bicubic: {-validation.psnr_gain:.3f} dB below it on the validation "
            "pictures"
        )
    elif validation.psnr_gain == 0:
        reason = "no better than bicubic on the validation pictures"
    elif (validation.rgb_psnr_gain or 0.0) < 0:
        reason = (
            f"worse than bicubic in its colours: {-(validation.rgb_psnr_gain or 0.0):.3f} dB below "
            "it over red, green and blue on the validation pictures"
        )
    else:
        return {}
    return {WARNING: reason}


def _describe(
    request: TrainRequest, prepared: Prepared, patches: int, version: int, validation: Summary
) -> str:
    """A paragraph for the person who opens the run."""
    settings = request.settings
    length = (
        f"{settings.epochs} epochs"
        if settings.max_minutes is None
        else f"about {settings.max_minutes:g} minutes"
    )
    began = f", beginning with {as_markdown(request.init_from)}" if request.init_from else ""
    name = as_markdown(short_name(settings.architecture))
    return (
        f"**{registry.model_name(request.scale)} version {version}**: SRCNN {name} for "
        f"x{request.scale}, trained on {patches:,} patches of "
        f"{request.patch_size}x{request.patch_size} from {len(prepared.train.photos)} pictures of "
        f"{as_markdown(request.dataset)}{began} for {length} with {settings.optimizer} at a rate "
        f"of {settings.lr:g} ({settings.schedule}), batches of {settings.batch_size}, padding "
        f"{settings.padding}, seed {settings.seed}. On {validation.images} validation pictures, "
        f"which chose the epoch: **{validation.srcnn_psnr:.2f} dB**, SSIM "
        f"{validation.srcnn_ssim:.4f}; bicubic {validation.bicubic_psnr:.2f} dB, "
        f"{validation.bicubic_ssim:.4f} (gain {validation.psnr_gain:+.2f} dB)."
    )
