"""A network from outside, as a fit takes it: any torch module, behind what a chain has too."""

import io
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import helper
from torch import Tensor, nn
from torch.nn import functional

from srcnn_mlflow.machine.errors import ModelError
from srcnn_mlflow.machine.text import first_line
from srcnn_mlflow.network.foreign import OWN
from srcnn_mlflow.network.onnx_export import OPSET
from srcnn_mlflow.network.plain_weights import Weights
from srcnn_mlflow.training.preconditioning import Preconditioner
from srcnn_mlflow.training.trained_network import TrainedNetwork

# How much a result may differ by, of the range of luma: between torch and what is shipped, and
# between a tile and the whole plane.
TOLERANCE = 1e-4
# The size at which the graph is traced, and others at which it has to compute the same.
_TRACED = (24, 31)
_COMPARED = ((1, 25, 24), (2, 43, 38))
# Tiles begin at multiples of 512; at multiples of this, what has strides is in the same phase.
_TILE = 16

Session = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@contextmanager
def _told(label: str) -> Iterator[None]:
    """Turn whatever a network's own code raises into one line."""
    try:
        yield
    except (ModelError, MemoryError):
        raise
    except Exception as error:
        hint = "; precision=float32 may help" if torch.is_autocast_enabled("cpu") else ""
        raise ModelError(
            f"network {label} has failed: {type(error).__name__}: {first_line(error)}{hint}"
        ) from error


class ForeignModule(TrainedNetwork):
    """A module from outside, and what is added to it: bicubic luma, where it learns the difference.

    Its weights are those of the module, under `module.`, and with `residual` a factor `correction`
    of what is added, 1 in every training and 0 in the network that corrects nothing.
    """

    correction: Tensor

    def __init__(self, network: "ForeignNetwork", module: nn.Module) -> None:
        super().__init__()
        self.crop = network.crop
        self.keeps_statistics = network.keeps_statistics
        self._label, self._residual = network.name, network.residual
        self._last_layer = network.last_layer
        self.module = module
        if network.residual:
            self.register_buffer("correction", torch.ones(1))

    def forward(self, luma: Tensor) -> Tensor:
        """Sharpen bicubic luma; see `TrainedNetwork` for shapes and ranges."""
        with _told(self._label):
            output: Tensor = self.module(luma)
        if not self._residual:
            return output.float()
        return self.crop_target(luma) + self.correction * output

    def kernels(self) -> list[nn.Parameter]:
        """The weights of two or four dimensions, but for the last layer's."""
        last = {id(one) for one in self.last_layer()}
        return [
            one
            for one in self.module.parameters()
            if one.requires_grad and one.dim() in (2, 4) and id(one) not in last
        ]

    def last_layer(self) -> list[nn.Parameter]:
        """What is trained of the layer that computes last."""
        layer = self.module.get_submodule(self._last_layer)
        return [one for one in layer.parameters(recurse=False) if one.requires_grad]

    def plain_weights(self) -> dict[str, Tensor]:
        """All weights, and all values that are kept beside them."""
        return {name: value.detach() for name, value in self.state_dict().items()}

    def load_plain_weights(self, weights: Mapping[str, Tensor]) -> None:
        """The inverse of `plain_weights`."""
        self.load_state_dict(dict(weights))


class _Shipped(ForeignModule):
    """The same on whole planes: what gives less than it is given repeats the edge in front."""

    def forward(self, luma: Tensor) -> Tensor:
        """Give as many pixels as it is given."""
        if self.crop:
            luma = functional.pad(luma, [self.crop] * 4, mode="replicate")
        return super().forward(luma)


