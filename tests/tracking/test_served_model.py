"""The served model, as a Python object: what it takes, and what it refuses."""

import base64
import io
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import imagecodecs
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException
from PIL import Image

from srcnn_mlflow.machine.errors import ModelError
from srcnn_mlflow.network.shipped import shipped_network
from srcnn_mlflow.network.upscaler import Upscaler
from srcnn_mlflow.pictures.decoding import open_picture
from srcnn_mlflow.tracking.served_model import Limits, ServedUpscaler, _file_of
from tests.conftest import textured_pixels
from tests.network.test_bfloat16 import needs_bfloat16

NETWORK = shipped_network(2)
PICTURE = Image.fromarray(textured_pixels(30, 40, 1))


def load() -> ServedUpscaler:
    model = ServedUpscaler()
    model.load_context(SimpleNamespace(artifacts={"network": str(NETWORK)}))  # type: ignore[arg-type]
    return model


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> str:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return base64.b64encode(file.getvalue()).decode()


def predict(model: ServedUpscaler, *texts: Any, **params: Any) -> list[dict[str, Any]]:
    frame = pd.DataFrame({"image": list(texts)})
    return model.predict(None, frame, params or None)  # type: ignore[arg-type]


def decode(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text)))


def rotated() -> tuple[Image.Image, dict[str, Any]]:
    exif = Image.Exif()
    exif[0x0112] = 6
    return PICTURE, {"kind": "JPEG", "exif": exif.tobytes(), "quality": 95}


@needs_bfloat16
def test_a_server_computes_in_the_precision_that_it_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SRCNN_PRECISION", "bfloat16")
    (answer,) = predict(load(), encode(PICTURE))
    given = decode(encode(PICTURE))
    rounded = np.asarray(Upscaler(NETWORK, "bfloat16").upscale_image(given))
    assert np.array_equal(np.asarray(decode(answer["image"])), rounded)
    assert not np.array_equal(rounded, np.asarray(Upscaler(NETWORK).upscale_image(given)))
    monkeypatch.setenv("SRCNN_PRECISION", "half")
    with pytest.raises(ModelError, match="'half' is unknown; give float32 or bfloat16"):
        load()


GOOD: dict[str, tuple[Image.Image, dict[str, Any]]] = {
    "colour": (PICTURE, {}),
    "grey": (PICTURE.convert("L"), {}),
    "transparent": (PICTURE.convert("RGBA"), {}),
    "grey and transparent": (PICTURE.convert("LA"), {}),
    "palette": (PICTURE.convert("P"), {}),
    "black and white": (PICTURE.convert("1"), {}),
    "16 bits": (Image.fromarray(textured_pixels(30, 40, 1)[..., 0].astype(np.uint16) * 257), {}),
    "JPEG": (PICTURE, {"kind": "JPEG"}),
    "CMYK": (PICTURE.convert("CMYK"), {"kind": "JPEG"}),
    "WebP": (PICTURE, {"kind": "WEBP"}),
    "rotated": rotated(),
}


@pytest.mark.parametrize("kind", GOOD)
def test_every_kind_of_picture_is_enlarged_as_upscale_does(kind: str) -> None:
    image, options = GOOD[kind]
    text = encode(image, **options)
    (answer,) = predict(load(), text)
    expected = Upscaler(NETWORK).upscale_picture(open_picture(base64.b64decode(text))).pixels
    served = imagecodecs.png_decode(base64.b64decode(answer["image"]))
    assert served.dtype == expected.dtype == (np.uint16 if kind == "16 bits" else np.uint8)
    assert served.shape[:2] == (answer["height"], answer["width"]) == expected.shape[:2]
    assert np.array_equal(served.reshape(expected.shape), expected)
    assert answer["width"] == (60 if kind == "rotated" else 80)


def test_several_pictures_come_back_in_order() -> None:
    sizes = [(20, 30), (31, 17), (1, 1)]
    texts = [encode(PICTURE.resize(size)) for size in sizes]
    answers = predict(load(), *texts)
    assert [(one["width"], one["height"]) for one in answers] == [(2 * w, 2 * h) for w, h in sizes]


