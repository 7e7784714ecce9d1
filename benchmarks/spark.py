"""A table of pictures through Spark, as docs/spark.md has it: its time, memory, and what it tells.

    python benchmarks/spark.py

The lines of the page run as they stand there, in a folder with a registry of its own, on two
workers; the memory of each worker is looked at while they run, which needs Linux, PySpark and Java.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import mlflow
import pandas as pd
import psutil
from memory import proportional_bytes
from upscale import photograph

from srcnn_mlflow.network.shipped import shipped_network
from srcnn_mlflow.tracking import registry

PAGE = Path(__file__).parents[1] / "docs" / "spark.md"
SIZES = ((320, 240), (640, 427), (500, 375), (800, 600))


@click.command()
@click.option("--photos", default=1000, show_default=True, help="How many.")
@click.option("--broken", default=10, show_default=True, help="How many of them are broken.")
def main(photos: int, broken: int) -> None:
    """Print what the job took, and what it told."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write(folder / "photos", photos, broken)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        os.chdir(folder)
        with mlflow.start_run():
            registry.register(2, shipped_network(2, "shipped-9-1-5"), {}, alias="champion")
        start = time.perf_counter()
        highest = watched(folder)
        seconds = time.perf_counter() - start
        table = pd.read_parquet(folder / "large")
        told = table[table.error != ""]
    click.echo(
        f"{len(table)} pictures in {seconds:.0f} s, {len(told)} told as broken; "
        f"memory of the workers at the most: {', '.join(f'{one / 1e6:.0f} MB' for one in highest)}"
    )
    for reason, rows in told.groupby("error"):
        click.echo(f"  {len(rows)} {reason}")


def write(folder: Path, photos: int, broken: int) -> None:
    """Write photographs of four sizes, some of them cut off."""
    folder.mkdir()
    for size in SIZES:
        photograph(*size).save(folder.parent / f"{size[0]}.jpg", quality=90)
    for number in range(photos):
        contents = (folder.parent / f"{SIZES[number % len(SIZES)][0]}.jpg").read_bytes()
        every = photos // broken if broken else photos + 1
        (folder / f"{number:05}.jpg").write_bytes(contents[: 300 if number % every == 0 else None])


def watched(folder: Path) -> list[int]:
    """Run the page's lines, and give the most memory that each worker had, in bytes."""
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[:1]
    (folder / "program.py").write_text(program, encoding="utf-8")
    submit = "--master local[2] --conf spark.ui.enabled=false pyspark-shell"
    environment = {**os.environ, "PYSPARK_SUBMIT_ARGS": submit, "SPARK_LOCAL_IP": "127.0.0.1"}
    highest: dict[int, int] = {}
    process = subprocess.Popen([sys.executable, "program.py"], cwd=folder, env=environment)
    while process.poll() is None:
        for pid in workers(process.pid):
            try:
                highest[pid] = max(highest.get(pid, 0), proportional_bytes(pid))
            except OSError:  # it has ended
                continue
        time.sleep(0.2)
    if process.returncode:
        raise click.ClickException("the job has failed")
    return sorted(highest.values(), reverse=True)


def workers(pid: int) -> list[int]:
    """The processes of PySpark's daemon, which forks one for each worker."""
    found = []
    for one in psutil.Process(pid).children(recursive=True):
        try:
            parent = one.parent()
            if parent is not None and "pyspark.daemon" in " ".join(parent.cmdline()):
                found.append(one.pid)
        except psutil.Error:
            continue
    return found


if __name__ == "__main__":
    main()
