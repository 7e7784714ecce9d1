"""`tidy`: what dead processes and finished trainings have left behind."""

import logging

from srcnn_mlflow.commands.tidy_artifacts import tidy_artifacts
from srcnn_mlflow.machine.errors import TrackingError
from srcnn_mlflow.tracking import run_search
from srcnn_mlflow.tracking.store import check_store

logger = logging.getLogger(__name__)


def tidy(free: bool = False) -> list[str]:
    """Mark as FAILED what is RUNNING by processes of this host that are dead, and nothing else.

    Args:
        free: delete what finished trainings keep that nothing needs any more; else it is told.

    Returns:
        The ids of the runs that were marked.
    """
    check_store()
    marked, unknown = [], 0
    for run in run_search.running_runs():
        process = run_search.process_of(run)
        if process is None:
            unknown += 1
        elif process.is_dead_here():
            ended = f"process {process.number} has ended"
            try:
                run_search.mark_tidied(run.info.run_id, ended)
            except TrackingError as error:
                logger.warning("%s cannot be marked: %s", run.info.run_id, error)
                continue
            marked.append(run.info.run_id)
            logger.info("%s (%s): %s", run.info.run_name, run.info.run_id, ended)
    logger.info("%d run(s) marked as FAILED", len(marked))
    if unknown:
        logger.info(
            "%d running run(s) do not say which process they belong to, and are left alone", unknown
        )
    tidy_artifacts(free)
    return marked
