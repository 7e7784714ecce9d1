"""`prepare`: photographs to the file that training reads."""

import os
from dataclasses import dataclass
from pathlib import Path

from srcnn_mlflow.datasets import Dataset, Photo, describe, load_dataset, load_luma
from srcnn_mlflow.imaging import Plane
from srcnn_mlflow.luma_spool import LumaSpool
from srcnn_mlflow.progress import Say
from srcnn_mlflow.store import STORE_FOLDER, STORED_SPLITS, StoreSettings, prepare


@dataclass(frozen=True)
class Prepared:
    """A data set and the file that was made of it."""

    dataset: Dataset
    path: Path


def prepare_dataset(
    name: str, settings: StoreSettings, train_images: int | None, say: Say
) -> Prepared:
    """Load a data set, tell what it holds, and write or find its file.

    Args:
        name: of the data set.
        settings: scale and patches.
        train_images: use only so many training pictures; None for all.
        say: where messages go.
    """
    with LumaSpool(STORE_FOLDER) as spool:
        dataset = load_dataset(name, say, spool.keep)
        if train_images is not None:
            dataset = dataset.with_train_images(train_images)
        describe(dataset, STORED_SPLITS, say)

        def read_luma(photo: Photo) -> Plane:
            plane = spool.find(photo.digest)
            return load_luma(photo) if plane is None else plane

        return Prepared(dataset, prepare(dataset, settings, say, read_luma=read_luma))


def under_project() -> bool:
    """Whether `mlflow run` has started this process, and opened a run for it."""
    return "MLFLOW_RUN_ID" in os.environ


def prepare_for_project(name: str, settings: StoreSettings, say: Say) -> None:
    """`prepare_dataset` as a command; under `mlflow run` the run learns what was prepared."""
    if not under_project():
        say(f"prepared: {prepare_dataset(name, settings, None, say).path}")
        return
    # Imported here, because MLflow takes seconds and preparing needs none of it.
    from srcnn_mlflow import tracking

    with tracking.track("prepare", settings.scale, {}, f"prepare x{settings.scale} {name}"):
        prepared = prepare_dataset(name, settings, None, say)
        for split in STORED_SPLITS:
            tracking.log_photos(name, prepared.dataset.photos(split), split)
    say(f"prepared: {prepared.path}")
