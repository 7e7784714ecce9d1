"""A registry of versions that are better and worse, as `promote` finds them."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE

import mlflow
import numpy as np
import onnx
import pytest
from mlflow import MlflowClient
from onnx import numpy_helper

from srcnn_mlflow.network import shipped
from srcnn_mlflow.tracking import champions, registry
from tests.conftest import COMMANDS, put_store, write_crops
from tests.nursery import Forked

# Versions by how much of the shipped network's correction they make; the last is of scale 3.
WEAK, MIDDLE, EQUAL, GOOD, OTHER_SCALE = 1, 2, 3, 4, 5
STRENGTHS = {WEAK: 0.3, MIDDLE: 0.6, EQUAL: 0.6, GOOD: 1.0}


def network(scale: int, strength: float, folder: Path) -> Path:
    """A shipped residual network whose last layer is scaled."""
    model = onnx.load(shipped.shipped_network(scale, "shipped-9-1-5"))
    for constant in model.graph.initializer:
        if constant.name.startswith("conv3."):
            scaled = numpy_helper.to_array(constant) * np.float32(strength)
            constant.CopyFrom(numpy_helper.from_array(scaled, constant.name))
    path = folder / registry.NETWORK_FILE
    onnx.save(model, path)
    return path


@contextmanager
def registered(folder: Path, empty_store: Path) -> Iterator[Path]:
    """A folder with photographs to test on, where one works, and a registry of five versions."""
    write_crops(folder / "photos", 130, test=8)
    write_crops(folder / "few", 130, test=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, folder))
        register_all(folder)
        yield folder


def register_all(folder: Path) -> None:
    """Register the five versions of `srcnn-x2`."""
    with mlflow.start_run():
        for number, strength in STRENGTHS.items():
            assert registry.register(2, network(2, strength, folder), {}, alias=None) == number
        assert registry.register(2, network(3, 1.0, folder), {}, alias=None) == OTHER_SCALE


def begin_with(*line: int) -> None:
    """Let versions have been champion one after another, and nothing else have happened."""
    client = MlflowClient()
    client.delete_registered_model_tag("srcnn-x2", champions.LINE)
    for alias in ("previous-champion", "champion"):
        client.delete_registered_model_alias("srcnn-x2", alias)
    for version in line:
        make_champion(version)


def make_champion(version: int) -> None:
    """Promote a version that was not judged."""
    champions.promote(2, version, champions.champions(2).line)


def nobody_waits() -> bool:
    """Whether no process has left its place in the queue of those who move aliases."""
    tags = MlflowClient().get_registered_model("srcnn-x2").tags
    return not [tag for tag in tags if tag != champions.LINE]


def verdict_of(version: int) -> str:
    """What a version says of itself."""
    return MlflowClient().get_model_version("srcnn-x2", str(version)).tags["verdict"]


def aliases() -> tuple[int | None, int | None]:
    """The champion and the previous champion."""
    champion, previous = (
        registry.version_with_alias(2, alias) for alias in ("champion", "previous-champion")
    )
    return champion, previous


def promotion(version: int | str, before: str = "", **environment: str) -> Forked:
    """`promote` in a process of its own, which first runs some code."""
    code = (
        "import os, sys\n"
        "from srcnn_mlflow.tracking import champions, registry, registry_lock\n"
        f"{before}\n"
        "from srcnn_mlflow.commands.promote import promote\n"
        f"sys.exit(not promote(2, '{version}', 'photos').promoted)\n"
    )
    command = (sys.executable, "-c", code)
    return COMMANDS.start(command, env={**os.environ, **environment}, stdout=PIPE, stderr=PIPE)
