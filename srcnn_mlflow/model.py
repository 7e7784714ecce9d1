"""The network, in torch, for training."""

from torch import Tensor, nn
from torch.nn import functional

from srcnn_mlflow.architecture import FILTERS, Architecture

INITIALIZATIONS = ("he", "plain")


class Srcnn(nn.Module):
    """SRCNN (Dong et al., 2014): patch extraction, non-linear mapping, reconstruction.

    Takes and gives luma in 0..1, float32 of shape (batch, 1, height, width). With padding
    `none` the output is smaller by the halo on each side, in step with `crop_target`.
    """

    def __init__(self, architecture: Architecture, initialization: str = "he") -> None:
        super().__init__()
        self.architecture = architecture
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
        features = functional.relu(self.conv1(luma))
        features = functional.relu(self.conv2(features))
        output: Tensor = self.conv3(features)
        return output + self.crop_target(luma) if self.architecture.residual else output

    def crop_target(self, luma: Tensor) -> Tensor:
        """Cut a plane of the input's size to the size of the output."""
        if self.architecture.padding != "none":
            return luma
        halo = self.architecture.halo
        return luma[..., halo:-halo, halo:-halo]


def count_weights(model: nn.Module) -> int:
    """Number of trained values, biases included."""
    return sum(parameter.numel() for parameter in model.parameters())
