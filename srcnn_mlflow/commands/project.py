"""Whether `mlflow run` has started this process."""

import os


def under_project() -> bool:
    """Whether `mlflow run` has started this process, and opened a run for it."""
    return "MLFLOW_RUN_ID" in os.environ
