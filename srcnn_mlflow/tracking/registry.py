"""Versions and aliases of the registered models `srcnn-x2`, `srcnn-x3` and `srcnn-x4`."""

import atexit
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from srcnn_mlflow.machine.callers_folder import given_source
from srcnn_mlflow.machine.credentials import without_credentials
from srcnn_mlflow.machine.errors import DamagedModelError, ModelError
from srcnn_mlflow.machine.text import is_number
from srcnn_mlflow.measuring.evaluation import Summary
from srcnn_mlflow.network.shipped import SHIPPED_NAMES, full_name, shipped_network
from srcnn_mlflow.network.upscaler import Upscaler
from srcnn_mlflow.tracking import logged_models
from srcnn_mlflow.tracking.fetching import fetch
from srcnn_mlflow.tracking.logged_models import BestEpoch
from srcnn_mlflow.tracking.model_files import write_model
from srcnn_mlflow.tracking.registry_lock import alone_in_registry

CHALLENGER, CHAMPION, PREVIOUS_CHAMPION = "challenger", "champion", "previous-champion"
ALIASES = (CHALLENGER, CHAMPION, PREVIOUS_CHAMPION)
NETWORK_FILE = "network.onnx"

# A version as MLflow writes it, with or without the start of a URI.
_REFERENCE = re.compile(r"(?:models:/)?srcnn-x([234])(?:/([0-9]+)|@([A-Za-z][\w-]*))")


@dataclass(frozen=True)
class FoundModel:
    """A logged model and where it lies.

    Attributes:
        uri: what MLflow calls it.
        version: its number in the registry; None for a model that is not registered.
        folder: its files on this machine.
    """

    uri: str
    version: int | None
    folder: Path

    @property
    def network(self) -> Path:
        """Its ONNX file.

        Raises:
            ModelError: it is not a model of this package.
        """
        files = sorted(self.folder.glob(f"**/{NETWORK_FILE}"))
        if not files:
            raise DamagedModelError(
                f"model {self.uri} holds no {NETWORK_FILE}; srcnn-mlflow made others"
            )
        return files[0]

    @property
    def channels(self) -> str:
        """What its network works on: `y`, `ycbcr` or `rgb`; `y` of a model that was made elsewhere.

        Raises:
            DamagedModelError: its ONNX file cannot be used.
        """
        try:
            return next(
                (Upscaler(file).channels for file in self.folder.glob(f"**/{NETWORK_FILE}")), "y"
            )
        except ModelError as error:
            raise DamagedModelError(f"{self.name} cannot be run: {error}") from error

    @property
    def name(self) -> str:
        """How a sentence calls it."""
        return self.uri if self.version is None else self.label.replace("/", " version ")

    @property
    def label(self) -> str:
        """How tables and messages call it."""
        return self.uri.removeprefix("models:/")


def model_name(scale: int) -> str:
    """The registered model of a scale."""
    return f"srcnn-x{scale}"


def register(
    scale: int,
    network: Path,
    tags: Mapping[str, str],
    alias: str | None = CHALLENGER,
    epoch: BestEpoch | None = None,
) -> int:
    """Log a network as the active run's model and register it as a new version.

    Of a training, what an earlier process has left unfinished of this is gone on with.

    Args:
        scale: decides the registered model.
        network: an ONNX file.
        tags: of the new version.
        alias: moved to the new version, unless it has a newer one; None for no alias.
        epoch: what the network is of the run's training; None for one that was not trained here.

    Returns:
        The number of the version.
    """
    name = model_name(scale)
    model_id, begun = logged_models.log_model(network, scale, epoch)
    number = int(logged_models.register_model(model_id, name, dict(tags), begun).version)
    if alias is not None:
        with alone_in_registry(name):
            if number > (version_with_alias(scale, alias) or 0):
                MlflowClient().set_registered_model_alias(name, alias, str(number))
    return number


def score_tags(summary: Summary, measured_on: str) -> dict[str, str]:
    """A version's scores as tags, with the data set and split they were measured on."""
    tags = {
        "psnr": f"{summary.srcnn_psnr:.4f}",
        "ssim": f"{summary.srcnn_ssim:.5f}",
        "psnr_gain": f"{summary.psnr_gain:.4f}",
        "measured_on": measured_on,
    }
    if summary.srcnn_rgb_psnr is not None:
        tags["rgb_psnr"] = f"{summary.srcnn_rgb_psnr:.4f}"
    return tags


def channels_tag(channels: str) -> dict[str, str]:
    """The tag of a version whose network works on something else than luma."""
    return {} if channels == "y" else {"channels": channels}


