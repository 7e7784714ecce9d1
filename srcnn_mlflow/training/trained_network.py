"""What a fit needs of a network, whoever has written it."""

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor, nn

from srcnn_mlflow.network.plain_weights import Weights
from srcnn_mlflow.training.preconditioning import Preconditioner


class TrainedNetwork(nn.Module):
    """A network under training, from planes in 0..1 to planes, (batch, planes, height, width).

    Attributes:
        crop: pixels by which it gives less than it is given, along each edge.
        keeps_statistics: whether it changes values of its own while it computes, as batch
            normalization does.
    """

    crop: int = 0
    keeps_statistics: bool = False

    def kernels(self) -> list[nn.Parameter]:
        """The weights of two or four dimensions, but for the last layer's."""
        raise NotImplementedError

    def last_layer(self) -> list[nn.Parameter]:
        """All weights of the last layer."""
        raise NotImplementedError

    def plain_weights(self) -> dict[str, Tensor]:
        """What is validated, kept and shipped, by name."""
        raise NotImplementedError

    def load_plain_weights(self, weights: Mapping[str, Tensor]) -> None:
        """The inverse of `plain_weights`."""
        raise NotImplementedError

    def crop_target(self, luma: Tensor) -> Tensor:
        """Cut a plane of the input's size to the size of the output."""
        crop = self.crop
        return luma[..., crop:-crop, crop:-crop] if crop else luma


class Network(Protocol):
    """What a fit needs to know of a network before there is one."""

    @property
    def name(self) -> str:
        """How tables and tags call it."""

    @property
    def halo(self) -> int:
        """How many pixels away from an output pixel it still looks."""

    @property
    def channels(self) -> str:
        """What it works on: `y`, `ycbcr` or `rgb`."""

    @property
    def planes(self) -> int:
        """How many planes it takes and gives."""

    @property
    def crop(self) -> int:
        """Pixels by which it gives less than it is given in training, along each edge."""

    @property
    def residual(self) -> bool:
        """Whether its input is added to its output."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shapes of its plain weights, by name."""

    @property
    def weights(self) -> int:
        """How many values are trained."""

    @property
    def source(self) -> Mapping[str, str]:
        """Its file, the digest of that, and its package; nothing for one of our own."""

    @property
    def text(self) -> str:
        """Its file's; empty where it is this package's own."""

    def build(
        self, initialization: str = "he", preconditioner: Preconditioner | None = None
    ) -> TrainedNetwork:
        """A new one, ready to be trained.

        Args:
            initialization: of the first weights.
            preconditioner: of its first layer.
        """

    def export(self, weights: Weights, scale: int) -> bytes:
        """The ONNX file of a network with these weights, as `Upscaler` takes it.

        Raises:
            ModelError: it would not compute the same.
        """

    def without_correction(self, weights: Weights) -> Weights:
        """The same weights, but for those that are zero in a network that corrects nothing."""

    def corrects_nothing(self, weights: Weights) -> bool:
        """Whether these are what `without_correction` gives."""
