"""The served model, as a Python object: what it takes, and what it refuses."""

import base64
import io
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from PIL import Image

from srcnn_mlflow.machine.errors import ModelError
from srcnn_mlflow.network.shipped import shipped_network
from srcnn_mlflow.network.upscaler import Upscaler
from srcnn_mlflow.pictures.decoding import open_image
from srcnn_mlflow.tracking.served_model import Limits, ServedUpscaler
from tests.conftest import textured_pixels

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


def predict(model: ServedUpscaler, *texts: Any) -> list[dict[str, Any]]:
    frame = pd.DataFrame({"image": list(texts)})
    return model.predict(None, frame)  # type: ignore[arg-type]


def decode(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text)))


def rotated() -> tuple[Image.Image, dict[str, Any]]:
    exif = Image.Exif()
    exif[0x0112] = 6
    return PICTURE, {"kind": "JPEG", "exif": exif.tobytes(), "quality": 95}


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
    expected = Upscaler(NETWORK).upscale_image(open_image(base64.b64decode(text)))
    served = decode(answer["image"])
    assert served.format == "PNG"
    assert served.mode == expected.mode
    assert served.size == (answer["width"], answer["height"]) == expected.size
    assert np.array_equal(np.asarray(served), np.asarray(expected))
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


BAD: dict[str, tuple[Any, str]] = {
    "nothing": ("", "cannot be used: the image is not a PNG"),
    "words": ("hello world!", "image 0 is not base64 text of a picture file"),
    "base64 of words": (base64.b64encode(b"hello").decode(), "the image is not a PNG"),
    "a number": (3.5, "is not base64 text"),
    "null": (None, "is not base64 text"),
    "a list": ([1, 2], "is not base64 text"),
    "a truncated picture": (encode(PICTURE)[:400], "image 0 cannot be used"),
    "not ASCII": ("bild\u00e9", "is not base64 text"),
    "a float picture": (encode(PICTURE.convert("F"), "TIFF"), "holds floating point numbers"),
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
