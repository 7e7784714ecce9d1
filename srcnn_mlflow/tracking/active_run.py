"""What the run that is active is told: tags, numbers, tables, files, and what it was made of."""

import json
import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import mlflow
from mlflow import MlflowClient
from mlflow.data.dataset import Dataset as MlflowDataset
from mlflow.data.sources import LocalArtifactDatasetSource  # type: ignore[attr-defined]
from mlflow.entities import DatasetInput, InputTag, LoggedModelInput, Metric
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

from srcnn_mlflow.machine.credentials import without_credentials
from srcnn_mlflow.machine.text import as_text, rounded, shortened
from srcnn_mlflow.pictures.datasets import Split
from srcnn_mlflow.tracking.views import View, chart_path, run_path, table_path
from srcnn_mlflow.tracking.where_to_look import address_of, how_to_see, place_of_results

# Where the UI looks for a run's description, in Markdown.
DESCRIPTION = "mlflow.note.content"
# MLflow takes no longer name of a data set, and no more numbers at once.
LONGEST_DATASET, MOST_METRICS = 500, 1000
# Endings of the artifacts that are read as texts.
_TEXTS = (".html", ".json", ".md")


class _PhotoDataset(MlflowDataset):
    """A set of photographs, as MLflow lists it among a run's inputs."""

    def __init__(self, split: Split) -> None:
        self._split = split
        # Of a hundred thousand pictures, each its own parent as a path would take half a second.
        folders = {photo.path.parts[:-1] for photo in split.photos}
        absolute = [Path(*parts).absolute() for parts in folders]
        source = LocalArtifactDatasetSource(os.path.commonpath(absolute))
        super().__init__(source=source, name=dataset_name(split), digest=split.digest)

    def _compute_digest(self) -> str:
        return self._split.digest

    @property
    def profile(self) -> dict[str, int]:
        """Number of pictures and of their pixels."""
        photos = self._split.photos
        pixels = sum(photo.width * photo.height for photo in photos)
        return {"images": len(photos), "pixels": pixels}

    @property
    def schema(self) -> None:
        """Photographs have none."""

    def to_dict(self) -> dict[str, str]:
        """What MLflow stores of the data set."""
        return {**super().to_dict(), "profile": json.dumps(self.profile)}


def dataset_name(split: Split) -> str:
    """What MLflow calls the data set of photographs."""
    return shortened(split.dataset, LONGEST_DATASET)


def _named(split: Split) -> tuple[str, str]:
    return dataset_name(split), split.digest


def log_split(split: Split, context: str | None = None, models: Iterable[str | None] = ()) -> None:
    """Log photographs among the active run's inputs, with their digest.

    Args:
        split: the photographs.
        context: what they were used for; None where the split's name says it.
        models: the ids of logged models that are judged on them; None among them is left out.
    """
    log_inputs([split], models, context)


def log_inputs(
    splits: Iterable[Split], models: Iterable[str | None] = (), context: str | None = None
) -> None:
    """Log photographs and models among the active run's inputs, in one request.

    Args:
        splits: the photographs.
        models: ids of logged models; None among them, for one that this store does not have, is
            left out.
        context: what the photographs were used for; None where the name of each split says it.
    """
    MlflowClient().log_inputs(
        run_id(),
        [
            DatasetInput(
                _PhotoDataset(split)._to_mlflow_entity(),
                [InputTag(MLFLOW_DATASET_CONTEXT, context or split.name)],
            )
            for split in splits
        ],
        [LoggedModelInput(one) for one in dict.fromkeys(models) if one is not None],
    )


