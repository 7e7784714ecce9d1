import json
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from srcnn_mlflow.commands.benchmark import benchmark, choose_sets
from srcnn_mlflow.commands.evaluate import evaluate
from srcnn_mlflow.commands.promote import promote
from srcnn_mlflow.machine.errors import DatasetError
from srcnn_mlflow.machine.places import home
from srcnn_mlflow.machine.text import rounded as shown
from srcnn_mlflow.measuring.benchmarking import Line
from srcnn_mlflow.network.shipped import SHIPPED, full_name
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.pictures.sets import FOLDER_VARIABLE, SETS_FOLDER
from srcnn_mlflow.tracking import registry
from srcnn_mlflow.tracking.seen_pictures import log_seen
from tests.conftest import put_store, run_here
from tests.network.test_bfloat16 import needs_bfloat16
from tests.versions import network

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(
    tmp_path_factory: pytest.TempPathFactory, empty_store: Path, shared: Callable[[str], Path]
) -> Iterator[Path]:
    """A registry with a champion of x2 and of x4, where Set5 is at hand."""
    folder = tmp_path_factory.mktemp("benchmark")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, folder))
        patch.setenv(FOLDER_VARIABLE, str(shared("Set5").parent))
        with mlflow.start_run():
            registry.register(2, network(2, 1.0, folder), {}, alias="champion")
            registry.register(4, network(4, 1.0, folder), {}, alias="champion")
        yield folder


def newest() -> Run:
    (run,) = mlflow.search_runs(
        search_all_experiments=True,
        filter_string="tags.entry_point = 'benchmark'",
        max_results=1,
        output_format="list",
    )
    return run


@pytest.fixture(scope="module")
def lines(store: Path) -> list[Line]:
    assert store
    return benchmark("champions", "at-hand")


def one(lines: list[Line], scale: int, method: str, *, published: bool = False) -> Line:
    (line,) = (
        line
        for line in lines
        if (line.scale, line.method, line.published) == (scale, method, published)
    )
    return line


def test_a_model_has_the_scores_that_evaluate_gives_it(lines: list[Line]) -> None:
    summary = evaluate(2, "champion", "set5", "test", None).summary
    line, bicubic = one(lines, 2, "srcnn-x2/1"), one(lines, 2, "bicubic")
    assert (line.psnr, line.ssim, line.gain) == (
        summary.srcnn_psnr,
        summary.srcnn_ssim,
        summary.psnr_gain,
    )
    assert (bicubic.psnr, bicubic.ssim) == (summary.bicubic_psnr, summary.bicubic_ssim)


def test_bicubic_is_that_of_the_papers(lines: list[Line]) -> None:
    for scale in (2, 4):
        here, there = one(lines, scale, "bicubic"), one(lines, scale, "bicubic", published=True)
        assert here.psnr == pytest.approx(there.psnr, abs=0.02)
        assert here.ssim == pytest.approx(there.ssim, abs=0.001)


def test_every_number_is_linked_to_its_model_and_its_pictures(lines: list[Line]) -> None:
    assert lines
    client, run_id = MlflowClient(), newest().info.run_id
    for scale in (2, 4):
        model_id = registry.logged_id(registry.find_model("champion", scale))
        assert model_id is not None
        metrics = client.get_logged_model(model_id).metrics or []
        linked = {metric.key: metric for metric in metrics if metric.run_id == run_id}
        assert {
            *("set5_psnr", "set5_ssim", "set5_bicubic_psnr", "set5_bicubic_ssim"),
            *("srcnn_psnr", "srcnn_ssim", "psnr_gain", "bicubic_psnr", "images"),
        } <= set(linked)
        assert linked["set5_psnr"].value == shown(one(lines, scale, f"srcnn-x{scale}/1").psnr)
        assert linked["srcnn_psnr"].value == linked["set5_psnr"].value
        assert {metric.dataset_digest for metric in linked.values()} == {
            "ee67db7e16969226241a28ce9dc1be6b"
        }
        assert linked["set5_psnr"].dataset_name == "set5"
        assert linked["set5_psnr"].dataset_digest == "ee67db7e16969226241a28ce9dc1be6b"
    steps = [metric.step for metric in client.get_metric_history(run_id, "set5_psnr")]
    assert steps == [2, 4]


