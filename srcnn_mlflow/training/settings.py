"""Every hyper-parameter of a fit, by name; nothing heavy is imported here."""

from dataclasses import dataclass

from srcnn_mlflow.network.architecture import Architecture, planes_of, with_channels
from srcnn_mlflow.network.foreign import OWN, origin_of, short_name

OPTIMIZERS = ("muon", "adam")
INITIALIZATIONS = ("he", "plain")

SCHEDULES = ("cosine", "constant")
SAMPLINGS = ("uniform", "by_error")
LOSSES = ("mse", "psnr")
PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class TrainingSettings:
    """Every hyper-parameter of a fit; the defaults train best in a few minutes on two cores.

    Attributes:
        architecture: kernel sizes, as in `9-5-5`; or a network from outside, which decides
            padding and initialization itself (`own`), and whose first layer is not preconditioned.
        epochs: passes over all patches; `max_minutes` takes its place where given.
        batch_size: patches a step.
        lr: the highest learning rate.
        last_layer_lr_factor: the last layer's share of that rate.
        optimizer: `adam` or `muon`.
        schedule: `cosine` (a short warm-up, then down to 1 %) or `constant`.
        gradient_clip: the longest gradient a step may follow; None for any.
        residual: learn the difference from bicubic.
        padding: `none`, `replicate` or `zero`; see `Architecture`.
        channels: `y`, `ycbcr` or `rgb`; see `Architecture`.
        initialization: `he` (last layer near zero) or `plain` (torch's default).
        precondition: train the first layer on centred, partly whitened planes.
        sampling: `uniform` (each patch once a pass) or `by_error` (drawn by how much bicubic errs).
        loss: `mse` or `psnr` (each picture's error weighed, halfway to a mean of decibels).
        augment: turn and mirror batches.
        ema_decay: validate and keep an exponential moving average of the weights, of which this
            share stays a step; None for the weights themselves.
        precision: what the convolutions compute in; weights, loss and optimizer stay in float32.
            `auto` is `bfloat16` where the processor has it in hardware, and else `float32`.
        max_minutes: train for about this long, with the schedule fitted to it; None for epochs.
        seed: of the initial weights and the order of patches.
    """

    architecture: str = "9-5-5"
    epochs: int = 8
    batch_size: int = 16
    lr: float = 0.001
    last_layer_lr_factor: float = 1.0
    optimizer: str = "muon"
    schedule: str = "cosine"
    gradient_clip: float | None = None
    residual: bool = True
    padding: str = "none"
    channels: str = "y"
    initialization: str = "he"
    precondition: bool = True
    sampling: str = "by_error"
    loss: str = "psnr"
    augment: bool = True
    ema_decay: float | None = None
    precision: str = "auto"
    max_minutes: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Say of a network from outside what it decides itself."""
        if origin_of(self.architecture) is not None:
            for name, value in (("padding", OWN), ("initialization", OWN), ("precondition", False)):
                object.__setattr__(self, name, value)

    @property
    def label(self) -> str:
        """How names and sentences call the network: without folders, its channels if not luma."""
        return with_channels(short_name(self.architecture), self.channels)

    @property
    def planes(self) -> int:
        """How many planes the network takes and gives."""
        return planes_of(self.channels)

    @property
    def network(self) -> Architecture:
        """The chain that these settings train.

        Raises:
            ModelError: they train a network from outside, or none at all.
        """
        return Architecture(self.architecture, self.residual, self.padding, self.channels)


# What trains best in a few minutes on two cores, and what the report did.
RECIPE = TrainingSettings()
REPORT = TrainingSettings(
    epochs=50,
    last_layer_lr_factor=0.1,
    optimizer="adam",
    schedule="constant",
    residual=False,
    padding="zero",
    initialization="plain",
    precondition=False,
    sampling="uniform",
    loss="mse",
    augment=False,
    precision="float32",
)
