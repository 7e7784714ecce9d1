"""`score`: any program's results against their originals, in one command."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from PIL import Image

from srcnn_mlflow.machine.text import rounded
from srcnn_mlflow.measuring.protocols import NAMED
from srcnn_mlflow.network.shipped import shipped_network
from srcnn_mlflow.tracking import registry
from tests.conftest import BIN, ROOT, put_store, run_here, run_mlflow, runs_of
from tests.measuring.test_protocols import FINISHED, SAMPLES, by_pillow


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Originals, and what a program has made of them at x2."""
    for number, original in enumerate(SAMPLES):
        for folder, name, pixels in (
            ("originals", f"img_{number}_HR.png", original),
            ("results", f"img_{number}_SR.png", by_pillow(original, 2)),
        ):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / folder / name)
    return tmp_path


def score(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return run_here("score", "--results", "results", "--originals", "originals", *more, cwd=folder)


def test_the_table_has_every_protocol_and_stands_beside_the_results(folders: Path) -> None:
    done = score(folders)
    assert done.returncode == 0, done.stderr
    place = folders / "results" / "score"
    assert sorted(path.name for path in place.iterdir()) == ["ledger.md", "table.json", "table.md"]
    table = json.loads((place / "table.json").read_text())
    assert list(table["scores"]["result"]) == list(NAMED)
    assert table["pictures"] == ["img_0_HR.png", "img_1_HR.png"]
    for name, (psnr, ssim) in FINISHED["samples", 2].items():
        found = table["scores"]["result"][name]
        assert found["psnr"] == pytest.approx(psnr, abs=0.005)
        assert (found["ssim"] is None) == (ssim is None)
        assert f"| {name}" in done.stdout
        assert f" {found['psnr']:.2f} |" in (place / "table.md").read_text()
        steps = sum(step["psnr"] for step in table["ways"]["result"][name])
        ours = table["scores"]["result"]["srcnn-mlflow"]["psnr"]
        assert steps == pytest.approx(found["psnr"] - ours, abs=1e-9)
    ledger = (place / "ledger.md").read_text()
    assert "### To yjn870" in ledger
    assert "cannot be known from their files" in ledger
    assert not (folders / "mlflow.db").exists()


@pytest.mark.slow
def test_scoring_again_gives_the_same_and_takes_no_page_for_a_result(folders: Path) -> None:
    assert score(folders, "--protocol", "basicsr").returncode == 0
    first = (folders / "results" / "score" / "table.json").read_bytes()
    done = score(folders, "--protocol", "basicsr")
    assert "left out" not in done.stdout
    assert (folders / "results" / "score" / "table.json").read_bytes() == first


def test_one_protocol_stands_beside_this_projects_own(folders: Path) -> None:
    done = score(folders, "--protocol", "yjn870")
    table = json.loads((folders / "results" / "score" / "table.json").read_text())
    assert list(table["scores"]["result"]) == ["srcnn-mlflow", "yjn870"]
    assert "mmagic" not in done.stdout


def test_an_unknown_protocol_is_named_with_those_there_are(folders: Path) -> None:
    done = score(folders, "--protocol", "matlab")
    assert done.returncode == 1
    assert done.stderr == (
        f"error: protocol 'matlab' is unknown; give all, or one of {', '.join(NAMED)}\n"
    )


@pytest.mark.slow
def test_a_model_is_run_anew(folders: Path) -> None:
    done = score(folders, "--protocol", "paper", "--model", "shipped-9-1-5")
    assert done.returncode == 0, done.stderr
    table = json.loads((folders / "results" / "score" / "table.json").read_text())
    anew = table["scores"]["network"]["srcnn-mlflow"]["psnr"]
    assert anew > table["scores"]["bicubic"]["srcnn-mlflow"]["psnr"] + 0.5
    assert "model PSNR" in done.stdout


def test_what_cannot_be_scored_is_left_out_in_one_line_each(folders: Path) -> None:
    large = Image.fromarray(SAMPLES[0]).resize((172, 132))
    results, originals = folders / "results", folders / "originals"
    large.save(results / "img_0_SR.png")
    Image.fromarray(SAMPLES[1]).save(originals / "twice.png")
    for name in ("twice_x2.png", "twice_out.png", "nobody.png"):
        Image.fromarray(by_pillow(SAMPLES[1], 2)).save(results / name)
    Image.new("RGB", (60, 60), "red").save(originals / "plain.png")
    Image.new("RGB", (60, 60), "red").save(results / "plain.png")
    (results / "broken.png").write_text("no picture")
    Image.fromarray(SAMPLES[1]).save(originals / "broken.png")
    Image.fromarray(SAMPLES[1][:60, :60]).save(originals / "itself.png")
    Image.fromarray(SAMPLES[1][:60, :60]).save(results / "itself.png")
    done = score(folders, "--protocol", "paper")
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stdout.splitlines() if line.startswith("left out: ")]
    assert len(told) == 6
    assert any("has 2 results, twice_out.png, twice_x2.png" in line for line in told)
    assert any("nobody.png has no original of its name" in line for line in told)
    assert any("2 pixels wider and 2 pixels higher than img_0_HR" in line for line in told)
    assert any("its original seems not cropped" in line for line in told)
    assert any("plain.png: bicubic restores it perfectly" in line for line in told)
    assert any("itself.png: the result is the original itself" in line for line in told)
    assert any("broken.png" in line for line in told)
    assert "left out 6, each named above" in done.stdout
    table = json.loads((folders / "results" / "score" / "table.json").read_text())
    assert table["pictures"] == ["img_1_HR.png"]
    assert sum(remark.startswith("Left out: ") for remark in table["remarks"]) == 6