@contextmanager
def artifact_folder(artifact_path: str) -> Iterator[Path]:
    """Give a folder to write into; when the block ends well its files become artifacts."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        yield folder
        for file in folder.glob("**/*"):
            if file.suffix in _TEXTS:
                text = file.read_text(encoding="utf-8")
                if (shown := without_credentials(text)) != text:
                    file.write_text(shown, encoding="utf-8")
        mlflow.log_artifacts(str(folder), artifact_path)


def run_id() -> str:
    """The id of the active run."""
    run = mlflow.active_run()
    assert run is not None
    return str(run.info.run_id)


def set_tags(tags: Mapping[str, Any]) -> None:
    """Set tags, in place of former ones of their names."""
    mlflow.set_tags({name: without_credentials(str(value)) for name, value in tags.items()})


def log_parameters(parameters: Mapping[str, Any]) -> None:
    """Log what is known by now only, but for what MLflow Projects has logged already."""
    run = mlflow.active_run()
    assert run is not None
    known = mlflow.get_run(run.info.run_id).data.params
    mlflow.log_params(
        {name: shown_parameter(value) for name, value in parameters.items() if name not in known}
    )


def shown_parameter(value: Any) -> str:
    """A parameter as the command line takes it; an address without credentials.

    Other texts are as they were given, for a run to be found and gone on with by them.
    """
    text = as_text(value)
    return without_credentials(text) if "://" in text else text


def describe(text: str) -> None:
    """Let the UI show a text, in Markdown, above everything else of the run."""
    mlflow.set_tag(DESCRIPTION, without_credentials(text))


def log_metrics(values: Mapping[str, float]) -> None:
    """Log numbers by name, rounded."""
    mlflow.log_metrics({name: rounded(value) for name, value in values.items()})


class Measured(NamedTuple):
    """What was measured of a model on photographs.

    Attributes:
        values: by name.
        split: the photographs.
        model_id: of the logged model; None for one that this store does not have.
        step: tells apart what has the same name in one run.
    """

    values: Mapping[str, float]
    split: Split
    model_id: str | None
    step: int = 0


def log_measured(*measured: Measured) -> None:
    """Log what was measured, rounded, each number tied to its model and its photographs."""
    now = int(time.time() * 1000)
    metrics = [
        Metric(key, rounded(value), now, one.step, one.model_id, *_named(one.split))
        for one in measured
        for key, value in one.values.items()
    ]
    for first in range(0, len(metrics), MOST_METRICS):
        MlflowClient().log_batch(run_id(), metrics=metrics[first : first + MOST_METRICS])


def log_table(columns: Mapping[str, Sequence[Any]], artifact_path: str) -> None:
    """Log a table that the UI can show and compare, as JSON."""
    mlflow.log_table(dict(columns), artifact_path)


def log_text(text: str, artifact_path: str) -> None:
    """Log a text as a file."""
    mlflow.log_text(without_credentials(text), artifact_path)


def log_json(value: Any, artifact_path: str) -> None:
    """Log what JSON can hold as a file that a person can read."""
    log_text(json.dumps(value, indent=2), artifact_path)


def place_of_artifacts(artifact_path: str) -> str:
    """Where the artifacts below a path can be looked at, once the run has them."""
    run = mlflow.active_run()
    assert run is not None
    return place_of_results(run, artifact_path)


def how_to_see_it(shown: str) -> list[str]:
    """What a person does to see the active run, a line each step.

    Args:
        shown: what its page shows.
    """
    run = mlflow.active_run()
    assert run is not None
    return how_to_see([(shown, run_path(run))])


def how_to_see_below(shown: str, metric: str) -> list[str]:
    """What a person does to see the runs below the active one in charts, a line each step.

    Args:
        shown: what the charts show.
        metric: that the runs are ordered by.
    """
    run = mlflow.active_run()
    assert run is not None
    return how_to_see([(shown, chart_path(run.info.experiment_id, run.info.run_id, metric))])


def share(view: View) -> str | None:
    """Let the UI know a view that the active run is in.

    Returns:
        The address of its page; None without a server.
    """
    run = mlflow.active_run()
    assert run is not None
    return address_of(table_path(run.info.experiment_id, view))
