"""Now `srcnn_mlflow.pictures.decoding`."""

from srcnn_mlflow.pictures.decoding import open_image as open_image