def test_where_nothing_can_be_scored_one_line_says_why(folders: Path) -> None:
    done = score(folders, "--scale", "3")
    assert done.returncode == 1
    assert "can be scored against" in done.stderr
    assert "(1 more, named above)" in done.stderr
    assert "it seems made for scale 2; give scale=2" in done.stderr
    assert not (folders / "results" / "score").exists()
    for path in (folders / "results").iterdir():
        path.rename(path.with_name(f"z{path.name}"))
    done = score(folders)
    assert done.returncode == 1
    assert "zimg_0_SR.png has no original of its name (3 more, named above)" in done.stderr


def test_where_a_choice_leaves_no_error_there_is_no_distance(folders: Path) -> None:
    for number, original in enumerate(SAMPLES):
        height, width = (side - side % 2 for side in original.shape[:2])
        result = original[:height, :width].copy()
        result[3, 3:40] ^= 64
        Image.fromarray(result).save(folders / "results" / f"img_{number}_SR.png")
    done = score(folders, "--protocol", "scikit-image")
    assert done.returncode == 0, done.stderr
    table = json.loads((folders / "results" / "score" / "table.json").read_text())
    steps = {step["choice"]: step for step in table["one_at_a_time"]["result"]}
    assert steps["a border of the scale and 6 left out"]["psnr"] is None
    assert steps["no border left out"]["psnr"] is not None


def test_a_result_of_another_picture_is_told(folders: Path) -> None:
    result = folders / "results" / "img_0_SR.png"
    Image.open(result).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(result)
    done = score(folders, "--protocol", "paper")
    note = next(line for line in done.stdout.splitlines() if line.startswith("note: "))
    assert note.startswith("note: the result of img_0_HR.png is ")
    assert "dB below bicubic: it seems to be of another picture" in note


def test_results_of_resized_originals_are_told(folders: Path) -> None:
    for number, original in enumerate(SAMPLES):
        height, width = (side - side % 2 for side in original.shape[:2])
        resized = Image.fromarray(original).resize((width, height), Image.Resampling.BICUBIC)
        made = by_pillow(np.asarray(resized), 2)
        Image.fromarray(made).save(folders / "results" / f"img_{number}_SR.png")
    done = score(folders, "--protocol", "yjn870")
    assert "note: the results fit originals that are resized to multiples of the scale" in (
        done.stdout
    )


def test_where_yjn870_resizes_originals_it_is_told_what_that_does(folders: Path) -> None:
    done = score(folders, "--protocol", "yjn870")
    assert (
        "note: the results were made of cropped originals, and yjn870 resizes them" in done.stdout
    )
    for folder in ("originals", "results"):
        for path in (folders / folder).glob("*.png"):
            Image.open(path).crop((0, 0, 120, 120)).save(path)
    assert "note" not in score(folders, "--protocol", "yjn870").stdout


