"""Odd and hostile pictures at every door: `prepare`, `evaluate`, `upscale` and the served model.

Each kind of file is either read right or refused with its reason, and never disturbs another.
"""

import base64
import contextlib
import functools
import io
import json
import re
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE
from types import SimpleNamespace
from typing import Any

import imagecodecs
import mlflow
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel, load_model
from PIL import Image

from srcnn_mlflow.commands.evaluate import load_split
from srcnn_mlflow.commands.prepare import prepare_dataset
from srcnn_mlflow.commands.upscale import ChosenModel, shipped_model, upscale_files
from srcnn_mlflow.machine.errors import DatasetError, ImageError
from srcnn_mlflow.machine.text import printable
from srcnn_mlflow.measuring.evaluation import ImageScore, score_photos, score_plane
from srcnn_mlflow.network.shipped import shipped_network
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.pictures.decoding import open_image
from srcnn_mlflow.pictures.imaging import Plane, flatten, luma, to_eight_bit, upscale
from srcnn_mlflow.pictures.picture import Picture, Pixels
from srcnn_mlflow.pictures.store import Store, open_store
from srcnn_mlflow.pictures.store_file import StoreSettings
from srcnn_mlflow.showing.exhibits import Exhibit
from srcnn_mlflow.showing.figures import draw_exhibits
from srcnn_mlflow.tracking.served_model import ServedUpscaler
from tests.conftest import run_command, run_here, start_command, textured_pixels
from tests.corpus import FILES, KINDS, NAMES, NO_FILES, PHOTO, Kind, encoded, write_corpus
from tests.served import JSON, Post, champion_server, shipped_champion

# A pipe or a device that is read would keep a test for ever.
pytestmark = [pytest.mark.timeout(120)]

SETTINGS = StoreSettings(scale=2, patch_size=33, stride=14)
LEAST_TO_COMPARE = 11 + 2 * 2
GOOD = {f"good{number}.png": textured_pixels(50, 60 + number, number) for number in range(3)}


