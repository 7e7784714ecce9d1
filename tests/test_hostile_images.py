"""Odd and hostile pictures at every door: `prepare`, `evaluate`, `upscale` and the served model.

Each kind of file is either read right or refused with its reason, and never disturbs another.
"""

import base64
import io
import json
import os
import random
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException
from PIL import Image

from srcnn_mlflow import registry
from srcnn_mlflow.commands.evaluate import load_photos
from srcnn_mlflow.commands.prepare import prepare_dataset
from srcnn_mlflow.commands.upscale import ChosenModel, shipped_model, upscale_files
from srcnn_mlflow.datasets import SPLITS, load_dataset
from srcnn_mlflow.errors import DatasetError, ImageError, StoreError
from srcnn_mlflow.evaluation import ImageScore, score_photos, score_plane
from srcnn_mlflow.figures import Exhibit, draw_exhibits
from srcnn_mlflow.imaging import Plane, flatten, luma, open_image, printable
from srcnn_mlflow.serving import ServedUpscaler
from srcnn_mlflow.store import Store, StoreSettings, open_store
from tests.conftest import BIN, http_server, run_command, textured_pixels
from tests.corpus import FILES, KINDS, NAMES, NO_FILES, PHOTO, Kind, encoded, write_corpus
from tests.test_promote import WEIGHTS

# A pipe or a device that is read would keep a test for ever.
pytestmark = [pytest.mark.timeout(120)]

SETTINGS = StoreSettings(scale=2, patch_size=33, stride=14)
LEAST_TO_COMPARE = 11 + 2 * 2
GOOD = {f"good{number}.png": textured_pixels(50, 60 + number, number) for number in range(3)}


def cases(kinds: dict[str, Kind]) -> Any:
    return pytest.mark.parametrize("kind", kinds.values(), ids=list(kinds))


@pytest.fixture(scope="module")
def model() -> ChosenModel:
    return shipped_model(2)


