"""`reproduce` on DIV2K, which the report split in another way than this project."""

from pathlib import Path

import mlflow
import pytest
from PIL import Image

from srcnn_mlflow.commands.reproduce import reproduce
from srcnn_mlflow.commands.train_request import TrainRequest
from srcnn_mlflow.pictures import div2k
from srcnn_mlflow.training.settings import TrainingSettings
from tests.conftest import put_store, textured_pixels

pytestmark = pytest.mark.slow


@pytest.fixture
def small_div2k(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path) -> None:
    """DIV2K with eight pictures of its 900, where the program expects to find it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    for number in range(1, 9):
        folder = tmp_path / "data/DIV2K" / f"DIV2K_{'train' if number <= 6 else 'valid'}_HR"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(textured_pixels(66, 80, number)).save(folder / f"{number:04}.png")
    ranges = {
        "div2k": {"train": range(1, 5), "valid": range(5, 7), "test": range(7, 9)},
        "div2k-report": {"train": range(1, 7), "valid": range(7, 9), "test": range(0)},
    }
    for name, splits in ranges.items():
        monkeypatch.setitem(div2k.DIV2K_RANGES, name, splits)
    monkeypatch.setattr(div2k, "_missing_archives", lambda _: [])


@pytest.mark.usefixtures("small_div2k")
def test_div2k_is_trained_as_the_report_split_it_and_as_it_should_be(said: list[str]) -> None:
    settings = TrainingSettings(architecture="9-1-5", epochs=1, residual=False)
    found = reproduce(TrainRequest(2, "div2k", 33, 14, None, settings), "cpu")
    assert [one.scale for one in found] == [2, 4]
    for one in found:
        # The same pictures, so the same bicubic; another training, so another network.
        assert one.validation.bicubic_psnr == one.test.bicubic_psnr
        assert one.validation.srcnn_psnr != one.test.srcnn_psnr
    runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
    trained = [
        run.data.params["dataset"] for run in runs if run.data.tags["entry_point"] == "train"
    ]
    assert sorted(trained) == ["div2k", "div2k", "div2k-report", "div2k-report"]
    assert "2 validation pictures of div2k-report, which chose the best epoch:" in said[-1]
    assert "which chose nothing of a training on the split of div2k:" in said[-1]
    # The report's validation pictures are this project's test pictures.
    assert said[-1].count("This set has decided") == 0
    assert said[-1].count("\n\nThis set chose the epoch of 2 trainings.\n\n") == 2
    (run,) = (run for run in runs if run.data.tags["entry_point"] == "reproduce")
    uri = f"runs:/{run.info.run_id}/reproduction"
    page = mlflow.artifacts.load_text(f"{uri}/table.md")
    assert page.count("This set chose the epoch of 2 trainings.") == 2
    chosen = mlflow.artifacts.load_dict(f"{uri}/decisions.json")
    assert (chosen["validation"]["epochs"], chosen["test"]["epochs"]) == (2, 2)
