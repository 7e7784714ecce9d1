"""Train, compare, register and serve SRCNN image upscaling with MLflow."""

__version__ = "0.1.0"
