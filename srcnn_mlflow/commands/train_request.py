"""What a training is asked for, by name, as it is given, logged and kept in its checkpoints."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from srcnn_mlflow.machine.errors import TrainingError
from srcnn_mlflow.pictures.store_file import StoreSettings
from srcnn_mlflow.training.settings import TrainingSettings

# What trainings did before they had a choice.
BEFORE = {"channels": "y", "sampling": "uniform", "loss": "mse"}


@dataclass(frozen=True)
class TrainRequest:
    """Everything that decides a training: the parameters of `train`, but for device and resume.

    Attributes:
        scale: 2, 3 or 4.
        dataset: names the photographs.
        patch_size: side of a patch, in pixels.
        stride: between patches, in pixels.
        train_images: use only so many training pictures; None for all.
        settings: the hyper-parameters.
    """

    scale: int
    dataset: str
    patch_size: int
    stride: int
    train_images: int | None
    settings: TrainingSettings

    @property
    def store(self) -> StoreSettings:
        """How its pictures are to be prepared."""
        planes = self.settings.network.planes
        return StoreSettings(self.scale, self.patch_size, self.stride, planes=planes)

    def parameters(self) -> dict[str, Any]:
        """All of it by name."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "settings"}
        return {**own, **asdict(self.settings)}

    def logged(self, device: str) -> dict[str, Any]:
        """Every parameter of the entry point `train`, as a new run logs it."""
        images = "all" if self.train_images is None else self.train_images
        return {**self.parameters(), "train_images": images, "device": device, "resume": None}

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> "TrainRequest":
        """The inverse of `parameters`, of former versions too."""
        parameters = {**BEFORE, **parameters}
        names = {f.name for f in fields(TrainingSettings)}
        settings = {key: value for key, value in parameters.items() if key in names}
        own = {key: value for key, value in parameters.items() if key not in names}
        return cls(settings=TrainingSettings(**settings), **own)

    def check(self) -> None:
        """Make sure that patches are large enough for the network.

        Raises:
            TrainingError: they are not.
        """
        network = self.settings.network
        least = 2 * network.halo + 1
        if network.padding == "none" and self.patch_size < least:
            raise TrainingError(
                f"patch_size {self.patch_size} leaves nothing of a patch with padding none and "
                f"architecture {network.name}; use at least {least}, or another padding"
            )
        kernel = network.kernels[0]
        if self.settings.precondition and self.patch_size < kernel:
            raise TrainingError(
                f"patch_size {self.patch_size} is smaller than the first layer's kernels of "
                f"{kernel}x{kernel}, which precondition measures; use at least {kernel}, or "
                "precondition=false"
            )
