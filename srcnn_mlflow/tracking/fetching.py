"""Bring a logged model's files to this machine, or say what keeps them from it."""

import os
import re
from http import HTTPStatus
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from srcnn_mlflow.machine.addresses import shown_address
from srcnn_mlflow.machine.credentials import without_credentials
from srcnn_mlflow.machine.errors import (
    DamagedModelError,
    ModelError,
    SrcnnError,
    TrackingError,
    WriteError,
)
from srcnn_mlflow.machine.faults import explain, is_fault_of_disk, reason_of
from srcnn_mlflow.machine.server_faults import server_fault
from srcnn_mlflow.machine.text import first_line

_VERSION = re.compile(r"models:/([^/@]+)/([0-9]+)")


def fetch(uri: str) -> Path:
    """Bring a model's files to this machine.

    Args:
        uri: of the model, or a folder.

    Returns:
        The folder that holds its `MLmodel`.

    Raises:
        DamagedModelError: there is no such model, or its files are gone.
        ModelError: a package is missing that fetches it.
        TrackingError: the server that has them does not give them.
        WriteError: they may not be read, or the disk is full.
    """
    try:
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=_place_of(uri) or uri))
    # Of an address that it cannot take apart, MLflow has no error of its own.
    except (MlflowException, OSError, ImportError, ValueError) as error:
        if isinstance(error, OSError) and is_fault_of_disk(error):
            name = Path(os.fsdecode(error.filename)) if error.filename else Path.cwd() / "any"
            raise WriteError(
                f"cannot read or write the files of model {uri}: {reason_of(error, name.parent)}"
            ) from error
        raise _explain_fetch(uri, error) from error
    if not (folder / "MLmodel").is_file():
        if _is_registered(uri):
            raise _files_gone(uri)
        raise DamagedModelError(
            f"{uri} is not an MLflow model; give models:/NAME@ALIAS or a run's model"
        )
    return folder


def _explain_fetch(uri: str, error: Exception) -> SrcnnError:
    fault = server_fault(error)
    reason = explain(error) or first_line(error)
    if fault is not None and fault.status != HTTPStatus.NOT_FOUND:
        return TrackingError(f"model {uri} cannot be fetched: {reason}")
    if isinstance(error, ImportError):
        return ModelError(f"model {uri} cannot be fetched: {reason}")
    if _is_registered(uri):
        return _files_gone(uri)
    return DamagedModelError(
        f"there is no model {without_credentials(uri)} ({reason}); give newest, challenger, "
        "champion, a version number, or a URI such as models:/srcnn-x2/1"
    )


def _place_of(uri: str) -> str | None:
    """Where the files of a registered version are; None of any other model.

    By the address of the version, MLflow would write a file beside those of a local one.
    """
    match = _VERSION.fullmatch(uri)
    return None if match is None else MlflowClient().get_model_version_download_uri(*match.groups())


def _is_registered(uri: str) -> bool:
    try:
        return _place_of(uri) is not None
    except MlflowException:
        return False


def _files_gone(uri: str) -> DamagedModelError:
    name, _, number = uri.removeprefix("models:/").partition("/")
    return DamagedModelError(
        f"version {number} of {name} is registered, but its files are gone from "
        f"{shown_address(_place_of(uri) or uri)}; bring them back, or give another version"
    )
