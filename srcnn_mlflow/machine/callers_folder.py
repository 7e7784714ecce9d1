"""Paths as the person means them who gives them: from the folder in which they stand.

`mlflow run DIR` starts a command in DIR, wherever it was itself called.
"""

from pathlib import Path

import psutil


def callers_folder() -> Path:
    """The folder in which the command was called that this process carries out.

    MLflow hands the id of a run to the process that it starts in the project's folder, and has none
    itself: the nearest process above without this id is the one that was called.

    Returns:
        The present folder, where no `mlflow run` has started this process, or the system does not
        tell.
    """
    here = Path.cwd()
    if not (here / "MLproject").is_file():
        return here
    try:
        this = psutil.Process()
        # What it began with: MLflow takes the id out once the run is joined.
        run_id = this.environ().get("MLFLOW_RUN_ID")
        for process in this.parents() if run_id else ():
            if process.environ().get("MLFLOW_RUN_ID") != run_id:
                return Path(process.cwd())
    except psutil.Error:
        return here  # what cannot be looked at, such as another user's
    return here


def given_path(text: str) -> Path:
    """A path as it was given, with a leading `~` too, made absolute.

    The shell leaves a `~` alone in `-P input=~/photos`.
    """
    try:
        path = Path(text).expanduser()
    except RuntimeError:  # nobody of this name has a home
        path = Path(text)
    return callers_folder() / path


def given_source(text: str) -> Path:
    """The same for what is read, which may also be given as seen from the project's folder."""
    path = given_path(text)
    in_project = Path.cwd() / text
    return in_project if in_project.exists() and not path.exists() else path
