"""What a real server answers to requests that it refuses, in every format that MLflow knows."""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from PIL import Image

from srcnn_mlflow.network.shipped import shipped_network
from srcnn_mlflow.tracking import registry
from tests.conftest import put_store
from tests.served import JSON, Post, champion_server, shipped_champion
from tests.tracking.test_served_model import PICTURE, encode

pytestmark = pytest.mark.slow

CSV = "text/csv"
PARQUET = "application/vnd.apache.parquet"
GOOD = encode(PICTURE)
# Long enough to be noticed in any answer, and of letters that nothing else has so many of.
LONG = "Q" * 300_000


@pytest.fixture(scope="module")
def post(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Post]:
    """Sends a body to a server of the model; gives the status and the answer."""
    with shipped_champion(tmp_path_factory.mktemp("served"), empty_store) as folder:
        pass
    with champion_server(folder) as send:
        yield send


def formats(column: str, cell: Any) -> dict[str, tuple[bytes, str]]:
    """One picture in every format."""
    table = {"columns": [column], "data": [[cell]]}
    bodies: dict[str, Any] = {
        "split": {"dataframe_split": table},
        "records": {"dataframe_records": [{column: cell}]},
        "instances": {"instances": [{column: cell}]},
        "inputs": {"inputs": {column: [cell]}},
        "inputs, one": {"inputs": {column: cell}},
    }
    if column == "image":
        bodies |= {"plain instances": {"instances": [cell]}, "plain inputs": {"inputs": [cell]}}
    encoded = {name: (json.dumps(body).encode(), JSON) for name, body in bodies.items()}
    return {**encoded, "csv": (f"{column}\n{cell}\n".encode(), CSV)}


@pytest.mark.parametrize("how", formats("image", GOOD))
def test_a_good_picture_is_served_in_every_format(how: str, post: Post) -> None:
    status, answer = post(*formats("image", GOOD)[how])
    assert status == 200, answer
    (prediction,) = json.loads(answer)["predictions"]
    assert (prediction["width"], prediction["height"]) == (80, 60)


NO_PICTURE = formats("image", LONG)
WRONG_NAME = formats("picture", LONG)
LONG_NAME = formats(LONG, GOOD)
UNREADABLE: dict[str, tuple[bytes, str]] = {
    "broken JSON": (f'{{"inputs": ["{LONG}'.encode(), JSON),
    "JSON that is not UTF-8": (b'{"inputs": ["\xff' + LONG.encode(), JSON),
    "a list": (json.dumps([LONG]).encode(), JSON),
    "a string": (json.dumps(LONG).encode(), JSON),
    "two formats": (json.dumps({"inputs": [LONG], "instances": [LONG]}).encode(), JSON),
    "an unknown format": (json.dumps({LONG: []}).encode(), JSON),
    "an unknown key": (json.dumps({"dataframe_split": {"data": [], LONG: 1}}).encode(), JSON),
    "rows of unequal length": (json.dumps({"inputs": {"image": [[LONG], [1, 2]]}}).encode(), JSON),
    "a chat": (json.dumps({"messages": [{"content": LONG}]}).encode(), JSON),
    "a broken table": (f'image\n"{LONG}'.encode(), CSV),
    "a table of uneven lines": (f"image\n{LONG}\na,b,c\n".encode(), CSV),
    "a table that is not UTF-8": (b"image\n\xff" + LONG.encode(), CSV),
    "a broken Parquet file": (f"PAR1{LONG}PAR1".encode(), PARQUET),
    "an unknown type": (LONG.encode(), f"text/plain; {'Q' * 20_000}"),
}
REFUSED = {
    **{f"{how}, no picture": body for how, body in NO_PICTURE.items()},
    **{f"{how}, wrong name": body for how, body in WRONG_NAME.items()},
    **{f"{how}, long name": body for how, body in LONG_NAME.items()},
    **UNREADABLE,
}


@pytest.mark.parametrize("kind", REFUSED)
def test_no_answer_repeats_its_input(kind: str, post: Post) -> None:
    status, answer = post(*REFUSED[kind])
    assert status in (400, 415), answer
    assert len(answer) <= 1024
    assert "QQQQ" not in answer
    assert "Traceback" not in answer
    if kind in UNREADABLE or "name" in kind:
        assert "send {" in answer
    else:
        assert "image 0 cannot be used" in answer


def test_names_in_an_answer_are_few_and_short_in_any_script(post: Post) -> None:
    names = [f"{chr(0x1F600 + number) * 16}" for number in range(50)]
    status, answer = post(
        json.dumps({"dataframe_split": {"columns": names, "data": [[1] * 50]}}).encode(), JSON
    )
    assert status == 400
    assert "47 more" in answer
    assert len(answer) <= 1024