def test_base64_with_line_breaks_is_read() -> None:
    text = encode(PICTURE)
    broken = "\n".join(text[start : start + 76] for start in range(0, len(text), 76))
    model = load()
    assert predict(model, broken) == predict(model, text)


# A file whose base64 has all that may be written in several ways: `+`, `/` and padding.
SPECIAL = next(
    text
    for text in (encode(PICTURE.crop((0, 0, 9, width))) for width in range(1, 30))
    if "+" in text and "/" in text and text.endswith("=")
)
URL_SAFE = SPECIAL.replace("+", "-").replace("/", "_")

WRITTEN = {
    "data URL": f"data:image/png;base64,{SPECIAL}",
    "in capitals": f"DATA:image/PNG;BASE64,{SPECIAL}",
    "with a capital": f"Data:image/png;Base64,{SPECIAL}",
    "with leading blanks": f" \n\tdata:image/png;base64,{SPECIAL}\n",
    "with blanks after its comma": f"data:image/png;base64, {SPECIAL}",
    "without a type": f"data:;base64,{SPECIAL}",
    "with parameters": f"data:image/png;name=a.png;charset=utf-8;base64,{SPECIAL}",
    "base64 that is percent-encoded": f"data:image/png;base64,{quote(SPECIAL, safe='')}",
    "percent-encoded": f"data:image/png,{quote(base64.b64decode(SPECIAL))}",
    "URL-safe in a data URL": f"data:image/png;base64,{URL_SAFE}",
    "URL-safe": URL_SAFE,
    "without padding": SPECIAL.rstrip("="),
    "URL-safe without padding": URL_SAFE.rstrip("="),
    "leading blanks": f"  {SPECIAL}",
}


@pytest.mark.parametrize("how", WRITTEN)
def test_every_way_to_write_a_file_as_text_is_read(how: str) -> None:
    model = load()
    assert predict(model, WRITTEN[how]) == predict(model, SPECIAL)


@given(st.binary(max_size=40), st.sampled_from([b"+/", b"-_"]), st.booleans())
def test_base64_of_either_alphabet_is_read_to_the_byte(
    file: bytes, alphabet: bytes, padded: bool
) -> None:
    text = base64.b64encode(file, alphabet).decode()
    assert _file_of(text if padded else text.rstrip("=")) == file
    assert _file_of(f"data:;base64,{text}") == file


