"""`tidy`: mark the runs that a dead process of this machine has left behind."""

from mlflow import MlflowClient

from srcnn_mlflow import tracking
from srcnn_mlflow.progress import Say


def tidy(say: Say) -> list[str]:
    """Mark as FAILED what is RUNNING by processes of this host that are dead, and nothing else.

    Args:
        say: told what was marked, and what was left alone because its process is not known.

    Returns:
        The ids of the runs that were marked.
    """
    client = MlflowClient()
    marked, unknown = [], 0
    for run in tracking.running_runs():
        process = tracking.process_of(run)
        if process is None:
            unknown += 1
        elif process.is_dead_here():
            client.set_tag(run.info.run_id, tracking.TIDIED, f"process {process.number} has ended")
            client.set_terminated(run.info.run_id, "FAILED")
            marked.append(run.info.run_id)
            say(f"{run.info.run_name} ({run.info.run_id}): process {process.number} has ended")
    say(f"{len(marked)} run(s) marked as FAILED")
    if unknown:
        say(f"{unknown} running run(s) do not say which process they belong to, and are left alone")
    return marked
