"""Names of files and data sets that mean something in other languages, in all that is written."""

import html
import re
from pathlib import Path

import mlflow
import pytest
from markdown_it import MarkdownIt
from mlflow import MlflowClient
from PIL import Image

from tests.conftest import put_store, run_here, runs_of, textured_pixels

DATASET = "a|b `c` [d](x) <img src=x onerror=alert(1)> $e$"
PICTURES = ("p|q <script>alert(2)<b>.png", "*r* _s_ `t` ![u](x).png")
RENDERER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
LAYOUT = {"p", "table", "thead", "tbody", "tr", "th", "td", "strong", "img"}

# Where reasons stand a line each.
LISTS = {name: {"ul", "li"} for name in ("verdict.md", "note of promote")}


def write_pictures(folder: Path) -> None:
    for split, first in (("train", 0), ("valid", 10), ("test", 20)):
        (folder / split).mkdir(parents=True)
        for number, name in enumerate(PICTURES):
            pixels = textured_pixels(66, 80 + number, first + number)
            Image.fromarray(pixels).save(folder / split / name)


def pages(folder: Path) -> dict[str, str]:
    """Every Markdown file that was logged, and every description that the UI shows."""
    files = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("mlruns/**/*.md")}
    notes = {
        f"note of {run.data.tags['entry_point']}": run.data.tags["mlflow.note.content"]
        for run in runs_of(MlflowClient())
        if "mlflow.note.content" in run.data.tags
    }
    return {**files, **notes}


@pytest.mark.exhaustive
def test_names_are_escaped_in_every_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    write_pictures(tmp_path / DATASET)
    settings = ("--architecture", "9-1-5", "--epochs", "1")
    for command in (
        ("main", "--dataset", DATASET, *settings),
        ("compare", "--dataset", DATASET, "--models", "shipped"),
        ("reproduce", "--dataset", DATASET, *settings),
    ):
        done = run_here(*command, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        # A terminal shows names as they are.
        assert DATASET in done.stdout
    found = pages(tmp_path)
    named = {"table.md", "images.md", "note of train", "note of evaluate"}
    assert set(found) >= {*named, "verdict.md"}
    for name, page in found.items():
        rendered = RENDERER.render(page)
        assert set(re.findall(r"<([a-z0-9]+)", rendered)) <= LAYOUT | LISTS.get(name, set()), name
        # Pictures of a page's own, as it names them itself, or as MLflow serves them.
        pictures = set(re.findall(r'<img src="([^"]*)"', rendered))
        shown_by_mlflow = {one for one in pictures if one.startswith("get-artifact?path=")}
        assert pictures - shown_by_mlflow <= {"figure.png"}, name
        rows = re.findall(r"<tr>(.*?)</tr>", rendered, re.DOTALL)
        assert len({len(re.findall(r"<t[hd]", row)) for row in rows}) <= 1, name
        shown = html.unescape(re.sub(r"<[^>]*>", "", rendered))
        expected = PICTURES if name == "images.md" else (DATASET,)
        assert name not in named or all(one in shown for one in expected), name


def test_a_data_set_with_a_long_name_is_evaluated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    folder = tmp_path.joinpath(*(letter * 150 for letter in "abcd"))
    write_pictures(folder)
    done = run_here("evaluate", "--model", "shipped", "--dataset", str(folder), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (run,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert run.inputs is not None
    (logged,) = run.inputs.dataset_inputs
    assert run.data.params["dataset"] == str(folder)
    assert len(logged.dataset.name) == 500
    assert str(folder).startswith(logged.dataset.name.partition("\N{HORIZONTAL ELLIPSIS}")[0])


@pytest.mark.parametrize(
    "dataset",
    ['it\'s "quoted" $(reboot) `x`; <y> & z', f"{'d' * 150}/{'e' * 150}"],
    ids=["shell", "long"],
)
def test_a_study_of_any_data_set_has_a_name(
    dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    write_pictures(tmp_path / dataset)
    done = run_here(
        *("sweep", "--dataset", dataset, "--trials", "1", "--epochs", "1"),
        *("--architecture", "9-1-5"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    (database,) = (tmp_path / "data" / "sweeps").glob("*.db")
    assert re.fullmatch(r"[\w.-]{1,240}", database.stem)
