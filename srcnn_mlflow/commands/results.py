"""`results`: what has come of the experiments so far."""

import json
import logging
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srcnn_mlflow.commands.evaluate_files import ARTIFACTS
from srcnn_mlflow.machine.errors import ModelError, TrackingError
from srcnn_mlflow.measuring.tables import TableRow, markdown_table
from srcnn_mlflow.network.architecture import SCALES
from srcnn_mlflow.tracking.decisions import find_decisions
from srcnn_mlflow.tracking.registry import CHAMPION, model_name, version_with_alias
from srcnn_mlflow.tracking.run_search import download, newest_by
from srcnn_mlflow.tracking.store import check_store
from srcnn_mlflow.tracking.views import evaluations, table_path
from srcnn_mlflow.tracking.where_to_look import how_to_see, place_of_results

logger = logging.getLogger(__name__)


def show_results() -> None:
    """Print the newest evaluation of every scale on every data set, and where its pictures are.

    Raises:
        ModelError: nothing has been evaluated yet.
    """
    check_store()
    shown = [one for scale in SCALES for one in _newest(scale)]
    readable = [one for one in shown if one.table is not None]
    if not readable:
        found = "no evaluation can be shown" if shown else "nothing has been evaluated yet"
        raise ModelError(f"{found}; run main, or train and then evaluate")
    by_digest: dict[str, list[_Shown]] = {}
    for one in readable:
        by_digest.setdefault(one.facts["digest"], []).append(one)
    names = Counter(of_them[0].pictures for of_them in by_digest.values())
    for digest, of_them in by_digest.items():
        more = f" (digest {digest})" if names[of_them[0].pictures] > 1 else ""
        logger.info("on %s%s:", of_them[0].pictures, more)
        rows = [TableRow.from_cells(cells) for one in of_them for cells in one.facts["rows"]]
        logger.info(markdown_table(rows))
        decided = find_decisions(digest).sentence()
        if decided:
            logger.info(decided)
        for one in of_them:
            logger.info(
                "x%d: %s, report.html, best.png and worst.png in %s",
                *(one.scale, one.model, one.place),
            )
    for line in how_to_see((one.best_first, one.page()) for one in readable):
        logger.info(line)


@dataclass(frozen=True)
class _Shown:
    """An evaluation.

    Attributes:
        scale: of its model.
        experiment: that its run is in.
        place: where its pictures are.
        uri: of its model, if the run has kept it.
        table: what it has found; None where that cannot be read.
        champion: of the scale, if there is one.
    """

    scale: int
    experiment: str
    place: str
    uri: str
    table: dict[str, Any] | None
    champion: int | None

    @property
    def facts(self) -> dict[str, Any]:
        assert self.table is not None
        return self.table

    @property
    def pictures(self) -> str:
        """What it was measured on."""
        return f"{self.facts['images']} pictures of {self.facts['dataset']} {self.facts['split']}"

    @property
    def best_first(self) -> str:
        """What its page of the UI shows."""
        return f"evaluations at x{self.scale} on {self.pictures}, best first"

    def page(self) -> str:
        """The path of a page of the UI with all evaluations that this one can be held against."""
        return table_path(self.experiment, evaluations(self.scale, self.facts["digest"]))

    @property
    def model(self) -> str:
        """What was measured, and whether it is the champion."""
        # In a store that it was moved to, a version may have another number than its table says.
        label = self.uri.removeprefix("models:/") or str(self.facts["model"])
        is_champion = self.champion and label == f"{model_name(self.scale)}/{self.champion}"
        return f"{label} (champion)" if is_champion else label


def _newest(scale: int) -> Iterator[_Shown]:
    """The newest evaluation of a scale on each data set and split."""
    champion = version_with_alias(scale, CHAMPION)
    seen: set[str] = set()
    for run in newest_by(("dataset", "split", "gate_split"), "evaluate", scale):
        uri = run.data.tags.get("model_uri", "")
        about = scale, run.info.experiment_id, place_of_results(run, ARTIFACTS), uri
        try:
            table = _table_of(run.info.run_id)
        except (TrackingError, ValueError) as error:
            logger.warning(
                "x%d: the table of run %s cannot be read: %s", scale, run.info.run_id, error
            )
            yield _Shown(*about, None, champion)
            continue
        # The same pictures may have been given by another name.
        if table["digest"] not in seen:
            seen.add(table["digest"])
            yield _Shown(*about, table, champion)


def _table_of(run_id: str) -> dict[str, Any]:
    """What an evaluation has found."""
    with tempfile.TemporaryDirectory() as folder:
        path = download(run_id, f"{ARTIFACTS}/table.json", Path(folder))
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
