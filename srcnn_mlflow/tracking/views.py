"""Tables of runs that the UI shows at an address: which runs, in which columns and order.

MLflow keeps such a view in a tag of the experiment, and shows it where the address names the tag. A
filter or an order in the address itself would leave it out.
"""

import json
from dataclasses import dataclass
from urllib.parse import urlencode

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

_TAG = "mlflow.sharedViewState."
# Without it, the UI opens with the pages of language models.
TRAINING_PAGES = {"workflowType": "machine_learning"}


@dataclass(frozen=True)
class View:
    """A table of runs, the best first.

    Attributes:
        key: its name in the address; letters, digits and dashes.
        wanted: which runs, as MLflow's search takes it.
        metric: that they are ordered by; the higher, the better.
        columns: what stands beside a run's name, as the UI calls it.
    """

    key: str
    wanted: str
    metric: str
    columns: tuple[str, ...]

    def state(self) -> str:
        """As MLflow keeps it."""
        return json.dumps(
            {
                "searchFilter": self.wanted,
                "orderByKey": _metric(self.metric),
                "orderByAsc": False,
                "selectedColumns": list(self.columns),
                # Else by the alphabet, and the metric may be out of sight.
                "columnOrder": list(self.columns),
            }
        )


def evaluations(scale: int, digest: str) -> View:
    """The evaluations at a scale on the same pictures."""
    names = ("srcnn_psnr", "psnr_gain", "bicubic_psnr", "srcnn_ssim")
    return View(
        f"evaluations-x{scale}-{digest[:8]}",
        _on("evaluate", scale, digest),
        "srcnn_psnr",
        tuple(map(_metric, names)),
    )


def trainings(scale: int, digest: str) -> View:
    """The trainings at a scale that the same pictures have validated."""
    names = ("architecture", "epochs", "lr", "seed")
    return View(
        f"trainings-x{scale}-{digest[:8]}",
        _on("train", scale, digest),
        "best_val_psnr",
        (_metric("best_val_psnr"), _metric("best_epoch"), *map(_parameter, names)),
    )


def table_path(experiment_id: str, view: View) -> str:
    """Let the UI know a view of an experiment's runs; gives the path of its page.

    In a store that may only be read, the page shows all runs.
    """
    client, tag = MlflowClient(), f"{_TAG}{view.key}"
    path, state = f"#/experiments/{experiment_id}/runs", view.state()
    named = {**TRAINING_PAGES, "viewStateShareKey": view.key}
    try:
        if client.get_experiment(experiment_id).tags.get(tag) != state:
            client.set_experiment_tag(experiment_id, tag, state)
    except MlflowException:
        # Of two processes that set it at once, SQLite lets one.
        if client.get_experiment(experiment_id).tags.get(tag) != state:
            named = TRAINING_PAGES
    return f"{path}?{urlencode(named)}"


def run_path(run: Run) -> str:
    """The path of a run's page, with what it describes and the runs below it."""
    return f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"


def artifacts_path(run: Run, folder: str) -> str:
    """The path of the page on which a folder of a run's artifacts stands open."""
    return f"{run_path(run)}/artifacts/{folder}?{urlencode(TRAINING_PAGES)}"


def chart_path(experiment_id: str, parent: str, metric: str) -> str:
    """The path of the page on which the runs below another one stand in charts, a bar each.

    Args:
        experiment_id: that the runs are in.
        parent: the id of the run that they are below.
        metric: that they are ordered by. Without an order the UI would fold them away.
    """
    named = {
        **TRAINING_PAGES,
        "compareRunsMode": "CHART",
        "searchFilter": f"tags.mlflow.parentRunId = '{parent}'",
        "orderByKey": _metric(metric),
        "orderByAsc": "false",
    }
    return f"#/experiments/{experiment_id}/runs?{urlencode(named)}"


def _on(entry_point: str, scale: int, digest: str) -> str:
    return (
        f"tags.entry_point = '{entry_point}' and tags.scale = '{scale}' "
        f"and dataset.digest = '{digest}'"
    )


def _metric(name: str) -> str:
    return f"metrics.`{name}`"


def _parameter(name: str) -> str:
    return f"params.`{name}`"
