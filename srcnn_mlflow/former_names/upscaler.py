"""Now `srcnn_mlflow.network.upscaler`."""

from srcnn_mlflow.network.upscaler import Upscaler as Upscaler
