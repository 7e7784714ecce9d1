"""`clean`: what of the work can be made or downloaded again, told, and deleted where asked."""

import logging

from srcnn_mlflow.commands.work import Renewable, renewables
from srcnn_mlflow.machine.disk import readable_size
from srcnn_mlflow.machine.errors import WriteError
from srcnn_mlflow.machine.faults import reason_of
from srcnn_mlflow.machine.locking import nobody_uses
from srcnn_mlflow.machine.places import home, lock_of

logger = logging.getLogger(__name__)


def clean(free: bool) -> None:
    """Tell what can be had again, and delete it where that is asked for.

    Args:
        free: delete it.

    Raises:
        WriteError: another process of this machine uses the folder, or the system refuses.
    """
    found = renewables(home())
    for one in found:
        place = home() / one.name
        logger.info("%s: %s, %s", place, readable_size(one.size), one.how)
    total = readable_size(sum(one.size for one in found))
    if not found:
        logger.info("nothing in %s can be made or downloaded again", home())
    elif not free:
        logger.info("%s in all; srcnn-mlflow clean --free true deletes it", total)
    else:
        _delete(found)
        logger.info("%s freed", total)


def _delete(found: list[Renewable]) -> None:
    with nobody_uses(lock_of(home())) as alone:
        if not alone:
            raise WriteError(
                f"another command of this machine uses {home()}; nothing is deleted before it has "
                "ended"
            )
        for file in (file for one in found for file in one.files):
            try:
                file.unlink(missing_ok=True)
            except OSError as error:
                reason = reason_of(error, file.parent)
                raise WriteError(f"cannot delete {file}: {reason}") from error