@pytest.mark.slow
def test_grey_pictures_are_scored_as_their_own_luma(folders: Path) -> None:
    for folder in ("originals", "results"):
        for path in (folders / folder).iterdir():
            Image.open(path).convert("L").save(path)
    done = score(folders)
    assert done.returncode == 0, done.stderr
    table = json.loads((folders / "results" / "score" / "table.json").read_text())
    scores = table["scores"]["result"]
    assert scores["mmagic"]["psnr"] == scores["srcnn-mlflow"]["psnr"]
    assert scores["basicsr"]["psnr"] > scores["srcnn-mlflow"]["psnr"] + 1


@pytest.mark.slow
def test_what_evaluate_measured_scores_the_same_to_the_last_digit(
    tmp_path: Path, empty_store: Path, shared: Callable[[str], Path]
) -> None:
    store, originals = put_store(empty_store, tmp_path), tmp_path / "two of Set5"
    originals.mkdir()
    for name in ("butterfly", "woman"):
        (picture,) = shared("Set5").glob(f"{name}*")
        shutil.copy(picture, originals)
    given = (
        "--dataset",
        str(originals),
        "--split",
        "all",
        "--model",
        "shipped-9-1-5",
        "--results",
        "made",
    )
    done = run_here("evaluate", *given, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (run,) = runs_of(MlflowClient(store))
    done = run_here(
        *("score", "--results", "made", "--originals", str(originals), "--protocol", "yjn870"),
        *("--model", "shipped-9-1-5"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    scores = json.loads((tmp_path / "made" / "score" / "table.json").read_text())["scores"]
    for subject, name in (("result", "srcnn"), ("network", "srcnn"), ("bicubic", "bicubic")):
        found = scores[subject]["srcnn-mlflow"]
        # The order of the pictures, over which both average, is not the same.
        for what in ("psnr", "ssim"):
            assert rounded(found[what]) == run.data.metrics[f"{name}_{what}"]
    assert len(scores["result"]["srcnn-mlflow"]["by_picture"]) == run.data.metrics["images"] == 2


def test_results_of_evaluate_never_lie_among_the_pictures(folders: Path, empty_store: Path) -> None:
    put_store(empty_store, folders)
    done = run_here(
        *("evaluate", "--dataset", "originals", "--split", "all", "--model", "shipped-9-1-5"),
        *("--results", "originals"),
        cwd=folders,
    )
    assert done.returncode == 1
    assert "originals holds the picture img_" in done.stderr
    assert "give a folder of their own" in done.stderr


@pytest.mark.exhaustive
def test_under_mlflow_run_the_run_holds_all_of_it(folders: Path, empty_store: Path) -> None:
    store = put_store(empty_store, folders)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", store)
        with mlflow.start_run():
            network = folders / registry.NETWORK_FILE
            network.write_bytes(shipped_network(2).read_bytes())
            registry.register(2, network, {})
    given = ["results=results", "originals=originals", "protocol=yjn870", "model=1"]
    command = ["run", f"{ROOT}", "--env-manager", "local", "-e", "score"]
    for one in given:
        command += ["-P", one]
    environment = {"MLFLOW_TRACKING_URI": store, "PATH": f"{BIN}:{os.environ['PATH']}"}
    done = run_mlflow(*command, cwd=folders, environment={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    client = MlflowClient(store)
    (run,) = runs_of(client, "tags.entry_point = 'score'")
    assert run.info.status == "FINISHED"
    assert run.data.metrics["yjn870_psnr"] == pytest.approx(30.56981, abs=0.005)
    assert {"srcnn-mlflow_psnr", "srcnn-mlflow_ssim", "images"} <= set(run.data.metrics)
    assert "yjn870_ssim" not in run.data.metrics
    files = {one.path for one in client.list_artifacts(run.info.run_id, "score")}
    assert files == {"score/table.md", "score/table.json", "score/ledger.md"}
    assert run.inputs is not None
    (dataset,) = run.inputs.dataset_inputs
    assert len(dataset.dataset.digest) == 32
    # What the model itself has is on the page of the model, too.
    inputs = client.get_run(run.info.run_id).inputs
    assert inputs is not None
    (model,) = inputs.model_inputs
    (measured,) = [
        one
        for one in client.get_logged_model(model.model_id).metrics or []
        if one.key == "model_yjn870_psnr"
    ]
    assert measured.dataset_digest == dataset.dataset.digest
    assert measured.value == run.data.metrics["model_yjn870_psnr"]
    assert not (folders / "results" / "score").exists()
