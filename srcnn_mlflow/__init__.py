"""Train, compare, register and serve SRCNN image upscaling with MLflow."""

import logging
import os
from pathlib import Path

__version__ = "0.2.0"

# ONNX Runtime would report to its maker how it is used, and keep a number of the machine for that.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# Whoever imports the package hears nothing, unless they ask for it; the commands do.
logging.getLogger(__name__).addHandler(logging.NullHandler())

# Where modules are found that exist under their former names only; see the package of that name.
__path__.append(str(Path(__file__).with_name("former_names")))
