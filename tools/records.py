"""Train the networks that ship: every scale, network and seed in turn, each once.

    python tools/records.py --dataset t91+bsd200

Those at x3 begin with the one of their network and seed at x2, and learn from smaller copies of its
pictures, too; at x4 that was worse.

Broken off, it goes on where it stopped: a training with its last epoch, and what is done is kept in
`data/records`. It works in the present folder's store, one training at a time.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import click

from srcnn_mlflow.pictures.shrunk import SHRUNK
from srcnn_mlflow.tracking.registry import model_name, version_tags, version_with_alias

FOLDER = Path("data/records")
ARCHITECTURES = ("9-5-5", "9-1-5")
# Passes over all patches; at x3 of three times as many, as smaller copies are among them.
EPOCHS = {2: 10, 3: 3, 4: 10}
SEEDS = {2: 3, 3: 2, 4: 2}


@dataclass(frozen=True)
class Record:
    """A training that is to be made."""

    scale: int
    architecture: str
    seed: int

    @property
    def file(self) -> Path:
        """Says that it is done, and what it gave."""
        return FOLDER / f"x{self.scale}-{self.architecture}-seed{self.seed}.json"


def wanted() -> list[Record]:
    """All of them; the first seed of each comes before any second one."""
    return [
        Record(scale, architecture, seed)
        for seed in range(max(SEEDS.values()))
        for architecture in ARCHITECTURES
        for scale, seeds in SEEDS.items()
        if seed < seeds
    ]


@click.command()
@click.option("--dataset", default="t91+bsd200", show_default=True)
def main(dataset: str) -> None:
    """Make what is missing."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for record in wanted():
        if not record.file.exists():
            _train(record, dataset)


def _train(record: Record, dataset: str) -> None:
    options = {
        "scale": record.scale,
        "dataset": dataset,
        "architecture": record.architecture,
        "epochs": EPOCHS[record.scale],
        "seed": record.seed,
        "resume": "auto",
    }
    if record.scale == 3:
        first = json.loads(replace(record, scale=2).file.read_text("utf-8"))
        options |= {"dataset": f"{dataset}{SHRUNK}", "init_from": f"models:/{first['version']}"}
    given = [
        part
        for name, value in options.items()
        for part in (f"--{name.replace('_', '-')}", str(value))
    ]
    subprocess.run(
        [sys.executable, "-m", "srcnn_mlflow", "train", *given],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=True,
    )
    version = version_with_alias(record.scale, "challenger")
    assert version is not None
    kept = {"version": f"{model_name(record.scale)}/{version}"}
    about = {**options, **kept, **(version_tags(record.scale, version) or {})}
    record.file.write_text(json.dumps(about, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