def cases(kinds: dict[str, Kind]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("kind", kinds.values(), ids=list(kinds))


@pytest.fixture(scope="module")
def model() -> ChosenModel:
    return shipped_model(2, "shipped-9-1-5")


def write_good(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, pixels in GOOD.items():
        (folder / name).write_bytes(encoded(pixels))


def expected_luma(kind: Kind) -> Plane:
    return luma(flatten(kind.picture))


def reasons(kind: Kind, said: list[str]) -> list[str]:
    """What was said about a file that is not used, without its name."""
    name = printable(kind.file)
    lines = [line for line in said if name in line and not line.startswith("data set")]
    assert all("\n" not in line and "Traceback" not in line for line in lines)
    return lines


def is_refused_for_its_reason(kind: Kind, said: list[str]) -> bool:
    return any(re.search(kind.refused, line) for line in reasons(kind, said))


def is_named_as_no_picture(kind: Kind, said: list[str]) -> bool:
    return any(line.endswith("is no picture, by its name") for line in reasons(kind, said))


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
        patch.setattr("srcnn_mlflow.pictures.photos.DIGESTS", folder / "digests.json")
        return prepared(folder)


def prepared(folder: Path) -> Store:
    """Prepare a folder `set`, with the good pictures among its training pictures."""
    write_good(folder / "set" / "train")
    (folder / "set" / "valid").mkdir()
    (folder / "set" / "valid" / "v.png").write_bytes(encoded(textured_pixels(40, 40, 90)))
    return open_store(*prepare_dataset(str(folder / "set"), SETTINGS, None).files)


def stored_planes(store: Store) -> list[Plane]:
    return [store.train.pair(picture)[1] for picture in range(len(store.train))]


@pytest.mark.exhaustive
@cases(KINDS)
def test_prepared(
    kind: Kind, good_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    kind.write(tmp_path / "set" / "train")
    planes = stored_planes(prepared(tmp_path))
    good = stored_planes(good_store)
    if kind.pixels is None:
        assert is_refused_for_its_reason(kind, said)
    elif not kind.listed:
        assert is_named_as_no_picture(kind, said)
    elif min(kind.pixels.shape[:2]) < SETTINGS.patch_size:
        assert re.search(r"left out: .* is smaller than a patch, 33$", reasons(kind, said)[0])
    else:
        told = [line for line in reasons(kind, said) if not line.startswith("note: of ")]
        assert not told
        assert (told != reasons(kind, said)) == (kind.deep is not None or kind.is_first)
    used = kind.pixels is not None and kind.listed and min(kind.pixels.shape[:2]) >= 2
    if used:
        expected = expected_luma(kind)
        height, width = (side - side % 2 for side in expected.shape)
        place = sorted([kind.file, *GOOD]).index(kind.file)
        found = planes.pop(place)
        assert found.shape == (height, width)
        assert np.abs(found.astype(int) - expected[:height, :width]).mean() <= kind.tolerance
    assert all(np.array_equal(one, other) for one, other in zip(planes, good, strict=True))


def scores(folder: Path, model: ChosenModel) -> dict[str, ImageScore]:
    """Score every picture of a folder `test` beneath a folder, by name."""
    photos = load_split(str(folder), "test").photos
    scored = score_photos(photos, 2, 2, model.upscaler.upscale_luma)
    return {photo.name: score for photo, score in scored}


@pytest.fixture(scope="module")
def good_scores(model: ChosenModel) -> dict[str, ImageScore]:
    return {
        name: score_plane(name, luma(Image.fromarray(pixels)), 2, 2, model.upscaler.upscale_luma)
        for name, pixels in GOOD.items()
    }


@pytest.mark.exhaustive
@cases(KINDS)
def test_evaluated(
    kind: Kind,
    good_scores: dict[str, ImageScore],
    model: ChosenModel,
    tmp_path: Path,
    said: list[str],
) -> None:
    write_good(tmp_path / "test")
    kind.write(tmp_path / "test")
    found = scores(tmp_path, model)
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


@functools.cache
def enlarged(kind: Kind, model: ChosenModel) -> Pixels:
    """What the network makes of the pixels in the file, at their own depth."""
    samples = kind.deep if kind.deep is not None else kind.pixels
    assert samples is not None
    picture = Picture(samples if samples.ndim == 3 else samples[..., None])
    return model.upscaler.upscale_picture(picture).pixels


def is_enlarged_right(kind: Kind, result: Path | bytes, model: ChosenModel) -> bool:
    """Whether a PNG file holds the enlarged picture, by a decoder of its own."""
    contents = result if isinstance(result, bytes) else result.read_bytes()
    expected, found = enlarged(kind, model), imagecodecs.png_decode(contents)
    if found.dtype != expected.dtype or found.size != expected.size:
        return False
    difference = found.reshape(expected.shape).astype(int) - expected
    # The network sharpens what a lossy file has lost or added.
    return bool(np.abs(difference).mean() <= 2 * kind.tolerance)


@pytest.mark.exhaustive
@cases(KINDS)
def test_upscaled_from_a_folder(
    kind: Kind, model: ChosenModel, tmp_path: Path, said: list[str]
) -> None:
    kind.write(tmp_path / "in")
    (tmp_path / "in" / "good.png").write_bytes(encoded(GOOD["good0.png"]))
    written = upscale_files(model, 2, [str(tmp_path / "in")], tmp_path / "out", False).written
    results = {path.name: path for path in written}
    good = model.upscaler.upscale_image(Image.fromarray(GOOD["good0.png"]))
    assert np.array_equal(np.asarray(Image.open(results.pop("good-x2.png"))), np.asarray(good))
    if kind.pixels is None:
        assert is_refused_for_its_reason(kind, said)
    elif kind.listed:
        assert is_enlarged_right(kind, results.popitem()[1], model)
    assert not results


@pytest.mark.exhaustive
@cases(KINDS)
def test_upscaled_alone(kind: Kind, model: ChosenModel, tmp_path: Path, said: list[str]) -> None:
    path = kind.write(tmp_path)
    if kind.pixels is None:
        with pytest.raises(ImageError) as error:
            upscale_files(model, 2, [str(path)], tmp_path / "out.png", False)
        assert kind in NO_FILES.values() or is_refused_for_its_reason(kind, said)
        assert re.search(
            r"none of the 1 picture|does not exist|is neither a file|holds no picture",
            str(error.value),
        )
        return
    (result,) = upscale_files(model, 2, [str(path)], tmp_path / "out.png", False).written
    assert is_enlarged_right(kind, result, model)


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Path]:
    """A folder with a registry whose champion is the shipped network."""
    with shipped_champion(tmp_path_factory.mktemp("registry"), empty_store) as folder:
        yield folder


@pytest.fixture(scope="module")
def served_in_process(registered: Path) -> PyFuncModel:
    assert registered.exists()
    return load_model("models:/srcnn-x2@champion")


def as_text(contents: bytes) -> str:
    return base64.b64encode(contents).decode("ascii")


def as_file(prediction: dict[str, Any]) -> bytes:
    """The picture file in an answer, whose size must be as said."""
    contents = base64.b64decode(prediction["image"])
    assert Image.open(io.BytesIO(contents)).size == (prediction["width"], prediction["height"])
    return contents


def contents_of(kind: Kind) -> bytes:
    assert kind.contents is not None
    return kind.contents()


@cases(FILES)
def test_predicted(kind: Kind, served_in_process: PyFuncModel, model: ChosenModel) -> None:
    frame = pd.DataFrame({"image": [as_text(contents_of(kind))]})
    if kind.pixels is not None:
        answer: Any = served_in_process.predict(frame)
        assert is_enlarged_right(kind, as_file(answer[0]), model)
        return
    with pytest.raises(MlflowException, match=rf"^image 0 cannot be used: .*({kind.refused})") as e:
        served_in_process.predict(frame)
    assert "\n" not in e.value.message
    assert e.value.error_code == "INVALID_PARAMETER_VALUE"  # MLflow answers it with 400


@pytest.fixture(scope="module")
def post(registered: Path) -> Iterator[Post]:
    """Sends a body to a real server, and gives the status and the text of the answer."""
    with champion_server(registered) as send:
        yield send


def body_of(*rows: Any, columns: tuple[str, ...] = ("image",)) -> bytes:
    split = {"columns": columns, "data": [row if isinstance(row, list) else [row] for row in rows]}
    return json.dumps({"dataframe_split": split}).encode()


@pytest.mark.exhaustive
@cases(FILES)
def test_served(kind: Kind, post: Post, model: ChosenModel) -> None:
    status, answer = post(body_of(as_text(contents_of(kind))), JSON)
    if kind.pixels is not None:
        assert status == 200, answer
        (prediction,) = json.loads(answer)["predictions"]
        assert is_enlarged_right(kind, as_file(prediction), model)
        return
    assert status == 400
    message = json.loads(answer)["message"]
    assert re.search(rf"image 0 cannot be used: .*({kind.refused})", message)
    assert "Traceback" not in answer


GOOD_ROW = as_text(encoded(PHOTO))
NOT_BASE64 = "image 0 is not base64 text of a picture file"
# What a client may send by mistake: the rows, and the model's own sentence.
ROWS: dict[str, tuple[list[Any], str]] = {
    "bad base64": (["%%%"], NOT_BASE64),
    "words": (["hello, world"], NOT_BASE64),
    "other letters": (["图片"], NOT_BASE64),
    "base64 that is cut short": ([GOOD_ROW.rstrip("=")[:101]], NOT_BASE64),
    "base64 for addresses": (["-_-_"], "image 0 cannot be used: the image is not a PNG"),
    "empty string": ([""], "image 0 cannot be used: the image is empty"),
    "data URL of text": (["data:,hello"], "image 0 cannot be used: the image is not a PNG"),
    "huge base64": (["A" * 28_000_000], "image 0 has 21.0 MB, and 20 are allowed"),
    "null": ([None], NOT_BASE64),
    "number": ([3.5], NOT_BASE64),
    "true": ([True], NOT_BASE64),
    "nested list": ([[GOOD_ROW]], NOT_BASE64),
    "object": ([{"image": GOOD_ROW}], NOT_BASE64),
    "NaN": ([float("nan")], NOT_BASE64),
    "the second bad": ([GOOD_ROW, "%"], "image 1 is not base64"),
}
# A frame in one's own process may have many rows.
SERVED_ROWS = {
    **ROWS,
    "too many rows": ([GOOD_ROW] * 17, "a request may hold 16 images, and this one has 17"),
}


@pytest.mark.parametrize("name", ROWS)
def test_rows_predicted(name: str, served_in_process: PyFuncModel) -> None:
    rows, reason = ROWS[name]
    with pytest.raises(MlflowException, match=reason) as error:
        served_in_process.predict(pd.DataFrame({"image": rows}, dtype=object))
    assert "\n" not in error.value.message


@pytest.mark.parametrize("name", SERVED_ROWS)
def test_rows_served(name: str, post: Post) -> None:
    rows, reason = SERVED_ROWS[name]
    status, answer = post(body_of(*([row] for row in rows)), JSON)
    assert status == 400
    message = json.loads(answer)["message"]
    assert re.match(reason, message)


BODIES: dict[str, tuple[bytes, str | None]] = {
    "other column": (body_of(GOOD_ROW, columns=("picture",)), JSON),
    "two columns of one name": (
        body_of([GOOD_ROW, GOOD_ROW], columns=("image", "image")),
        JSON,
    ),
    "no columns": (b'{"dataframe_split": {"data": []}}', JSON),
    "more cells than columns": (body_of([GOOD_ROW, GOOD_ROW]), JSON),
    "empty object": (b"{}", JSON),
    "empty array": (b"[]", JSON),
    "a string": (b'"image"', JSON),
    "unknown key": (b'{"pictures": []}', JSON),
    "empty body": (b"", JSON),
    "invalid JSON": (b'{"dataframe_split": ', JSON),
    "not UTF-8": (b"\xff\xfe{", JSON),
    "a picture itself": (encoded(PHOTO), "image/png"),
    "text": (b"hello", "text/plain"),
    "a broken table": (b"image\n%%%", "text/csv"),
    "another encoding": (body_of(GOOD_ROW), "application/json; charset=utf-16"),
    "no content type": (body_of(GOOD_ROW), None),
    "deep JSON": (b"[" * 100_000, JSON),
    "deep JSON that is closed": (b"[" * 100_000 + b"]" * 100_000, JSON),
    "a broken Parquet file": (b"PAR1", "application/vnd.apache.parquet"),
}


def assert_alive(post: Post) -> None:
    status, answer = post(body_of(GOOD_ROW), JSON)
    assert (status, len(json.loads(answer)["predictions"])) == (200, 1)


@pytest.mark.parametrize("name", BODIES)
def test_bodies_served(name: str, post: Post) -> None:
    status, answer = post(*BODIES[name])
    assert status in (400, 415), answer
    assert re.search(r"send \{|image 0 is not base64", answer)
    assert len(answer) <= 1024
    assert_alive(post)


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (body_of(), 0),
        (body_of([GOOD_ROW, 1], columns=("image", "more")), 1),
        (body_of([GOOD_ROW, GOOD_ROW], columns=("image", "picture")), 1),
        (json.dumps({"inputs": {"image": [GOOD_ROW]}}).encode(), 1),
        (json.dumps({"dataframe_records": [{"image": GOOD_ROW}]}).encode(), 1),
    ],
    ids=["no rows", "extra column", "two pictures", "inputs", "records"],
)
def test_unusual_bodies_that_are_served(body: bytes, count: int, post: Post) -> None:
    status, answer = post(body, JSON)
    assert status == 200, answer
    assert len(json.loads(answer)["predictions"]) == count


