"""What a training is asked for, by name, as it is given, logged and kept in its checkpoints."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from srcnn_mlflow.machine.errors import TrainingError
from srcnn_mlflow.pictures.store_file import StoreSettings
from srcnn_mlflow.training.networks import reload_network
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
        init_from: the model whose weights it begins with, as it is given, or with the digest of
            these as `Start.reference` has it; None for random ones.
    """

    scale: int
    dataset: str
    patch_size: int
    stride: int
    train_images: int | None
    settings: TrainingSettings
    init_from: str | None = None

    @property
    def store(self) -> StoreSettings:
        """How its pictures are to be prepared."""
        settings = self.settings
        return StoreSettings(self.scale, self.patch_size, self.stride, planes=settings.planes)

    def parameters(self) -> dict[str, Any]:
        """All of it by name."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "settings"}
        return {**own, **asdict(self.settings)}

    def logged(self, device: str, memory: int | None = None) -> dict[str, Any]:
        """Every parameter of the entry point `train`, as a new run logs it."""
        images = "all" if self.train_images is None else self.train_images
        given = {"train_images": images, "device": device, "resume": None}
        size = "auto" if memory is None else f"{memory // 1_000_000}MB"
        return {**self.parameters(), **given, "memory": size}

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> "TrainRequest":
        """The inverse of `parameters`, of former versions too."""
        parameters = {**BEFORE, **parameters}
        names = {f.name for f in fields(TrainingSettings)}
        settings = {key: value for key, value in parameters.items() if key in names}
        own = {key: value for key, value in parameters.items() if key not in names}
        return cls(settings=TrainingSettings(**settings), **own)

    def check(self) -> None:
        """Make sure that there is such a network, and that patches are large enough for it.

        Raises:
            ModelError: there is none.
            TrainingError: they are not.
        """
        network = reload_network(self.settings)
        least = 2 * network.crop + 1
        if self.patch_size < least:
            raise TrainingError(
                f"patch_size {self.patch_size} leaves nothing of a patch with padding "
                f"{self.settings.padding} and architecture {network.name}; use at least {least}, "
                "or another padding"
            )
        if not self.settings.precondition:
            return
        kernel = self.settings.network.kernels[0]
        if self.patch_size < kernel:
            raise TrainingError(
                f"patch_size {self.patch_size} is smaller than the first layer's kernels of "
                f"{kernel}x{kernel}, which precondition measures; use at least {kernel}, or "
                "precondition=false"
            )
