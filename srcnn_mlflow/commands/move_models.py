"""`move-models`: registered versions to another tracking store, with what points to them."""

import logging

from srcnn_mlflow.machine.addresses import shown_address
from srcnn_mlflow.machine.errors import ModelError
from srcnn_mlflow.network.architecture import SCALES
from srcnn_mlflow.tracking.moving import Moved, Mover
from srcnn_mlflow.tracking.registry import model_name
from srcnn_mlflow.tracking.store import check_store, environment, tracking_address

logger = logging.getLogger(__name__)


def move_models(to: str, scale: int | None) -> None:
    """Copy the versions that the other store does not have yet; a copy that broke off goes on.

    Args:
        to: the address of the other store.
        scale: of the model; None for all scales.

    Raises:
        SrcnnError: a store cannot be used, there is nothing to copy, or some could not be copied.
    """
    check_store()
    mover, address = Mover(to), shown_address(to)
    # MLflow prints two addresses for every run that it ends.
    with environment({"MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}):
        found = {one: mover.move(one) for one in (SCALES if scale is None else (scale,))}
    if not any(found.values()):
        names = ", ".join(map(model_name, found))
        raise ModelError(f"{tracking_address()} has no {names}, so there is nothing to copy")
    for one, moved in found.items():
        if moved is not None:
            _tell(model_name(one), moved, address)
    broken = sum(len(moved.broken) for moved in found.values() if moved)
    logger.info(
        "left here: runs that neither made, measured nor judged one of these versions, and the "
        "states (checkpoint/) from which trainings could be gone on with"
    )
    if broken:
        raise ModelError(f"{broken} version(s) could not be copied; the reasons stand above")


def _tell(name: str, moved: Moved, address: str) -> None:
    for here, there in moved.copied.items():
        logger.info("copied %s version %d to %s as version %d", name, here, address, there)
        if here != there:
            logger.warning(
                "version %d was taken there: names, reports and pictures of its runs call it %d",
                *(here, here),
            )
    if moved.present:
        logger.info("%d version(s) of %s were there before", len(moved.present), name)
    for sentence in (*moved.broken, *moved.kept):
        logger.warning("left: %s", sentence)