def without_progress(stderr: str) -> list[str]:
    return [line for line in stderr.splitlines() if not re.search(r": \d+ of \d+, about", line)]


def assert_each_is_named(kinds: dict[Path, Kind], stdout: str) -> None:
    lines = stdout.splitlines()
    for kind in kinds.values():
        if kind.pixels is None:
            assert is_refused_for_its_reason(kind, lines), kind.file


def test_prepare_among_all_kinds(
    good_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRCNN_HOME", str(tmp_path / "data"))
    kinds = write_corpus(tmp_path / "set" / "train", KINDS.values())
    write_good(tmp_path / "set" / "train")
    (tmp_path / "set" / "valid").mkdir()
    (tmp_path / "set" / "valid" / "v.png").write_bytes(encoded(textured_pixels(40, 40, 90)))
    finished = run_here("prepare", "--dataset", "set", cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert without_progress(finished.stderr) == []
    assert_each_is_named(kinds, finished.stdout)
    (path,) = (tmp_path / "data" / "prepared").glob("*.h5")
    found = [plane.tobytes() for plane in stored_planes(open_store(path))]
    assert all(plane.tobytes() in found for plane in stored_planes(good_store))


def test_evaluate_among_all_kinds(
    registered: Path, good_scores: dict[str, ImageScore], tmp_path: Path
) -> None:
    kinds = write_corpus(tmp_path / "test", KINDS.values())
    write_good(tmp_path / "test")
    finished = run_here("evaluate", "--dataset", str(tmp_path), cwd=registered)
    assert finished.returncode == 0, finished.stderr
    assert without_progress(finished.stderr) == []
    assert_each_is_named(kinds, finished.stdout)
    (run,) = mlflow.search_runs(
        search_all_experiments=True,
        filter_string="tags.entry_point = 'evaluate'",
        output_format="list",
    )
    table = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/evaluation/per_image.json")
    rows = {row[0]: dict(zip(table["columns"], row, strict=True)) for row in table["data"]}
    for name, score in good_scores.items():
        for column in ("srcnn_psnr", "srcnn_ssim", "bicubic_psnr", "bicubic_ssim"):
            # The table has ten decimal places.
            assert rows[name][column] == pytest.approx(getattr(score, column), abs=1e-9)


def test_upscale_among_all_kinds(tmp_path: Path) -> None:
    kinds = write_corpus(tmp_path / "in", KINDS.values())
    options = ("--model", "shipped-9-1-5", "--input", "in")
    finished = start_command("upscale", *options, cwd=tmp_path, stdout=PIPE, stderr=PIPE)
    output, errors = finished.communicate()
    assert finished.returncode == 0, errors
    assert without_progress(errors) == []
    assert_each_is_named(kinds, output)
    used = [kind for kind in kinds.values() if kind.pixels is not None and kind.listed]
    assert len(list((tmp_path / "upscaled").iterdir())) == len(used)


HARDEST_NAMES = (
    "a name with a leading dash",
    "a name with a line break",
    "a name that is not UTF-8",
)


@pytest.mark.exhaustive
@cases({name: NAMES[name] for name in HARDEST_NAMES})
def test_names_on_the_command_line(
    kind: Kind, model: ChosenModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on most terminals; in the plain C locale Python lets any byte through.
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8")
    kind.write(tmp_path)
    output = f"results of {kind.file} and others"
    options = ("--model", "shipped-9-1-5", "--output", output)
    finished = run_command("upscale", *options, "--input", kind.file, cwd=tmp_path)
    assert (finished.returncode, finished.stderr) == (0, "")
    (result,) = (tmp_path / output).iterdir()
    assert is_enlarged_right(kind, result, model)


def test_names_in_figures(tmp_path: Path) -> None:
    picture = Image.fromarray(PHOTO)
    small = picture.resize((32, 24))
    score = score_plane("any", luma(picture), 2, 2, lambda plane: to_eight_bit(upscale(plane, 2)))
    exhibits = [
        Exhibit(
            replace(score, image=printable(kind.file)),
            *(picture, small, picture, picture),
            *(luma(picture), luma(picture)),
        )
        for kind in NAMES.values()
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_exhibits(exhibits, "names", "of pictures", tmp_path / "names.png")
    assert (tmp_path / "names.png").exists()


def test_a_folder_of_nothing_but_broken_files(
    model: ChosenModel, tmp_path: Path, said: list[str]
) -> None:
    broken = {name: kind for name, kind in KINDS.items() if kind.pixels is None}
    write_corpus(tmp_path / "test", broken.values())
    count = len(broken)
    with pytest.raises(DatasetError, match=rf"none of its {count} pictures can be used, the first"):
        scores(tmp_path, model)
    with pytest.raises(ImageError, match=rf"none of the {count} picture\(s\)"):
        upscale_files(model, 2, [str(tmp_path / "test")], tmp_path / "out", False)
    assert len(said) == count
    assert not (tmp_path / "out").exists()


def test_copies_of_a_picture_go_to_one_split(tmp_path: Path) -> None:
    write_good(tmp_path)
    for name in GOOD:
        (tmp_path / f"copy of {name}").write_bytes((tmp_path / name).read_bytes())
    splits = load_dataset(str(tmp_path)).splits
    # Where it is measured on, a picture counts once.
    assert {split: len(photos) for split, photos in splits.items()} == {
        "train": 2,
        "valid": 1,
        "test": 1,
    }


def test_a_result_with_too_long_a_name_does_not_stop_the_others(
    model: ChosenModel, tmp_path: Path, said: list[str]
) -> None:
    for name in ("a.png", f"{'n' * 251}.png", "z.png"):
        (tmp_path / name).write_bytes(encoded(PHOTO))
    written = upscale_files(model, 2, [str(tmp_path)], tmp_path / "out", False).written
    assert [path.name for path in written] == ["a-x2.png", "z-x2.png"]
    assert re.fullmatch(r"skipped: the name of what n+\.png becomes is too long; .*", said[0])


def test_no_result_takes_the_place_of_another(model: ChosenModel, tmp_path: Path) -> None:
    for name in ("a.png", "a.bmp", "a.png.bmp", "a.png.bmp.png"):
        (tmp_path / name).write_bytes(encoded(PHOTO))
    written = upscale_files(model, 2, [str(tmp_path)], tmp_path / "out", False).written
    assert len(set(written)) == 4


# Files that a fuzzer changes: one of each way to be read, and small.
SEEDS = [
    contents_of(kind)
    for name, kind in FILES.items()
    if "bomb" not in kind.file and "scans" not in kind.file and "dense" not in kind.file
    if len(contents_of(kind)) < 20_000
]


@st.composite
def changed_files(draw: st.DrawFn) -> bytes:
    """A file of the corpus with bytes changed, cut out, or put in from another file."""
    contents = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 6))):
        # Headers decide most, and lie at the beginning.
        place = draw(st.integers(0, draw(st.sampled_from([40, 400, 20_000]))))
        match draw(st.sampled_from(["change", "cut", "truncate", "splice"])):
            case "change":
                contents[place : place + 1] = draw(st.binary(min_size=1, max_size=4))
            case "cut":
                del contents[place : place + draw(st.integers(1, 100))]
            case "truncate":
                del contents[place:]
            case "splice":
                other = draw(st.sampled_from(SEEDS))
                contents[place:place] = other[place : place + draw(st.integers(1, 200))]
    return bytes(contents)


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(changed_files())
def test_no_damage_gives_anything_but_a_picture_or_an_image_error(contents: bytes) -> None:
    with contextlib.suppress(ImageError):
        assert open_image(contents, 1_000_000).mode in ("L", "LA", "RGB", "RGBA")


@functools.cache
def served() -> ServedUpscaler:
    model = ServedUpscaler()
    network = {"network": str(shipped_network(2, "shipped-9-1-5"))}
    model.load_context(SimpleNamespace(artifacts=network))  # type: ignore[arg-type]
    return model


ANYTHING = st.one_of(
    st.none(),
    st.text(max_size=50),
    st.binary(max_size=50),
    st.floats(),
    st.integers(),
    st.dates(),
    st.lists(st.text(max_size=5), max_size=3),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2),
    changed_files().map(as_text),
    changed_files().map(as_text).map(lambda text: text[: len(text) // 2]),
    st.just(GOOD_ROW),
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(ANYTHING, max_size=4))
def test_no_rows_give_anything_but_predictions_or_the_models_own_error(rows: list[Any]) -> None:
    frame = pd.DataFrame({"image": pd.Series(rows, dtype=object)})
    answers, refusal = [], None
    try:
        answers = served().predict(None, frame)  # type: ignore[arg-type]
    except MlflowException as error:
        refusal = error
    if refusal is None:
        assert len([imagecodecs.png_decode(as_file(answer)) for answer in answers]) == len(rows)
    else:
        assert refusal.error_code == "INVALID_PARAMETER_VALUE"
        assert re.fullmatch(r"image \d .*", refusal.message)
