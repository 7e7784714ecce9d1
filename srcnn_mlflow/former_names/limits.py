"""Now `srcnn_mlflow.machine.limits`."""

from srcnn_mlflow.machine.limits import read_limit as read_limit