def tag_version(scale: int, version: int, tags: Mapping[str, str]) -> None:
    """Set tags of a registered version."""
    for key, value in tags.items():
        shown = without_credentials(value)
        MlflowClient().set_model_version_tag(model_name(scale), str(version), key, shown)


def version_tags(scale: int, version: int) -> dict[str, str] | None:
    """Tags of a registered version; None where there is none of that number, or it was deleted."""
    try:
        return dict(MlflowClient().get_model_version(model_name(scale), str(version)).tags)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def version_with_alias(scale: int, alias: str) -> int | None:
    """The number of the version that an alias points to, if any does."""
    try:
        found = MlflowClient().get_model_version_by_alias(model_name(scale), alias)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise
    return int(found.version)


def find_model(reference: str, scale: int) -> FoundModel:
    """Find a model and bring its files to this machine.

    Args:
        reference: `newest`, an alias, a version number, `shipped` or `shipped-9-1-5` and the like,
            or any model URI or folder.
        scale: decides the registered model, where the reference is not a URI.

    Raises:
        ModelError: there is no such model.
    """
    name = model_name(scale)
    if reference in SHIPPED_NAMES:
        return _shipped_model(scale, full_name(reference))
    if reference == "newest":
        number = _newest_version(scale)
    elif reference in ALIASES:
        number = version_with_alias(scale, reference)
    elif is_number(reference):
        number = int(reference)
    else:
        folder = given_source(reference)
        uri = str(folder) if folder.is_dir() else reference
        return FoundModel(reference, None, fetch(uri))
    if number is None and reference == PREVIOUS_CHAMPION:
        raise ModelError(f"{name} has had no earlier champion, so there is none to return to")
    if number is None:
        raise ModelError(
            f"the registry has no {'version' if reference == 'newest' else reference} of {name}; "
            f"train one with scale={scale} first, or give shipped"
        )
    uri = f"models:/{name}/{number}"
    return FoundModel(uri, number, fetch(uri))


def find_of_any_scale(reference: str, scale: int) -> FoundModel:
    """As `find_model`, for a version of another scale too, as `srcnn-x2/3` or `srcnn-x2@champion`.

    Args:
        reference: as for `find_model`, or as `parse_reference` takes it.
        scale: decides the registered model, where the reference does not.

    Raises:
        ModelError: there is no such model.
    """
    if _REFERENCE.fullmatch(reference) is None:
        return find_model(reference, scale)
    scale, selector = parse_reference(reference)
    number = int(selector) if is_number(selector) else version_with_alias(scale, selector)
    if number is None:
        raise ModelError(
            f"the registry has no {selector} of {model_name(scale)}; train one with scale={scale} "
            "first, or give another alias or a version number"
        )
    return find_model(str(number), scale)


def logged_id(found: FoundModel) -> str | None:
    """The id of a logged model, to which numbers can be linked; None where this store has none."""
    model_id = Model.load(str(found.folder)).model_id
    if model_id is None:
        return None
    try:
        MlflowClient().get_logged_model(model_id)
    except MlflowException as error:
        # It may come from another store.
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    return model_id


def _shipped_model(scale: int, name: str) -> FoundModel:
    """Make a model of a network that comes with the package, as if it were registered."""
    folder = Path(mkdtemp(prefix="srcnn-shipped-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    network = folder / NETWORK_FILE
    shutil.copyfile(shipped_network(scale, name), network)
    write_model(folder / "model", network)
    return FoundModel(f"{name}-x{scale}", None, folder / "model")


def parse_reference(reference: str) -> tuple[int, str]:
    """Take the name of a registered version apart.

    Args:
        reference: as `srcnn-x4@champion` or `srcnn-x4/3`, or the same as a URI.

    Returns:
        The scale, and the alias or the number of the version.

    Raises:
        ModelError: it is anything else.

    >>> parse_reference("srcnn-x4@champion"), parse_reference("models:/srcnn-x2/3")
    ((4, 'champion'), (2, '3'))
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise ModelError(
            f"model {reference!r} does not name a registered version; give srcnn-x4@champion, "
            "srcnn-x4/3 or models:/srcnn-x4/3, with x2, x3 or x4"
        )
    scale, number, alias = match.groups()
    return int(scale), number or alias


def _newest_version(scale: int) -> int | None:
    versions: list[ModelVersion] = MlflowClient().search_model_versions(
        f"name = '{model_name(scale)}'"
    )
    return max((int(version.version) for version in versions), default=None)