@pytest.mark.parametrize("body", [b'{"inputs": [3', b'{"inputs": [3]} 4'])
def test_where_json_is_broken_is_said(body: bytes, post: Post) -> None:
    status, answer = post(body, JSON)
    assert status == 400
    assert "line 1 column 1" in json.loads(answer)["message"]


@pytest.mark.parametrize(
    ("params", "named"),
    [
        (
            {"scale": 4},
            "the model takes the params format, quality and on_error, and the request has 'scale'; "
            "leave them out",
        ),
        ({"a": 1, "b": 2}, "has 'a', 'b'; leave"),
        ({LONG: 1}, "has one of 300000 characters; leave"),
        ([4], "params is no object; give format"),
        ("scale", "params is no object; give format"),
        ({"format": LONG}, "format is none of png, jpeg, webp, avif, tiff; give one"),
        ({"format": ["png"]}, "format is none of png, jpeg, webp, avif, tiff; give one"),
        ({"quality": "90"}, "quality is no whole number from 1 to 100; give one, or leave it out"),
        ({"quality": 101}, "quality is no whole number from 1 to 100; give one, or leave it out"),
        ({"quality": 90}, "quality is 90, and png loses nothing; leave it out"),
        ({"on_error": LONG}, "on_error is neither raise nor tell; give one of them"),
    ],
)
def test_params_that_the_model_does_not_know_are_refused(
    params: Any, named: str, post: Post
) -> None:
    for body, content_type in formats("image", GOOD).values():
        if content_type == JSON:
            status, answer = post(json.dumps({**json.loads(body), "params": params}).encode(), JSON)
            assert status == 400
            assert named in json.loads(answer)["message"]
            assert len(answer) <= 1024


def test_params_choose_the_answers_format(post: Post) -> None:
    table = {"columns": ["image"], "data": [[GOOD]]}
    sizes = []
    for quality in (20, 95):
        params = {"format": "jpeg", "quality": quality}
        status, answer = post(
            json.dumps({"dataframe_split": table, "params": params}).encode(), JSON
        )
        assert status == 200, answer
        (prediction,) = json.loads(answer)["predictions"]
        assert set(prediction) == {"image", "width", "height"}
        contents = base64.b64decode(prediction["image"])
        sizes.append(len(contents))
        assert Image.open(io.BytesIO(contents)).format == "JPEG"
    assert sizes[0] < sizes[1] / 2


def test_a_request_may_ask_to_be_told_what_is_broken(post: Post) -> None:
    table = {"columns": ["image"], "data": [[GOOD], ["?"], [GOOD]]}
    body = {"dataframe_split": table, "params": {"on_error": "tell"}}
    status, answer = post(json.dumps(body).encode(), JSON)
    assert status == 200, answer
    good, bad, _ = json.loads(answer)["predictions"]
    assert good["error"] == ""
    assert (bad["image"], bad["error"]) == ("", "is not base64 text of a picture file")


def test_parquet_brings_files_as_they_are(post: Post) -> None:
    for cells in ([base64.b64decode(GOOD)] * 2, [GOOD]):
        file = io.BytesIO()
        pd.DataFrame({"image": cells}).to_parquet(file)
        status, answer = post(file.getvalue(), PARQUET)
        assert status == 200, answer
        predictions = json.loads(answer)["predictions"]
        assert [one["width"] for one in predictions] == [80] * len(cells)


def test_pictures_are_limited_together_by_what_they_become(post: Post) -> None:
    """Sixteen of half a megapixel make 32 at x2, where 16 are allowed."""
    file = io.BytesIO()
    Image.new("1", (1000, 500)).save(file, "PNG")
    text = base64.b64encode(file.getvalue()).decode()
    table = {"columns": ["image"], "data": [[text]] * 16}
    status, answer = post(json.dumps({"dataframe_split": table}).encode(), JSON)
    assert status == 400
    told = "the pictures of the request would have 32.0 megapixels together, and 16 are allowed"
    assert told in json.loads(answer)["message"]


@pytest.mark.parametrize("params", [{}, None])
def test_no_params_are_no_reason_to_refuse(params: Any, post: Post) -> None:
    table = {"columns": ["image"], "data": [[GOOD]]}
    assert post(json.dumps({"dataframe_split": table, "params": params}).encode(), JSON)[0] == 200


def test_a_process_that_is_no_server_keeps_mlflow_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path
) -> None:
    from mlflow.pyfunc import scoring_server

    before = scoring_server.invocations
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))
    with mlflow.start_run():
        registry.register(2, shipped_network(2), {})
    model = mlflow.pyfunc.load_model("models:/srcnn-x2/1")
    (prediction,) = model.predict(pd.DataFrame({"image": [GOOD]}))
    assert prediction["width"] == 80
    assert scoring_server.invocations is before
