"""The network, in torch, for training."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from srcnn_mlflow.network.architecture import Architecture
from srcnn_mlflow.training.preconditioning import Preconditioner


class Srcnn(nn.Module):
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

    def crop_target(self, luma: Tensor) -> Tensor:
        """Cut a plane of the input's size to the size of the output."""
        if self.architecture.padding != "none":
            return luma
        halo = self.architecture.halo
        return luma[..., halo:-halo, halo:-halo]


def count_weights(model: nn.Module) -> int:
    """Number of trained values, biases included."""
    return sum(parameter.numel() for parameter in model.parameters())
