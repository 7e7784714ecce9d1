"""The network that settings name: a chain of our own, or one from outside."""

from srcnn_mlflow.machine.errors import ModelError
from srcnn_mlflow.network.foreign import origin_of
from srcnn_mlflow.training.model import Chain
from srcnn_mlflow.training.settings import TrainingSettings
from srcnn_mlflow.training.trained_network import Network


def network_of(settings: TrainingSettings) -> Network:
    """The network that these settings train.

    Raises:
        ModelError: there is no such network, or it cannot be used.
    """
    origin = origin_of(settings.architecture)
    if origin is None:
        return Chain(settings.network)
    if settings.channels != "y":
        raise ModelError(
            f"{settings.architecture} is a network from outside, which works on luma, and channels "
            f"is {settings.channels}; give channels=y, or a chain such as 9-5-5"
        )
    # Imported here, because it brings ONNX with it, which no chain needs to be trained.
    from srcnn_mlflow.training.foreign_loading import loaded

    return loaded(origin, settings.residual)


def reload_network(settings: TrainingSettings) -> Network:
    """The same, of a network from outside as its file is now.

    Raises:
        ModelError: there is no such network, or it cannot be used.
    """
    origin = origin_of(settings.architecture)
    if origin is not None:
        from srcnn_mlflow.training.foreign_loading import reload

        reload(origin)
    return network_of(settings)