def write_good(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, pixels in GOOD.items():
        (folder / name).write_bytes(encoded(pixels))


def expected_luma(kind: Kind) -> Plane:
    return luma(flatten(Image.fromarray(kind.pixels)))


def reasons(kind: Kind, said: list[str]) -> list[str]:
    """What was said about a file that is not used, without its name."""
    name = printable(kind.file)
    lines = [line for line in said if name in line and not line.startswith("data set")]
    assert all("\n" not in line and "Traceback" not in line for line in lines)
    return lines


def is_refused_for_its_reason(kind: Kind, said: list[str]) -> bool:
    return any(re.search(kind.refused, line) for line in reasons(kind, said))


@cases(KINDS)
def test_opened(kind: Kind, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = kind.write(tmp_path)
    if kind.pixels is not None:
        assert kind.is_right(open_image(path))
    else:
        with pytest.raises(ImageError, match=kind.refused) as error:
            open_image(path)
        assert "\n" not in str(error.value)
        assert printable(kind.file) in str(error.value)
    assert capfd.readouterr() == ("", "")


@pytest.fixture(scope="module")
def good_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """What is prepared of the good pictures alone."""
    folder = tmp_path_factory.mktemp("good")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("srcnn_mlflow.datasets.DIGESTS", folder / "digests.json")
        return prepared(folder, [])


def prepared(folder: Path, said: list[str]) -> Store:
    """Prepare a folder `set`, with the good pictures among its training pictures."""
    write_good(folder / "set" / "train")
    (folder / "set" / "valid").mkdir()
    (folder / "set" / "valid" / "v.png").write_bytes(encoded(textured_pixels(40, 40, 90)))
    return open_store(prepare_dataset(str(folder / "set"), SETTINGS, None, said.append).path)


def stored_planes(store: Store) -> list[Plane]:
    return [store.train.pair(picture)[1] for picture in range(len(store.train))]


@cases(KINDS)
def test_prepared(
    kind: Kind, good_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kind.write(tmp_path / "set" / "train")
    said: list[str] = []
    planes = stored_planes(prepared(tmp_path, said))
    good = stored_planes(good_store)
    if kind.pixels is None:
        assert is_refused_for_its_reason(kind, said)
    elif not kind.listed:
        assert not reasons(kind, said)
    elif min(kind.pixels.shape[:2]) < SETTINGS.patch_size:
        assert re.search(r"left out: .* is smaller than a patch, 33$", reasons(kind, said)[0])
    else:
        assert not reasons(kind, said)
    used = kind.pixels is not None and kind.listed and min(kind.pixels.shape[:2]) >= 2
    if used:
        expected = expected_luma(kind)
        height, width = (side - side % 2 for side in expected.shape)
        place = sorted([kind.file, *GOOD]).index(kind.file)
        found = planes.pop(place)
        assert found.shape == (height, width)
        assert np.abs(found.astype(int) - expected[:height, :width]).mean() <= kind.tolerance
    assert all(np.array_equal(one, other) for one, other in zip(planes, good, strict=True))


def scores(folder: Path, model: ChosenModel, said: list[str]) -> dict[str, ImageScore]:
    """Score every picture of a folder `test` beneath a folder, by name."""
    photos = load_photos(str(folder), "test", said.append)
    scored = score_photos(photos, 2, 2, model.upscaler.upscale_luma, said.append)
    return {photo.name: score for photo, score in scored}


@pytest.fixture(scope="module")
def good_scores(model: ChosenModel) -> dict[str, ImageScore]:
    return {
        name: score_plane(name, luma(Image.fromarray(pixels)), 2, 2, model.upscaler.upscale_luma)
        for name, pixels in GOOD.items()
    }


@cases(KINDS)
def test_evaluated(
    kind: Kind, good_scores: dict[str, ImageScore], model: ChosenModel, tmp_path: Path
) -> None:
    write_good(tmp_path / "test")
    kind.write(tmp_path / "test")
    said: list[str] = []
    found = scores(tmp_path, model, said)
    score = found.pop(printable(kind.file), None)
    assert found == good_scores
    if kind.pixels is None:
        assert is_refused_for_its_reason(kind, said)
    elif not kind.listed:
        assert score is None
    elif min(kind.pixels.shape[:2]) < LEAST_TO_COMPARE:
        assert "is too small; SSIM needs 11 pixels" in reasons(kind, said)[0]
    elif np.ptp(expected_luma(kind)) == 0:
        assert "bicubic restores it perfectly" in reasons(kind, said)[0]
    else:
        plane = expected_luma(kind)
        right = score_plane(kind.file, plane, 2, 2, model.upscaler.upscale_luma)
        assert score is not None
        # A lossy file differs a little from what it was made of, and so do its scores.
        assert score.srcnn_psnr == pytest.approx(right.srcnn_psnr, abs=kind.tolerance)
        assert score.srcnn_ssim == pytest.approx(right.srcnn_ssim, abs=kind.tolerance / 50)


def is_enlarged_right(kind: Kind, result: Image.Image, model: ChosenModel) -> bool:
    expected = model.upscaler.upscale_image(Image.fromarray(kind.pixels))
    if (result.mode, result.size) != (expected.mode, expected.size):
        return False
    difference = np.asarray(result).astype(int) - np.asarray(expected)
    # The network sharpens what a lossy file has lost or added.
    return bool(np.abs(difference).mean() <= 2 * kind.tolerance)


@cases(KINDS)
def test_upscaled_from_a_folder(kind: Kind, model: ChosenModel, tmp_path: Path) -> None:
    kind.write(tmp_path / "in")
    (tmp_path / "in" / "good.png").write_bytes(encoded(GOOD["good0.png"]))
    said: list[str] = []
    written = upscale_files(model, 2, tmp_path / "in", tmp_path / "out", False, said.append)
    results = {path.name: np.asarray(Image.open(path)) for path in written}
    good = model.upscaler.upscale_image(Image.fromarray(GOOD["good0.png"]))
    assert np.array_equal(results.pop("good-x2.png"), np.asarray(good))
    if kind.pixels is None:
        assert is_refused_for_its_reason(kind, said)
    elif kind.listed:
        assert is_enlarged_right(kind, Image.fromarray(results.popitem()[1]), model)
    assert not results


@cases(KINDS)
def test_upscaled_alone(kind: Kind, model: ChosenModel, tmp_path: Path) -> None:
    path = kind.write(tmp_path)
    said: list[str] = []
    if kind.pixels is None:
        with pytest.raises(ImageError) as error:
            upscale_files(model, 2, path, tmp_path / "out.png", False, said.append)
        assert kind in NO_FILES.values() or is_refused_for_its_reason(kind, said)
        assert re.search(
            r"none of the 1 file|does not exist|is neither a file|holds no PNG", str(error.value)
        )
        return
    (result,) = upscale_files(model, 2, path, tmp_path / "out.png", False, said.append)
    assert is_enlarged_right(kind, Image.open(result), model)


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a registry whose champion is the shipped network."""
    folder = tmp_path_factory.mktemp("registry")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        with mlflow.start_run():
            registry.register(2, WEIGHTS / "srcnn-x2.onnx", {}, alias="champion")
        yield folder


@pytest.fixture(scope="module")
def served_in_process(registered: Path) -> mlflow.pyfunc.PyFuncModel:
    assert registered.exists()
    return mlflow.pyfunc.load_model("models:/srcnn-x2@champion")


def as_text(contents: bytes) -> str:
    return base64.b64encode(contents).decode("ascii")


def as_picture(prediction: dict[str, Any]) -> Image.Image:
    picture = Image.open(io.BytesIO(base64.b64decode(prediction["image"])))
    assert picture.size == (prediction["width"], prediction["height"])
    return picture


def contents_of(kind: Kind) -> bytes:
    assert kind.contents is not None
    return kind.contents()


@cases(FILES)
def test_predicted(
    kind: Kind, served_in_process: mlflow.pyfunc.PyFuncModel, model: ChosenModel
) -> None:
    frame = pd.DataFrame({"image": [as_text(contents_of(kind))]})
    if kind.pixels is not None:
        (prediction,) = served_in_process.predict(frame)
        assert is_enlarged_right(kind, as_picture(prediction), model)
        return
    with pytest.raises(MlflowException, match=rf"^image 0 cannot be used: .*({kind.refused})") as e:
        served_in_process.predict(frame)
    assert "\n" not in e.value.message
    assert e.value.get_http_status_code() == 400


Post = Callable[[bytes, str | None], tuple[int, str]]
JSON = "application/json"


@pytest.fixture(scope="module")
def post(registered: Path) -> Iterator[Post]:
    """Sends a body to a real server, and gives the status and the text of the answer."""
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    command = ("models", "serve", "-m", "models:/srcnn-x2@champion", "--env-manager", "local")
    with http_server(
        BIN / "mlflow", *command, "-p", "PORT", cwd=registered, environment=environment
    ) as address:

        def send(body: bytes, content_type: str | None) -> tuple[int, str]:
            headers = {} if content_type is None else {"Content-Type": content_type}
            request = urllib.request.Request(f"{address}/invocations", body, headers)
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, error.read().decode()

        yield send


def body_of(*rows: Any, columns: tuple[str, ...] = ("image",)) -> bytes:
    split = {"columns": columns, "data": [row if isinstance(row, list) else [row] for row in rows]}
    return json.dumps({"dataframe_split": split}).encode()


@cases(FILES)
def test_served(kind: Kind, post: Post, model: ChosenModel) -> None:
    status, answer = post(body_of(as_text(contents_of(kind))), JSON)
    if kind.pixels is not None:
        assert status == 200, answer
        (prediction,) = json.loads(answer)["predictions"]
        assert is_enlarged_right(kind, as_picture(prediction), model)
        return
    assert status == 400
    message = json.loads(answer)["message"]
    assert re.search(rf"image 0 cannot be used: .*({kind.refused})", message)
    assert "Traceback" not in answer
