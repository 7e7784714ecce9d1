"""Now `srcnn_mlflow.machine.errors`."""

from srcnn_mlflow.machine.errors import ImageError as ImageError
