"""What finished trainings keep that nothing needs any more, told, and given up where asked."""

import logging

from srcnn_mlflow.commands.train_state import BEST, CHECKPOINTS, STATES
from srcnn_mlflow.machine.disk import readable_size
from srcnn_mlflow.tracking import retention

logger = logging.getLogger(__name__)


def tidy_artifacts(free: bool) -> None:
    """Tell what states and checkpoints of finished trainings take up, and delete them where asked.

    A state is there to go on from, and a finished training is not gone on with. The best weights
    of a run are needed as long as no registered version has them.

    Args:
        free: delete them.
    """
    registered = retention.registered_runs()
    runs = size = 0
    for run in retention.finished_trainings():
        run_id = run.info.run_id
        names = (*STATES, BEST) if run_id in registered else STATES
        files = retention.sizes_of(run_id, CHECKPOINTS, names)
        if files and free:
            retention.give_up(run, files)
        runs, size = runs + bool(files), size + sum(files.values())
    if runs == 0:
        logger.info("no finished training keeps a state or a checkpoint that nothing needs")
        return
    what = f"states and checkpoints of {runs} finished training(s), {readable_size(size)}"
    if free:
        logger.info("deleted: %s", what)
    else:
        logger.info("needed no more: %s; srcnn-mlflow tidy --free true deletes them", what)
