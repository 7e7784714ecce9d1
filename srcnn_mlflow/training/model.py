"""The network, in torch, for training."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from srcnn_mlflow.network.architecture import FILTERS, Architecture
from srcnn_mlflow.training.preconditioning import Preconditioner


class Srcnn(nn.Module):
    """SRCNN (Dong et al., 2014): patch extraction, non-linear mapping, reconstruction.

    Takes and gives luma in 0..1, float32 of shape (batch, 1, height, width). With padding
    `none` the output is smaller by the halo on each side, in step with `crop_target`.
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
        first, second, third = architecture.kernels
        self.conv1 = self._layer(1, FILTERS[0], first)
        self.conv2 = self._layer(FILTERS[0], FILTERS[1], second)
        self.conv3 = self._layer(FILTERS[1], FILTERS[2], third)
        if initialization == "he":
            self._initialize()

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
        for layer in (self.conv1, self.conv2):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        # Near zero, so that a residual network begins as bicubic itself.
        nn.init.normal_(self.conv3.weight, std=1e-3)
        for layer in (self.conv1, self.conv2, self.conv3):
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, luma: Tensor) -> Tensor:
        """Sharpen bicubic luma; see the class for shapes and ranges."""
        features = functional.relu_(self._extract(luma))
        features = functional.relu_(self.conv2(features))
        # In float32 throughout: 8 bits are too few for luma, which is what this layer gives.
        with torch.autocast(luma.device.type, enabled=False):
            output = self._reconstruct(features.float())
        return output + self.crop_target(luma) if self.architecture.residual else output

    def plain_weights(self) -> dict[str, Tensor]:
        """The weights `conv1.weight` ... `conv3.bias` of the plain SRCNN that computes the same."""
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

    def _extract(self, luma: Tensor) -> Tensor:
        if self.preconditioner is None:
            features: Tensor = self.conv1(luma)
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
            kernel = self.preconditioner.kernel(self.conv1.weight)
            features = functional.conv2d(luma - self.preconditioner.mean, kernel, self.conv1.bias)
        # The second layer would round it anyway; done here, what lies between is half the memory.
        narrow = torch.is_autocast_enabled(device)
        return features.to(torch.get_autocast_dtype(device)) if narrow else features

    def _reconstruct(self, features: Tensor) -> Tensor:
        """Compute the last layer row by row of its kernel, and add the rows up.

        The same sum as `self.conv3(features)`: a convolution to a single plane takes as long as one
        to 16, so every row of the kernel gives a plane of its own.
        """
        side = self.conv3.kernel_size[0]
        if self.architecture.padding == "replicate":
            features = functional.pad(features, [side // 2] * 4, mode="replicate")
        margin = side // 2 if self.architecture.padding == "zero" else 0
        kernel = self.conv3.weight[0].flip(1).permute(1, 0, 2).unsqueeze(2)
        rows = functional.conv2d(features, kernel, padding=(0, margin))
        height, width = rows.shape[2:]
        size = (height + 2 * margin - side + 1, width)
        padding = (side - 1 - margin, 0)
        output = functional.fold(rows.flatten(2), size, (side, 1), padding=padding)
        assert self.conv3.bias is not None
        return output + self.conv3.bias

    def crop_target(self, luma: Tensor) -> Tensor:
        """Cut a plane of the input's size to the size of the output."""
        if self.architecture.padding != "none":
            return luma
        halo = self.architecture.halo
        return luma[..., halo:-halo, halo:-halo]


def count_weights(model: nn.Module) -> int:
    """Number of trained values, biases included."""
    return sum(parameter.numel() for parameter in model.parameters())
