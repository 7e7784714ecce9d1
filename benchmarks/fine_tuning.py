"""What a start from shipped weights is worth on one kind of picture: pages of rendered text.

    python benchmarks/fine_tuning.py --epochs 20 --anew-epochs 100 --seeds 2

Draws pages from this checkout's own documents, goes on from the shipped network for a while, trains
others from random weights as long and longer, and shows all of them, and the shipped one as it is,
pages that nothing has seen. It works in the present folder, by the commands that one would type.
"""

import subprocess
import sys
import textwrap
from pathlib import Path
from statistics import mean, stdev

import click
import mlflow
from mlflow.entities import Run
from PIL import Image, ImageDraw, ImageFont

DOCUMENTS = Path(__file__).parents[1] / "docs"
PAGES = {"train": 40, "valid": 8, "test": 12}
FOLDER = Path("data/text")
MEASURES = ("bicubic_psnr", "bicubic_ssim", "srcnn_psnr", "srcnn_ssim")


@click.command()
@click.option("--scale", default=2, show_default=True)
@click.option("--epochs", default=20, show_default=True)
@click.option("--anew-epochs", default=100, show_default=True)
@click.option("--seeds", default=2, show_default=True)
def main(scale: int, epochs: int, anew_epochs: int, seeds: int) -> None:
    """Print a table."""
    draw_pages(FOLDER)
    click.echo("| training | test, PSNR / SSIM |\n|---|---|")
    shipped = evaluate("shipped", scale)
    click.echo(_row("bicubic", [shipped["bicubic_psnr"]], [shipped["bicubic_ssim"]]))
    click.echo(_row("shipped, as it is", [shipped["srcnn_psnr"]], [shipped["srcnn_ssim"]]))
    for start, length in (("shipped", epochs), ("none", epochs), ("none", anew_epochs)):
        trained = [train(start, length, seed, scale) for seed in range(seeds)]
        psnr, ssim = zip(*trained, strict=True)
        name = "anew" if start == "none" else f"from {start}"
        click.echo(_row(f"{name}, {length} epochs", list(psnr), list(ssim)))


def draw_pages(folder: Path) -> None:
    """Render 240x168 pages of dark text in Pillow's own font, 10 to 17 pixels high."""
    documents = sorted(DOCUMENTS.glob("*.md"))
    text = " ".join(" ".join(file.read_text(encoding="utf-8").split()) for file in documents)
    start = 0
    for split, count in PAGES.items():
        (folder / split).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            size = 10 + number % 8
            lines = textwrap.wrap(text[start : start + 600], 460 // size)[:9]
            start += 450
            page = Image.new("L", (240, 168), 255)
            font = ImageFont.load_default(size)
            ImageDraw.Draw(page).text((6, 4), "\n".join(lines), fill=20, font=font)
            page.save(folder / split / f"{number}.png")


def train(start: str, epochs: int, seed: int, scale: int) -> tuple[float, float]:
    """PSNR and SSIM of a training on the test pages."""
    options = {"init-from": start, "epochs": epochs, "seed": seed}
    _command("train", scale, **options)
    scores = evaluate("newest", scale)
    return scores["srcnn_psnr"], scores["srcnn_ssim"]


def evaluate(model: str, scale: int) -> dict[str, float]:
    """The measures of a model on the test pages."""
    metrics = _command("evaluate", scale, model=model).data.metrics
    return {name: metrics[name] for name in MEASURES}


def _command(entry_point: str, scale: int, **options: object) -> Run:
    given = {"scale": scale, "dataset": FOLDER, **options}
    words = [part for name, value in given.items() for part in (f"--{name}", str(value))]
    subprocess.run(
        [sys.executable, "-m", "srcnn_mlflow", entry_point, *words],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    runs = mlflow.search_runs(
        search_all_experiments=True,
        filter_string=f"tags.entry_point = '{entry_point}'",
        order_by=["attributes.start_time DESC"],
        max_results=1,
        output_format="list",
    )
    return runs[0]


def _row(name: str, psnr: list[float], ssim: list[float]) -> str:
    spread = f" ± {stdev(psnr):.2f}" if len(psnr) > 1 else ""
    return f"| {name} | {mean(psnr):.2f}{spread} / {mean(ssim):.4f} |"


if __name__ == "__main__":
    main()
