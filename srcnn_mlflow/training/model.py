"""The network, in torch, for training."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from srcnn_mlflow.network.architecture import Architecture
from srcnn_mlflow.network.plain_weights import Weights
from srcnn_mlflow.training.preconditioning import Preconditioner
from srcnn_mlflow.training.trained_network import TrainedNetwork


class Srcnn(TrainedNetwork):
    """SRCNN (Dong et al., 2014) or a longer chain: extraction, non-linear mapping, reconstruction.

    Its layers are called `conv1`, `conv2` and so on. Takes and gives the planes of its channels in
    0..1, float32 of shape (batch, planes, height, width). With padding `none` the output is smaller
    by the halo on each side, in step with `crop_target`.
    """

    def __init__(
        self,
        architecture: Architecture,
        initialization: str = "he",
        preconditioner: Preconditioner | None = None,
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.crop = architecture.crop
        self.preconditioner = preconditioner
        inputs = (architecture.planes, *architecture.filters[:-1])
        layers = zip(inputs, architecture.filters, architecture.kernels, strict=True)
        self._names = []
        for number, layer in enumerate(layers, start=1):
            self._names.append(f"conv{number}")
            self.add_module(self._names[-1], self._layer(*layer))
        if initialization == "he":
            self._initialize()

    @property
    def layers(self) -> list[nn.Conv2d]:
        """The convolutions, from the first to the last."""
        return [self.get_submodule(name) for name in self._names]  # type: ignore[misc]

    def kernels(self) -> list[nn.Parameter]:
        """The weights of all layers but the last."""
        return [layer.weight for layer in self.layers[:-1]]  # type: ignore[misc]

    def last_layer(self) -> list[nn.Parameter]:
        """Weight and bias of the last layer."""
        return list(self.layers[-1].parameters())

    def _layer(self, inputs: int, outputs: int, side: int) -> nn.Conv2d:
        padding = self.architecture.padding
        return nn.Conv2d(
            inputs,
            outputs,
            side,
            padding=0 if padding == "none" else side // 2,
            padding_mode="replicate" if padding == "replicate" else "zeros",
        )

    def _initialize(self) -> None:
        *hidden, last = self.layers
        for layer in hidden:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        # Near zero, so that a residual network begins as bicubic itself.
        nn.init.normal_(last.weight, std=1e-3)
        for layer in self.layers:
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, luma: Tensor) -> Tensor:
        """Sharpen bicubic luma; see the class for shapes and ranges."""
        first, *middle, last = self.layers
        features = functional.relu_(self._extract(luma, first))
        for layer in middle:
            features = functional.relu_(layer(features))
        # In float32 throughout: 8 bits are too few for luma, which is what this layer gives.
        with torch.autocast(luma.device.type, enabled=False):
            output = self._reconstruct(features.float(), last)
        return output + self.crop_target(luma) if self.architecture.residual else output

    def plain_weights(self) -> dict[str, Tensor]:
        """The weights `conv1.weight`, `conv1.bias` ... of a plain chain that computes the same."""
        weights = {
            name: value.detach()
            for name, value in self.state_dict().items()
            if name.startswith("conv")
        }
        if self.preconditioner is not None:
            kernel = self.preconditioner.kernel(weights["conv1.weight"])
            weights["conv1.bias"] = self.preconditioner.bias(kernel, weights["conv1.bias"])
            weights["conv1.weight"] = kernel
        return weights

    def load_plain_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Take up the weights of a plain chain, so that the same is computed as by it."""
        own = dict(weights)
        if self.preconditioner is not None:
            device = self.preconditioner.mean.device
            kernel, bias = (own[name].to(device) for name in ("conv1.weight", "conv1.bias"))
            own["conv1.bias"] = self.preconditioner.trained_bias(kernel, bias)
            own["conv1.weight"] = self.preconditioner.trained_kernel(kernel)
            own |= {
                name: value
                for name, value in self.state_dict().items()
                if not name.startswith("conv")
            }
        self.load_state_dict(own)

    def _extract(self, luma: Tensor, first: nn.Conv2d) -> Tensor:
        if self.preconditioner is None:
            features: Tensor = first(luma)
            return features
        # Centred after padding, or the padding would be another than the plain network's.
        margin = self.architecture.kernels[0] // 2
        if self.architecture.padding == "zero":
            luma = functional.pad(luma, [margin] * 4)
        elif self.architecture.padding == "replicate":
            luma = functional.pad(luma, [margin] * 4, mode="replicate")
        # In float32 even where the rest is not: a whitening kernel rounded to 8 bits would be
        # another kernel than the one that is folded and kept.
        device = luma.device.type
        with torch.autocast(device, enabled=False):
            kernel = self.preconditioner.kernel(first.weight)
            features = functional.conv2d(luma - self.preconditioner.mean, kernel, first.bias)
        # The second layer would round it anyway; done here, what lies between is half the memory.
        narrow = torch.is_autocast_enabled(device)
        return features.to(torch.get_autocast_dtype(device)) if narrow else features

    def _reconstruct(self, features: Tensor, last: nn.Conv2d) -> Tensor:
        """Compute the last layer row by row of its kernel, and add the rows up.

        The same sum as `last(features)`: a convolution to one plane or three takes as long as one
        to 16, so every row of the kernel gives planes of its own.
        """
        side = last.kernel_size[0]
        if self.architecture.padding == "replicate":
            features = functional.pad(features, [side // 2] * 4, mode="replicate")
        margin = side // 2 if self.architecture.padding == "zero" else 0
        kernel = last.weight.flip(2).permute(0, 2, 1, 3).flatten(0, 1).unsqueeze(2)
        rows = functional.conv2d(features, kernel, padding=(0, margin))
        height, width = rows.shape[2:]
        size = (height + 2 * margin - side + 1, width)
        padding = (side - 1 - margin, 0)
        output = functional.fold(rows.flatten(2), size, (side, 1), padding=padding)
        assert last.bias is not None
        return output + last.bias.view(-1, 1, 1)


@dataclass(frozen=True)
class Chain:
    """A chain as a fit takes it; a `Network`."""

    architecture: Architecture

    @property
    def name(self) -> str:
        """The architecture's."""
        return self.architecture.name

    @property
    def halo(self) -> int:
        """The architecture's."""
        return self.architecture.halo

    @property
    def channels(self) -> str:
        """The architecture's."""
        return self.architecture.channels

    @property
    def planes(self) -> int:
        """The architecture's."""
        return self.architecture.planes

    @property
    def crop(self) -> int:
        """The architecture's."""
        return self.architecture.crop

    @property
    def residual(self) -> bool:
        """The architecture's."""
        return self.architecture.residual

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The architecture's."""
        return self.architecture.shapes

    @property
    def weights(self) -> int:
        """How many values are trained, biases included."""
        return self.architecture.weights

    @property
    def source(self) -> dict[str, str]:
        """Nothing: a chain is this package's own."""
        return {}

    @property
    def text(self) -> str:
        """Nothing, for the same reason."""
        return ""

    def build(
        self, initialization: str = "he", preconditioner: Preconditioner | None = None
    ) -> Srcnn:
        """A new `Srcnn`."""
        return Srcnn(self.architecture, initialization, preconditioner)

    def export(self, weights: Weights, scale: int) -> bytes:
        """Its ONNX file, as `build_onnx` writes it."""
        # Imported here, because steps need none of it, and it takes memory.
        from srcnn_mlflow.network.onnx_export import build_onnx

        return build_onnx(weights, self.architecture, scale)

    def without_correction(self, weights: Weights) -> Weights:
        """The same weights, but for the last layer's, which are zero."""
        return {**weights, **{name: np.zeros_like(weights[name]) for name in self._last_layer()}}

    def corrects_nothing(self, weights: Weights) -> bool:
        """Whether the last layer's weights are zero."""
        return not any(weights[name].any() for name in self._last_layer())

    def _last_layer(self) -> tuple[str, ...]:
        """The names of the last layer's weight and bias."""
        return tuple(self.shapes)[-2:]


def count_weights(model: nn.Module) -> int:
    """Number of trained values, biases included."""
    return sum(parameter.numel() for parameter in model.parameters())
