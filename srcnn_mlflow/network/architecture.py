"""The three convolutions of SRCNN by name, for whoever builds, exports or runs them."""

from dataclasses import dataclass

from srcnn_mlflow.machine.errors import ModelError

SCALES = (2, 3, 4)
ARCHITECTURES = ("9-5-5", "9-1-5")
PADDINGS = ("none", "replicate", "zero")
FILTERS = (64, 32, 1)


@dataclass(frozen=True)
class Architecture:
    """How one SRCNN is put together (Dong et al., 2014: 64 and 32 filters).

    Attributes:
        name: kernel sizes of the three layers, as in `9-5-5`.
        residual: add the network's input to its output, so that it learns the difference.
        padding: what lies outside the picture. `zero` and `replicate` pad every layer, in
            training too. `none` trains on what the layers compute without padding, and repeats
            the picture's edge once, in front of the first layer, when it upscales.
    """

    name: str = "9-5-5"
    residual: bool = True
    padding: str = "none"

    def __post_init__(self) -> None:
        if self.name not in ARCHITECTURES or self.padding not in PADDINGS:
            raise ModelError(
                f"unknown network {self.name} with padding {self.padding}; choose from "
                f"{', '.join(ARCHITECTURES)} and {', '.join(PADDINGS)}"
            )

    @property
    def kernels(self) -> tuple[int, int, int]:
        """Sides of the three layers' square kernels."""
        first, second, third = (int(side) for side in self.name.split("-"))
        return first, second, third

    @property
    def halo(self) -> int:
        """How many pixels away from an output pixel the network still looks.

        >>> Architecture("9-5-5").halo
        8
        """
        return sum(side // 2 for side in self.kernels)
