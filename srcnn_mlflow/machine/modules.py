"""Import what takes seconds."""

import gc
import sys
from importlib import import_module


def load(name: str) -> None:
    """Import a module, with all that it imports, a quarter faster than Python does by itself.

    Python looks for garbage among new objects, again and again; of the million that MLflow and
    torch make, none is any.
    """
    if name in sys.modules:
        return
    gc.disable()
    try:
        import_module(name)
    finally:
        gc.enable()
    # Nor will any of them become garbage, as long as the process lives.
    gc.freeze()