def test_the_table_is_kept_for_people_and_for_programs(lines: list[Line]) -> None:
    uri = f"runs:/{newest().info.run_id}/benchmark"
    table = json.loads(mlflow.artifacts.load_text(f"{uri}/table.json"))
    assert [line["method"] for line in table["lines"]] == [line.method for line in lines]
    assert table["sets"]["set5"]["images"] == 5
    page = mlflow.artifacts.load_text(f"{uri}/table.md")
    assert "| set5 | x4    | VDSR, published" in page
    assert "so the protocol is that of the papers" in page
    assert "Kim et al." in page
    assert mlflow.artifacts.load_image(f"{uri}/figure.png").size[0] > 600


def test_what_has_seen_a_set_is_told_a_line_a_model_and_set(
    lines: list[Line], said: list[str]
) -> None:
    assert lines
    with mlflow.start_run():
        # As a training leaves it behind, whose picture is also in the set.
        log_seen([load_dataset("set5").split("test")])
        registry.register(2, network(2, 0.9, Path.cwd()), {}, alias="challenger")
    promote(2, "challenger", "set5")
    benchmark("srcnn-x2@challenger+srcnn-x2@champion", "set5")
    uri = f"runs:/{newest().info.run_id}/benchmark"
    told = (
        "srcnn-x2/2 on set5, 5 pictures: seen in training: none; when the epoch was chosen: none; "
        "by promotions: 5.",
        "srcnn-x2/1 on set5, 5 pictures: seen in training: not known; when the epoch was chosen: "
        "not known; by promotions: 5.",
        "set5 has decided 1 promotion (refusals count).",
    )
    page = mlflow.artifacts.load_text(f"{uri}/table.md")
    for sentence in told:
        assert sentence in page
        assert sentence in said
    table = json.loads(mlflow.artifacts.load_text(f"{uri}/table.json"))
    values = {"dataset": "set5", "pictures": 5, "promotion": 5}
    assert table["seen"] == [
        {"model": "srcnn-x2/2", **values, "training": 0, "epoch": 0, "told": told[0]},
        {"model": "srcnn-x2/1", **values, "training": None, "epoch": None, "told": told[1]},
    ]
    assert table["sets"]["set5"]["decisions"]["promotions"] == 1


def test_several_models_of_one_scale_and_the_shipped_weights(store: Path) -> None:
    assert store
    lines = benchmark("srcnn-x2@champion+shipped", "set5")
    assert [line.method for line in lines if not line.published and line.gain] == [
        "srcnn-x2/1",
        f"{full_name(SHIPPED)}-x2",
    ]


@needs_bfloat16
def test_a_model_in_bfloat16_is_told_from_itself_in_float32(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store
    # A server's setting, which would be refused, decides nothing where a model is judged.
    monkeypatch.setenv("SRCNN_PRECISION", "half")
    exact, rounded = (
        next(
            line
            for line in benchmark("srcnn-x2@champion", "set5", precision)
            if line.gain and not line.published
        )
        for precision in ("float32", "bfloat16")
    )
    assert rounded.method == f"{exact.method}, bfloat16"
    assert rounded.psnr == pytest.approx(exact.psnr, abs=0.005)
    assert rounded.psnr != exact.psnr


@pytest.mark.exhaustive
def test_without_champions_the_shipped_weights_are_taken(
    empty_store: Path,
    tmp_path: Path,
    shared: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    monkeypatch.setenv(FOLDER_VARIABLE, str(shared("Set5").parent))
    done = run_here("benchmark", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "no champion yet, so the weights that come with the package are taken" in done.stdout
    assert f"{full_name(SHIPPED)}-x3" in done.stdout


def test_an_unknown_set_is_answered_with_those_there_are(
    empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    done = run_here("benchmark", "--models", "shipped", "--sets", "set5+set15", cwd=tmp_path)
    assert done.returncode == 1
    assert (
        "error: set 'set15' is unknown; give some of t91, bsd200, set5, set14, bsd100, urban100"
        in done.stderr
    )


def test_sets_at_hand_are_those_whose_pictures_are_all_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    assert choose_sets("at-hand") == ["set5"]
    (home() / SETS_FOLDER / "set14").mkdir(parents=True)
    assert choose_sets("at-hand") == ["set5"]
    assert choose_sets("set14+ set5 +set14") == ["set14", "set5"]
    with pytest.raises(DatasetError, match="set '' is unknown"):
        choose_sets("set5+")
