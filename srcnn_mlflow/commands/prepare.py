"""`prepare`: photographs to the file that training reads."""

import logging

from srcnn_mlflow.commands.project import under_project
from srcnn_mlflow.pictures.datasets import describe, load_dataset
from srcnn_mlflow.pictures.imaging import Plane
from srcnn_mlflow.pictures.luma_spool import LumaSpool
from srcnn_mlflow.pictures.photos import Photo, load_luma
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
    with LumaSpool(STORE_FOLDER) as spool:
        dataset = load_dataset(name, spool.keep)
        if train_images is not None:
            dataset = dataset.with_train_images(train_images)
        describe(dataset, STORED_SPLITS)

        def read_luma(photo: Photo) -> Plane:
            plane = spool.find(photo.digest)
            return load_luma(photo) if plane is None else plane

        return prepare(dataset, settings, read_luma=read_luma)


def prepare_for_project(name: str, settings: StoreSettings) -> None:
    """`prepare_dataset` as a command; under `mlflow run` the run learns what was prepared."""
    if under_project():
        # Imported here, because MLflow takes seconds and preparing needs none of it.
        from srcnn_mlflow.tracking import active_run, runs

        with runs.track("prepare", settings.scale, {}, f"prepare x{settings.scale} {name}"):
            prepared = prepare_dataset(name, settings, None)
            for split in (prepared.train, prepared.valid):
                active_run.log_split(split)
    else:
        prepared = prepare_dataset(name, settings, None)
    logger.info("prepared: %s", prepared.path)