BAD: dict[str, tuple[Any, str]] = {
    "nothing": ("", "cannot be used: the image is empty"),
    "words": ("hello world!", "image 0 is not base64 text of a picture file"),
    "base64 of words": (base64.b64encode(b"hello").decode(), "the image is not a PNG"),
    "a number": (3.5, "is not base64 text"),
    "null": (None, "is not base64 text"),
    "a list": ([1, 2], "is not base64 text"),
    "a truncated picture": (encode(PICTURE)[:400], "image 0 cannot be used"),
    "too much padding": (f"{SPECIAL.rstrip('=')}====", "is not base64 text"),
    "padding in the middle": (f"{SPECIAL[:6]}={SPECIAL[6:]}", "is not base64 text"),
    "one letter too few": (SPECIAL.rstrip("=")[:5], "is not base64 text"),
    "a data URL without a comma": ("data:image/png;base64", "is not base64 text"),
    "a data URL of nothing": ("data:,", "the image is empty"),
    "a data URL that is not ASCII": ("data:;base64,bild\u00e9", "is not base64 text"),
    "a data URL of text": ("data:text/plain;base64,aGVsbG8=", "the image is not a PNG"),
    "an address": ("https://example.org/a.png", "is not base64 text"),
    "not ASCII": ("bild\u00e9", "is not base64 text"),
    "a float picture": (encode(PICTURE.convert("F"), "TIFF"), "holds 32-bit floating point"),
    "an icon": (encode(PICTURE, "ICO"), "the image is not a PNG"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_pictures_are_refused_in_one_sentence(kind: str) -> None:
    text, reason = BAD[kind]
    with pytest.raises(MlflowException, match=reason) as error:
        predict(load(), text)
    assert error.value.error_code == "INVALID_PARAMETER_VALUE"  # MLflow answers it with 400
    assert "\n" not in error.value.message


def test_the_bad_one_of_several_is_named() -> None:
    with pytest.raises(MlflowException, match=r"^image 1 is not base64"):
        predict(load(), encode(PICTURE), "???")


def test_limits_are_set_by_environment_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Limits.from_environment() == Limits()
    monkeypatch.setenv("SRCNN_MAX_IMAGES", "2")
    monkeypatch.setenv("SRCNN_MAX_MEGABYTES", "0.01")
    monkeypatch.setenv("SRCNN_MAX_MEGAPIXELS", "0.0012")
    model = load()
    good = encode(PICTURE)
    assert len(predict(model, good, good)) == 2
    with pytest.raises(MlflowException, match="may hold 2 images, and this one has 3"):
        predict(model, good, good, good)
    with pytest.raises(MlflowException, match=r"is 41x30, 1,230 pixels; the most .* 1,200"):
        predict(model, encode(PICTURE.resize((41, 30))))
    with pytest.raises(MlflowException, match=r"image 1 has 0\.0 MB, and 0\.01 are allowed"):
        predict(model, good, "A" * 14_000)


def test_a_picture_is_limited_by_what_it_becomes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRCNN_MAX_OUTPUT_MEGAPIXELS", "0.0048")
    model = load()
    # Elsewhere than in a server, a frame may have any number of rows.
    assert len(predict(model, *[encode(PICTURE)] * 17)) == 17
    with pytest.raises(MlflowException, match=r"is 41x30, 1,230 pixels; the most .* 1,200"):
        predict(model, encode(PICTURE.resize((41, 30))))


def test_files_are_taken_as_bytes() -> None:
    text = encode(PICTURE)
    contents = base64.b64decode(text)
    model = load()
    assert predict(model, contents, bytearray(contents)) == predict(model, text, text)
    with pytest.raises(MlflowException, match=r"^image 1 cannot be used: the image is not a PNG"):
        predict(model, contents, b"no picture")


@pytest.mark.parametrize("form", ["png", "jpeg", "webp", "avif", "tiff"])
def test_answers_are_files_of_the_format_that_is_asked_for(form: str) -> None:
    clear = PICTURE.convert("RGBA")
    clear.putalpha(99)
    (answer,) = predict(load(), encode(clear), format=form)
    image = decode(answer["image"])
    assert (image.format or "").lower() == form
    assert image.size == (answer["width"], answer["height"]) == (80, 60)
    assert image.mode == ("RGB" if form == "jpeg" else "RGBA")


def test_what_cannot_be_used_is_a_row_with_its_reason_where_that_is_asked_for() -> None:
    wide = encode(Image.new("1", (9000, 2)))
    rows = predict(load(), encode(PICTURE), b"", None, wide, on_error="tell", format="webp")
    assert [row["error"] for row in rows] == [
        "",
        "cannot be used: the image is empty",
        "is not base64 text of a picture file",
        "would be 18000x4 pixels, and a WebP file holds at most 16,383 a side; give format=png or "
        "tiff",
    ]
    assert [row["width"] for row in rows] == [80, 0, 0, 0]
    assert all(set(row) == {"image", "width", "height", "error"} for row in rows)


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    bomb = encode(Image.new("1", (15_000, 15_000)))
    assert len(bomb) < 100_000
    with pytest.raises(MlflowException, match="225,000,000 pixels; the most allowed is 4,000,000"):
        predict(load(), bomb)


@pytest.mark.parametrize("text", ["many", "0", "-3", "nan", "inf", ""])
def test_a_limit_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SRCNN_MAX_MEGAPIXELS", text)
    with pytest.raises(ModelError, match=r"SRCNN_MAX_MEGAPIXELS is .*; give a number above zero"):
        load()
