"""Versions that are asked for by name: several of them, of any scale, each once."""

import logging
from dataclasses import dataclass

from srcnn_mlflow.machine.errors import ModelError
from srcnn_mlflow.machine.text import is_number
from srcnn_mlflow.network.architecture import SCALES, with_channels
from srcnn_mlflow.network.onnx_export import read_layers
from srcnn_mlflow.network.shipped import SHIPPED, SHIPPED_NAMES, full_name
from srcnn_mlflow.tracking import registry
from srcnn_mlflow.tracking.registry import CHALLENGER, CHAMPION, FoundModel

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Version:
    """A registered version that takes part.

    Attributes:
        scale: 2, 3 or 4.
        found: its files.
        aliases: by which it was asked for.
        architecture: kernel sizes, as in `9-5-5`.
        weights: how many it has, biases included.
        channels: `y`, `ycbcr` or `rgb`.
    """

    scale: int
    found: FoundModel
    aliases: tuple[str, ...]
    architecture: str
    weights: int
    channels: str

    @property
    def network(self) -> str:
        """The architecture, with the channels where they are not luma."""
        return with_channels(self.architecture, self.channels)


def find_versions(models: str) -> list[Version]:
    """Find registered versions, each of them once, in the order of their first mention.

    Args:
        models: versions joined by `+`, such as `srcnn-x2@champion+srcnn-x4/3`, with `shipped` or
            `shipped-9-1-5` and the like for weights that come with the package, at each of the
            other versions' scales or at all;
            `all` for every challenger and champion; or `champions`, for which the shipped weights
            stand in where there is none.

    Raises:
        ModelError: an item names no version, or there is none at all.
    """
    aliases: dict[tuple[int, str], list[str]] = {}
    for scale, selector in _references(models):
        named = aliases.setdefault((scale, _resolve(scale, selector)), [])
        if not (is_number(selector) or selector in SHIPPED_NAMES or selector in named):
            named.append(selector)
    versions = []
    for (scale, reference), named in aliases.items():
        found = registry.find_model(reference, scale)
        layers = read_layers(found.network)
        versions.append(Version(scale, found, tuple(named), *layers, found.channels))
    return versions


def _references(models: str) -> list[tuple[int, str]]:
    """A scale, and an alias, a version's number or shipped weights, for each that is named."""
    if models == "champions":
        champions = _with_aliases(CHAMPION)
        if not champions:
            logger.info(
                "there is no champion yet, so the weights that come with the package are taken"
            )
        return champions or [(scale, full_name(SHIPPED)) for scale in SCALES]
    if models != "all":
        items = models.split("+")
        shipped = [full_name(item) for item in items if item in SHIPPED_NAMES]
        registered = [registry.parse_reference(item) for item in items if item not in SHIPPED_NAMES]
        scales = dict.fromkeys(scale for scale, _ in registered) or SCALES
        return [*registered, *((scale, name) for scale in scales for name in shipped)]
    found = _with_aliases(CHALLENGER, CHAMPION)
    if not found:
        names = ", ".join(registry.model_name(scale) for scale in SCALES)
        raise ModelError(
            f"the registry has no challenger or champion of {names}; train one first, or give "
            "models=shipped"
        )
    return found


def _resolve(scale: int, selector: str) -> str:
    """An alias as the number of its version; all else as it is."""
    if is_number(selector) or selector in SHIPPED_NAMES:
        return selector
    number = registry.version_with_alias(scale, selector)
    if number is None:
        raise ModelError(
            f"the registry has no {selector} of {registry.model_name(scale)}; train one with "
            f"scale={scale} first, or give another alias or a version number"
        )
    return str(number)


def _with_aliases(*aliases: str) -> list[tuple[int, str]]:
    return [
        (scale, alias)
        for scale in SCALES
        for alias in aliases
        if registry.version_with_alias(scale, alias) is not None
    ]