@dataclass(frozen=True)
class ForeignNetwork:
    """A network from outside; a `Network`.

    Attributes:
        name: its file's name, and its own behind a colon; or a package's name for it.
        halo: as it says itself.
        crop: the halo, where it gives less than it is given, else 0.
        residual: its input is added to its output.
        shapes: of its weights, by name.
        weights: how many values are trained.
        last_layer: the name of the module that computes last; empty for the module itself.
        keeps_statistics: it changes values of its own while it is trained.
        make: gives a new module of random weights.
        source: `file` and `digest`, and `package` where it comes from one.
        text: of its file.
    """

    name: str
    halo: int
    crop: int
    residual: bool
    shapes: Mapping[str, tuple[int, ...]]
    weights: int
    last_layer: str
    keeps_statistics: bool
    make: Callable[[], nn.Module] = field(repr=False)
    source: Mapping[str, str] = field(default_factory=dict)
    text: str = field(default="", repr=False)
    channels: str = "y"
    planes: int = 1

    def build(
        self,
        initialization: str = OWN,  # noqa: ARG002 (it begins as it is written)
        preconditioner: Preconditioner | None = None,
    ) -> ForeignModule:
        """A new one, of the random weights that it gives itself."""
        assert preconditioner is None
        with _told(self.name):
            return ForeignModule(self, self.make())

    def export(self, weights: Weights, scale: int) -> bytes:
        """Its ONNX file, by torch's own exporter, held against the module itself.

        Raises:
            ModelError: torch cannot write it, it computes something else than the module, or tiles
                of a plane something else than the whole plane.
        """
        # A fit goes on with the random numbers that it would have had.
        with torch.random.fork_rng(), _told(self.name):
            shipped = _Shipped(self, self.make())
        shipped.load_plain_weights({n: torch.from_numpy(w) for n, w in weights.items()})
        shipped.eval()
        written = self._write(shipped, scale)
        run = _session(written)
        self._check_same(shipped, run)
        check_seams(run, self.name, self.halo)
        return written

    def without_correction(self, weights: Weights) -> Weights:
        """The same weights, but for the factor of what is added, which is zero."""
        return {**weights, "correction": np.zeros(1, np.float32)}

    def corrects_nothing(self, weights: Weights) -> bool:
        """Whether the factor of what is added is zero."""
        return not weights["correction"].any()

    def _write(self, shipped: _Shipped, scale: int) -> bytes:
        file = io.BytesIO()
        sizes = {name: {0: "batch", 2: "height", 3: "width"} for name in ("luma", "output")}
        try:
            with warnings.catch_warnings():
                # About the exporter itself, and about what it finds out of a module.
                warnings.simplefilter("ignore")
                torch.onnx.export(
                    shipped,
                    (torch.rand(1, 1, *_TRACED),),
                    file,  # type: ignore[arg-type]
                    dynamo=False,
                    opset_version=OPSET,
                    input_names=["luma"],
                    output_names=["output"],
                    dynamic_axes=sizes,
                    # Weights stay as they are known, so that a training can begin with them.
                    training=torch.onnx.TrainingMode.PRESERVE,
                    do_constant_folding=False,
                )
            model = onnx.load_from_string(file.getvalue())
            about = {"scale": scale, "halo": self.halo, "architecture": self.name, "padding": OWN}
            about |= {"residual": str(self.residual).lower(), "weights": self.weights}
            about |= self.source
            helper.set_model_props(model, {name: str(value) for name, value in about.items()})
            onnx.checker.check_model(model)
        except ModelError:
            raise
        except Exception as error:  # the exporter's and the checker's share no base class
            raise ModelError(
                f"network {self.name} cannot be written as ONNX: {first_line(error)}; put "
                "something in the place of what torch cannot export"
            ) from error
        return bytes(model.SerializeToString())

    def _check_same(self, shipped: _Shipped, run: Session) -> None:
        generator = np.random.default_rng(0)
        planes = [generator.random((n, 1, *size), np.float32) for n, *size in _COMPARED]
        # All black, and all white.
        planes += [np.full_like(planes[0], level) for level in (0, 1)]
        for luma in planes:
            height, width = luma.shape[2:]
            with torch.no_grad():
                expected = shipped(torch.from_numpy(luma)).numpy()
            with _told(f"{self.name}, as ONNX,"):
                found = run(luma)
            if not np.isfinite(expected).all():
                raise ModelError(f"network {self.name} gives values that are no finite numbers")
            if found.shape != expected.shape or _apart(found, expected) > TOLERANCE:
                what = (
                    f"{found.shape} in the place of {expected.shape}"
                    if found.shape != expected.shape
                    else f"luma that differs by {_apart(found, expected):.2g} of its range"
                )
                raise ModelError(
                    f"network {self.name} computes something else as ONNX than in torch: {what}, "
                    f"for a plane of {height}x{width} pixels, where {TOLERANCE:g} is allowed; what "
                    "it does must not depend on sizes or values that Python looks at"
                )


def check_seams(run: Session, label: str, halo: int) -> None:
    """Make sure that a tile of a plane is computed as it is in the whole plane.

    Args:
        run: computes planes of shape (batch, 1, height, width).
        label: how messages call the network.
        halo: as much is given around a tile.

    Raises:
        ModelError: it is not.
    """
    first = -(-(halo + 1) // _TILE) * _TILE
    side = first + _TILE + halo + 8
    plane = np.random.default_rng(1).random((1, 1, side, side), np.float32)
    window = slice(first - halo, first + _TILE + halo)
    with _told(f"{label}, as ONNX,"):
        whole = run(plane)[..., first : first + _TILE, first : first + _TILE]
        tile = run(np.ascontiguousarray(plane[..., window, window]))
    tile = tile[..., halo : halo + _TILE, halo : halo + _TILE]
    if _apart(tile, whole) > TOLERANCE:
        raise wrong_halo(label, halo, f"by {_apart(tile, whole):.2g} of the range of luma")


def wrong_halo(label: str, halo: int, how: str) -> ModelError:
    """What is said of a network that looks farther than it says."""
    return ModelError(
        f"network {label} says halo {halo}, but a tile with so many pixels around it comes out "
        f"differently from the same part of the whole plane ({how}), so that pictures would have "
        "seams; say a larger halo, one that a stride divides, and take nothing from a whole plane"
    )


def _session(written: bytes) -> Session:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(written, options, providers=["CPUExecutionProvider"])

    def run(luma: NDArray[np.float32]) -> NDArray[np.float32]:
        (output,) = session.run(None, {"luma": luma})
        result: NDArray[np.float32] = output
        return result

    return run


def _apart(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """The largest difference, of the range of luma, or of all that is given, if that is larger."""
    if one.shape != other.shape:
        return float("inf")
    return float(np.abs(one - other).max() / max(1.0, float(np.abs(other).max())))
