"""What a training learns from: prepared, held against bicubic, and logged in its run."""

import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from srcnn_mlflow.commands.prepare import prepare_dataset
from srcnn_mlflow.commands.train_origin import Facts, check_origin, facts_of, tell_changes
from srcnn_mlflow.commands.train_request import TrainRequest
from srcnn_mlflow.commands.train_start import INIT_FROM, Start
from srcnn_mlflow.commands.train_state import TrainingState
from srcnn_mlflow.machine.errors import DatasetError
from srcnn_mlflow.measuring.evaluation import score_photos, summarize
from srcnn_mlflow.network.foreign import short_name
from srcnn_mlflow.pictures.imaging import upscale_to_eight_bit
from srcnn_mlflow.pictures.store import Store
from srcnn_mlflow.pictures.store_writer import Prepared
from srcnn_mlflow.tracking import active_run
from srcnn_mlflow.tracking.seen_pictures import log_seen
from srcnn_mlflow.training.distributed import World
from srcnn_mlflow.training.networks import network_of

# The tag of a resumed run that says what it did not begin with.
RESUMED_WITH = "resumed_with"
# The folder of a run with the file of a network from outside, and how the tags about it begin.
NETWORK = "network"

logger = logging.getLogger(__name__)


def make_ready(request: TrainRequest) -> Prepared:
    """Prepare where needed, and tell what is to be beaten.

    Raises:
        SrcnnError: with a message for the person who asked.
    """
    request.check()
    if network_of(request.settings).source:
        logger.info(
            "%s pads and begins as it is written, and its first layer is not preconditioned; "
            "padding, initialization and precondition are not used",
            short_name(request.settings.architecture),
        )
    prepared = prepare_dataset(request.dataset, request.store, request.train_images)
    scale = request.scale
    bicubic = partial(upscale_to_eight_bit, scale=scale)
    scored = score_photos(prepared.valid.photos, scale, scale, bicubic)
    try:
        baseline = summarize(score for _, score in scored)
    except DatasetError as error:
        raise DatasetError(f"{prepared.valid.label} is to choose the epoch, but {error}") from error
    logger.info(
        "validation: %d pictures, bicubic %.3f dB, SSIM %.4f",
        baseline.images,
        baseline.bicubic_psnr,
        baseline.bicubic_ssim,
    )
    return prepared


def log_origin(
    run_id: str,
    request: TrainRequest,
    prepared: Prepared,
    store: Store,
    world: World,
    state: TrainingState | None,
    start: Start | None = None,
) -> Facts:
    """Log what the active run is trained on, if that is what it began with.

    Returns:
        What every checkpoint says of its training.

    Raises:
        TrainingError: an interrupted training began with other pictures.
    """
    # All planes are read for their checksum, meanwhile.
    with ThreadPoolExecutor(1) as reader:
        checksum = reader.submit(store.checksum)
        if state is None:
            before, known = (start.seen, start.all_is_known) if start else ((), True)
            log_seen((prepared.train, prepared.valid), before, known)
            active_run.set_tags({INIT_FROM: request.init_from} if request.init_from else {})
        facts = facts_of(request, prepared, checksum.result(), world)
    if state:
        who = f"run {run_id}"
        check_origin(state.facts, facts, who, "bring them back, or train anew with resume=none")
        changes = tell_changes(state.facts, facts, who)
        if changes:
            active_run.set_tags({RESUMED_WITH: changes})
    began_with = [start.model_id] if start else []
    active_run.log_inputs((prepared.train, prepared.valid), began_with)
    network = network_of(request.settings)
    if network.source:
        active_run.log_text(network.text, f"{NETWORK}/{network.source['file']}")
        # Under `mlflow run`, the parameters stand as they were given.
        about = {**network.source, "own": "padding, initialization; precondition is off"}
        active_run.set_tags({f"{NETWORK}_{name}": text for name, text in about.items()})
    return facts
