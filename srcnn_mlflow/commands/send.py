"""`send`: give the tracking server what trainings have kept on disk while it was away."""

import mlflow

from srcnn_mlflow import tracking
from srcnn_mlflow.commands.train import is_complete, resume
from srcnn_mlflow.distributed import alone, choose_device
from srcnn_mlflow.outbox import Outbox, waiting_runs
from srcnn_mlflow.progress import Say


def send(say: Say) -> None:
    """Send all that waits, and register the models of the trainings that had come to their end.

    Args:
        say: told what was sent, run by run.

    Raises:
        SrcnnError: the server is still away, or does not take it.
    """
    waiting = waiting_runs()
    for run_id in waiting:
        process = tracking.process_of(mlflow.get_run(run_id))
        if process is not None and process.is_alive_here():
            say(f"run {run_id} is still being trained, and sends what it has itself")
            continue
        sent = Outbox(run_id).send()
        say(f"sent {sent} epoch(s) of run {run_id}")
        tracking.mark_failed(run_id, "the tracking server was away when the training ended")
        if is_complete(run_id):
            resume(run_id, alone(choose_device("auto")), say)
        else:
            say(f"the training was interrupted; `train --resume {run_id}` goes on with it")
    if not waiting:
        say(f"nothing waits to be sent to {mlflow.get_tracking_uri()}")
