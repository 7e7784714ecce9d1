"""`prepare`: photographs to the file that training reads."""

import logging
import os

import numpy as np
from PIL import Image

from srcnn_mlflow.commands.project import under_project
from srcnn_mlflow.machine.places import home
from srcnn_mlflow.machine.text import as_markdown, short_dataset
from srcnn_mlflow.pictures.datasets import describe, load_dataset
from srcnn_mlflow.pictures.imaging import Plane, luma
from srcnn_mlflow.pictures.luma_spool import LumaSpool
from srcnn_mlflow.pictures.photos import Photo, load_luma, load_pixels
from srcnn_mlflow.pictures.store_file import STORE_FOLDER, STORED_SPLITS, StoreSettings
from srcnn_mlflow.pictures.store_writer import Prepared, prepare

logger = logging.getLogger(__name__)


def prepare_dataset(name: str, settings: StoreSettings, train_images: int | None) -> Prepared:
    """Load a data set, tell what it holds, and write or find its file.

    Args:
        name: of the data set.
        settings: scale and patches.
        train_images: use only so many training pictures; None for all.

    Raises:
        SrcnnError: with a message for the person who asked.
    """
    in_colour = settings.planes > 1
    with LumaSpool(home() / STORE_FOLDER) as spool:

        def keep(digest: str, image: Image.Image) -> None:
            spool.keep(digest, np.asarray(image) if in_colour else luma(image))

        dataset = load_dataset(name, keep)
        if train_images is not None:
            dataset = dataset.with_train_images(train_images)
        describe(dataset, STORED_SPLITS)

        def read(photo: Photo) -> Plane:
            kept = spool.find(photo.digest)
            if kept is not None:
                return kept
            return load_pixels(photo) if in_colour else load_luma(photo)

        # Processes that `torchrun` has started begin with different files.
        first = int(os.environ.get("RANK", "0"))
        return prepare(dataset, settings, read_pixels=read, first=first)


def prepare_for_project(name: str, settings: StoreSettings) -> None:
    """`prepare_dataset` as a command; under `mlflow run` the run learns what was prepared."""
    if under_project():
        # Imported here, because MLflow takes seconds and preparing needs none of it.
        from srcnn_mlflow.tracking import active_run, runs

        title = f"prepare x{settings.scale} {short_dataset(name)}"
        with runs.track("prepare", settings.scale, {}, title):
            prepared = prepare_dataset(name, settings, None)
            for split in (prepared.train, prepared.valid):
                active_run.log_split(split)
            counts = (
                f"{len(prepared.train.photos)} to train, {len(prepared.valid.photos)} to validate"
            )
            active_run.describe(as_markdown(f"Pictures: {counts}; in {prepared}"))
    else:
        prepared = prepare_dataset(name, settings, None)
    logger.info("prepared: %s", prepared)
