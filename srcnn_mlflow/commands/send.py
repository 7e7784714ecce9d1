"""`send`: give the tracking server what trainings have kept on disk while it was away."""

import logging
import shlex

from srcnn_mlflow.commands.train import resume
from srcnn_mlflow.commands.train_state import newest_state
from srcnn_mlflow.tracking import run_search
from srcnn_mlflow.tracking.outbox import Outbox, waiting_runs
from srcnn_mlflow.tracking.store import check_store, tracking_address
from srcnn_mlflow.training.distributed import alone, choose_device

logger = logging.getLogger(__name__)


def send() -> None:
    """Send all that waits, and register the models of the trainings that had come to their end.

    Raises:
        SrcnnError: the server is still away, or does not take it.
    """
    check_store()
    waiting = waiting_runs()
    for run_id in waiting:
        process = run_search.process_of(run_search.get_run(run_id))
        if process is not None and process.is_alive_here():
            logger.info("run %s is still being trained, and sends what it has itself", run_id)
            continue
        sent = Outbox(run_id).send()
        logger.info("sent %d epoch(s) of run %s", sent, run_id)
        run_search.mark_failed(run_id, "the tracking server was away when the training ended")
        if newest_state(run_id).is_complete:
            resume(run_id, alone(choose_device("auto")))
        else:
            resume_it = shlex.join(["train", "--resume", run_id])
            logger.info("the training was interrupted; `%s` goes on with it", resume_it)
    if not waiting:
        logger.info("nothing waits to be sent to %s", tracking_address())
