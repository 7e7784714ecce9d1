"""Let one process at a time move the aliases of a registered model, on one machine or on several.

MLflow moves an alias without looking at where it points. So whoever looks and then moves draws a
number first, as in a bakery (Lamport, "A New Solution of Dijkstra's Concurrent Programming
Problem", 1974), which takes nothing of the tracking server but that what is written can be read.
A number is a tag of the registered model, and is gone when its process is done.
"""

import json
import logging
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from mlflow import MlflowClient

from srcnn_mlflow.machine.errors import TrackingError
from srcnn_mlflow.machine.processes import ProcessSign

logger = logging.getLogger(__name__)

_TAG = "promotion-queue-"
# Of a process that is still choosing its number.
_CHOOSING = 0
SECONDS_BETWEEN_LOOKS = 0.25
# So many looks, with the server there, at a queue in which nothing moves: five minutes, which is
# more than a living process takes to be answered by a server that was away.
PATIENCE = 1200


class _Ticket(NamedTuple):
    """A place in the queue: the lowest number is first, and of equal ones the lower key."""

    number: int
    key: str
    sign: ProcessSign | None

    @property
    def place(self) -> tuple[int, str]:
        return self.number, self.key


@contextmanager
def alone_in_registry(name: str) -> Iterator[None]:
    """Keep all other processes that do the same from a registered model while the block runs.

    Of a process that is killed, those of its machine know at once, and those of others when
    nothing has moved for PATIENCE looks.

    Args:
        name: of the registered model.

    Raises:
        TrackingError: this process stood still for so long that another has taken it for lost.
    """
    client, key, sign = MlflowClient(), f"{_TAG}{uuid.uuid4().hex}", ProcessSign.own()

    def show(number: int) -> None:
        text = json.dumps({"number": number, **sign.tags()})
        client.set_registered_model_tag(name, key, text)

    try:
        show(_CHOOSING)
        number = 1 + max((ticket.number for ticket in _queue(name)), default=_CHOOSING)
        show(number)
        _wait_for_turn(name, (number, key))
        yield
    finally:
        client.delete_registered_model_tag(name, key)


def _wait_for_turn(name: str, own: tuple[int, str]) -> None:
    """Return when nobody is left who was there before."""
    # Whoever comes later reads this number, and draws a higher one.
    rivals = {ticket.key for ticket in _queue(name)}
    looks, before, told = 0, None, None
    while True:
        queue = _queue(name)
        if own not in {ticket.place for ticket in queue}:
            raise TrackingError(
                f"this process stood still for so long that another has taken it for lost, and may "
                f"have moved an alias of {name}; start again"
            )
        ahead = [one for one in queue if one.key in rivals and one.place < own]
        if not ahead:
            return
        rivals = {ticket.key for ticket in ahead}
        looks, before = (looks + 1 if queue == before else 0), queue
        first = min(ahead)
        is_dead = first.sign is not None and first.sign.is_dead_here()
        if is_dead or looks > PATIENCE:
            logger.info("%s is taken for lost", _owner(first))
            MlflowClient().delete_registered_model_tag(name, first.key)
            continue
        if looks and first != told:
            told = first
            logger.info("waiting for %s, which moves an alias of %s", _owner(first), name)
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _queue(name: str) -> list[_Ticket]:
    queue = []
    for key, text in MlflowClient().get_registered_model(name).tags.items():
        # Tags that people have written are no tickets.
        with suppress(ValueError, KeyError, TypeError):
            if key.startswith(_TAG):
                facts = json.loads(text)
                queue.append(_Ticket(int(facts["number"]), key, ProcessSign.from_tags(facts)))
    return queue


def _owner(ticket: _Ticket) -> str:
    if ticket.sign is None:
        return "an unknown process"
    return f"process {ticket.sign.number} on {ticket.sign.host}"
