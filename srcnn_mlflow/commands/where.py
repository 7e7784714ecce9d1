"""`where`: the places in which work and runs are kept, what for, and how large they are."""

import logging
from pathlib import Path

from srcnn_mlflow.commands.work import PURPOSES
from srcnn_mlflow.machine.disk import readable_size, size_of
from srcnn_mlflow.machine.places import former_home, home, local_store
from srcnn_mlflow.tracking.store import tracking_address

logger = logging.getLogger(__name__)


def where() -> None:
    """Tell where work is kept, and the runs."""
    logger.info("work: %s", home())
    for name, purpose in PURPOSES.items():
        _tell(home() / name, purpose)
    if former_home().resolve() != home().resolve():
        for name, purpose in PURPOSES.items():
            _tell(former_home() / name, f"{purpose}, where it used to lie")
    logger.info("runs and models: %s", tracking_address())
    store = local_store()
    if store is not None:
        _tell(store, "what is known of them")
        _tell(store.parent / "mlruns", "their files")


def _tell(path: Path, purpose: str) -> None:
    if path.exists():
        logger.info("  %s: %s, %s", path, readable_size(size_of(path)), purpose)
