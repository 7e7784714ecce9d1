"""The network whose weights a training begins with: found, and held against what is trained."""

import hashlib
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from srcnn_mlflow.commands.train_request import TrainRequest
from srcnn_mlflow.machine.errors import ModelError, SrcnnError
from srcnn_mlflow.network.architecture import PADDINGS
from srcnn_mlflow.network.onnx_export import WrittenNetwork, read_network
from srcnn_mlflow.network.plain_weights import Weights
from srcnn_mlflow.network.shipped import SHIPPED_NAMES, full_name
from srcnn_mlflow.tracking import registry
from srcnn_mlflow.tracking.registry import FoundModel
from srcnn_mlflow.tracking.seen_pictures import SeenPicture, all_is_known, find_seen
from srcnn_mlflow.tracking.store import check_store
from srcnn_mlflow.training.networks import network_of
from srcnn_mlflow.training.start import fresh_layers, layer_of
from srcnn_mlflow.training.trained_network import Network

logger = logging.getLogger(__name__)

# The tag of a run and of its version that says whose weights it began with.
INIT_FROM = "init_from"
# A model, and behind it the digest of the weights that it had when it was taken.
_REFERENCE = re.compile(r"(?P<model>.+)#(?P<digest>[0-9a-f]{32})", re.DOTALL)


@dataclass(frozen=True)
class Start:
    """What a training begins with.

    Attributes:
        reference: the model, its version where it has one, and its weights' digest behind a `#`.
        weights: by name.
        seen: the pictures that these were trained on, as far as they are known.
        all_is_known: whether these are all of them.
        model_id: of its logged model; None for one that this store does not have.
    """

    reference: str
    weights: Weights
    seen: tuple[SeenPicture, ...]
    all_is_known: bool
    model_id: str | None


def find_start(request: TrainRequest) -> tuple[TrainRequest, Start | None]:
    """Find what a training is to begin with, and make sure that it fits.

    Returns:
        The request, with the version and the digest of the weights in `init_from`; and these, or
        None where it begins with random ones.

    Raises:
        ModelError: there is no such model, or no layer of it fits.
    """
    if request.init_from is None:
        return request, None
    given = _REFERENCE.fullmatch(request.init_from)
    reference = given["model"] if given else request.init_from
    if reference not in SHIPPED_NAMES:
        check_store()
    found = registry.find_of_any_scale(reference, request.scale)
    written = _read(found, reference)
    network = network_of(request.settings)
    _check_kind(written, network, found.name)
    weights = {name: written.weights[name] for name in network.shapes if name in written.weights}
    fresh = fresh_layers(weights, network.shapes)
    if set(fresh) == {layer_of(name) for name in network.shapes}:
        raise ModelError(
            f"{found.name} ({_architecture(written)}) has no layer that fits {network.name}; give "
            f"init_from a model of such layers, or architecture={_architecture(written)}"
        )
    digest = weights_digest(weights)
    if given and given["digest"] != digest:
        raise ModelError(
            f"the weights of {found.name} are not those of {request.init_from} (their digest is "
            f"{digest}); bring them back, or give {reference} for what it is now"
        )
    place = full_name(reference) if reference in SHIPPED_NAMES else found.uri
    _tell(found, fresh, written, network)
    _tell_padding(found.name, written, request.settings.padding)
    seen = find_seen(found)
    known = seen is not None and all_is_known(found)
    start = Start(f"{place}#{digest}", weights, seen or (), known, registry.logged_id(found))
    return replace(request, init_from=start.reference), start


def weights_digest(weights: Weights) -> str:
    """The first 32 hex digits of a SHA-256 over the names, shapes and values of weights."""
    together = hashlib.sha256()
    for name in sorted(weights):
        together.update(f"{name} {weights[name].shape}".encode())
        together.update(weights[name].astype("<f4").tobytes())
    return together.hexdigest()[:32]


def is_as_it_began(request: TrainRequest, weights: Weights) -> bool:
    """Whether weights are those, to the last bit, that a training began with."""
    given = _REFERENCE.fullmatch(request.init_from or "")
    shapes = network_of(request.settings).shapes
    return given is not None and given["digest"] == weights_digest({n: weights[n] for n in shapes})


def _read(found: FoundModel, reference: str) -> WrittenNetwork:
    """The network of a model.

    Raises:
        ModelError: it is none of ours.
    """
    try:
        written = read_network(found.network)
    except SrcnnError:
        raise
    except Exception as error:  # what is no ONNX file makes its reader raise nearly anything
        raise ModelError(f"{reference} holds no ONNX network that can be read") from error
    if not {"scale", "halo", "residual"} <= set(written.about):
        raise ModelError(
            f"{reference} is no model of srcnn-mlflow: its network does not say what it is for; "
            "give init_from newest, an alias, a version, shipped, or the URI of one of ours"
        )
    return written


def _check_kind(written: WrittenNetwork, network: Network, name: str) -> None:
    """Make sure that the weights mean what they mean in the network that is to be trained.

    Raises:
        ModelError: they do not.
    """
    channels = written.about.get("channels", "y")
    if channels != network.channels:
        raise ModelError(
            f"{name} works on channels={channels}, and this training on {network.channels}; give "
            f"channels={channels}, or a model of {network.channels}"
        )
    residual = str(network.residual).lower()
    if written.about["residual"] != residual:
        raise ModelError(
            f"{name} was trained with residual={written.about['residual']}, and this training has "
            f"{residual}: its weights would mean something else; give residual="
            f"{written.about['residual']}"
        )


def _tell(
    found: FoundModel, fresh: Sequence[str], written: WrittenNetwork, network: Network
) -> None:
    logger.info("beginning with the weights of %s (%s)", found.name, _architecture(written))
    if fresh:
        logger.warning(
            "these layers of %s do not fit %s, and begin anew: %s (architecture=%s would keep all)",
            *(found.name, network.name, ", ".join(fresh), _architecture(written)),
        )


def _tell_padding(name: str, written: WrittenNetwork, padding: str) -> None:
    """Say where the weights have met other edges than they are going to meet."""
    former = written.about.get("padding", padding)
    if former != padding and former in PADDINGS:
        logger.warning(
            "%s was trained with padding=%s, and this one has %s, so that its weights meet "
            "edges that they do not know; padding=%s would keep what they know",
            *(name, former, padding, former),
        )


def _architecture(written: WrittenNetwork) -> str:
    return written.about.get("architecture", "of an unknown architecture")
