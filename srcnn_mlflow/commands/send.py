"""`send`: give the tracking server what trainings have kept on disk while it was away."""

import logging
import shlex

from srcnn_mlflow.commands.train import resume
from srcnn_mlflow.commands.train_state import newest_state
from srcnn_mlflow.machine.errors import SrcnnError, TrackingError
from srcnn_mlflow.machine.faults import explain, is_fault_of_disk
from srcnn_mlflow.machine.places import home
from srcnn_mlflow.tracking import run_search
from srcnn_mlflow.tracking.outbox import OUTBOX_FOLDER, Outbox, folder_of, server_of, waiting_runs
from srcnn_mlflow.tracking.store import check_store, tracking_address
from srcnn_mlflow.training.distributed import alone, choose_device

logger = logging.getLogger(__name__)


def send() -> None:
    """Send all that waits, and register the models of the trainings that had come to their end.

    Each run is sent by itself; what keeps one from it keeps no other.

    Raises:
        SrcnnError: the server is still away, or some run could not be sent.
    """
    waiting = waiting_runs()
    if not waiting:
        logger.info("nothing waits to be sent to %s", tracking_address())
        return
    left = 0
    for run_id in waiting:
        try:
            _send_run(run_id)
        except Exception as error:
            reason = str(error) if isinstance(error, SrcnnError) else explain(error)
            if reason is None or is_fault_of_disk(error):
                raise
            logger.warning("left: %s", reason)
            left += 1
    if left:
        raise TrackingError(
            f"{left} of {len(waiting)} run(s) in {home() / OUTBOX_FOLDER} could not be sent to "
            f"{tracking_address()} or finished; the reasons stand above, run by run"
        )


def _send_run(run_id: str) -> None:
    # An outage that begins in between would cost MLflow's patience with every run.
    check_store()
    run = run_search.find_run(run_id)
    if run is None:
        raise TrackingError(_belongs_elsewhere(run_id))
    if run.info.lifecycle_stage == "deleted":
        raise TrackingError(
            f"run {run_id} was deleted from {tracking_address()}; mlflow runs restore --run-id "
            f"{run_id} brings it back, and removing {folder_of(run_id)} gives it up"
        )
    process = run_search.process_of(run)
    if process is not None and process.is_alive_here():
        logger.info("run %s is still being trained, and sends what it has itself", run_id)
        return
    sent = Outbox(run_id).send()
    logger.info("sent %d epoch(s) of run %s", sent, run_id)
    run_search.mark_failed(run_id, "the tracking server was away when the training ended")
    if run.data.tags.get("entry_point") != "train":
        name = run.data.tags.get("study", "it belongs to")
        logger.info("starting %s again, by the command that began it, goes on with it", name)
        return
    if newest_state(run_id).is_complete:
        resume(run_id, alone(choose_device("auto")))
    else:
        command = shlex.join(["train", "--resume", run_id])
        logger.info("the training was interrupted; `%s` goes on with it", command)


def _belongs_elsewhere(run_id: str) -> str:
    kept, here = folder_of(run_id), tracking_address()
    server = server_of(run_id)
    if server in (None, here):
        return (
            f"run {run_id} is not on {here}; set MLFLOW_TRACKING_URI to the server that it was "
            f"trained for, or, if it is gone there, remove {kept} to give it up"
        )
    return (
        f"run {run_id} is not on {here}, but was trained for {server}; set MLFLOW_TRACKING_URI to "
        f"that and send again, or, if that is gone, remove {kept} to give it up"
    )
