"""A folder as people have it: sixty pictures of all kinds, in sub-folders, with what they say."""

import base64
import hashlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pandas as pd
import pytest
import tifffile
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel, load_model
from PIL import ExifTags, Image

from srcnn_mlflow.commands.upscale import ChosenModel, shipped_model
from srcnn_mlflow.pictures.imaging import flatten, luma
from srcnn_mlflow.pictures.picture import Picture
from srcnn_mlflow.pictures.store import open_store
from tests.conftest import run_here
from tests.corpus import DEEP_COLOUR, ODD, PHOTO, Kind, encoded, refused, srgb, used
from tests.served import shipped_champion

PROFILE = srgb()  # which holds the time when it was made
DATE = "2019:12:31 23:59:59"
PLACES = ("", "2019", "2019/summer", "scans/raw")


def exif() -> Image.Exif:
    said = Image.Exif()
    said[0x010F] = "Maker"
    said.get_ifd(ExifTags.IFD.Exif)[0x9003] = DATE
    return said


def with_everything(form: str) -> bytes:
    options = {"quality": 98} if form in ("JPEG", "AVIF") else {}
    options |= {"lossless": True} if form == "WEBP" else {}
    return encoded(PHOTO, form, exif=exif(), icc_profile=PROFILE, dpi=(300, 300), **options)


def deep_planes() -> bytes:
    contents = io.BytesIO()
    tifffile.imwrite(
        contents,
        np.moveaxis(DEEP_COLOUR, -1, 0),
        photometric="rgb",
        planarconfig="separate",
        resolution=(300, 300),
        resolutionunit="INCH",
        extratags=[
            (34675, 7, len(PROFILE), PROFILE, True),
            (0x010F, 2, 0, "Maker", True),
        ],
        metadata=None,
    )
    return contents.getvalue()


# What says most of itself: the file, and how far a lossy one may be off.
TELLING = [
    used("camera.jpg", lambda: with_everything("JPEG"), PHOTO, 6),
    used("camera.JFIF", lambda: with_everything("JPEG"), PHOTO, 6),
    used("drawing.png", lambda: with_everything("PNG"), PHOTO),
    used("page.webp", lambda: with_everything("WEBP"), PHOTO),
    used("phone.avif", lambda: with_everything("AVIF"), PHOTO, 6),
    used("planes.tif", deep_planes, np.rint(DEEP_COLOUR / 257).astype(np.uint8), deep=DEEP_COLOUR),
]
BROKEN = [
    refused("half.jpg", lambda: with_everything("JPEG")[:400]),
    refused("film.heic", lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "is a HEIC picture"),
    refused("empty.png", lambda: b"", "is empty"),
]


@dataclass(frozen=True)
class Folder:
    """The folder, and what is in each of its files."""

    path: Path
    kinds: dict[Path, Kind]

    def fingerprint(self) -> dict[str, tuple[str, int]]:
        """Every file with its contents and its time."""
        return {
            str(path.relative_to(self.path)): (
                hashlib.sha256(path.read_bytes()).hexdigest(),
                path.stat().st_mtime_ns,
            )
            for path in sorted(self.path.rglob("*"))
            if path.is_file()
        }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    path = tmp_path_factory.mktemp("mixed") / "my photographs"
    odd = [kind for kind in ODD.values() if kind.listed][: 60 - len(TELLING) - len(BROKEN)]
    kinds = [*TELLING, *BROKEN, *odd]
    assert len(kinds) == 60
    written = {
        kind.write(path / PLACES[number % len(PLACES)]): kind for number, kind in enumerate(kinds)
    }
    (path / "2019" / "notes.txt").write_text("not a picture")
    return Folder(path, written)


@pytest.fixture(scope="module")
def model() -> ChosenModel:
    return shipped_model(2, "shipped-9-1-5")


def is_right(kind: Kind, contents: bytes, model: ChosenModel) -> bool:
    samples = kind.deep if kind.deep is not None else kind.pixels
    assert samples is not None
    given = Picture(samples if samples.ndim == 3 else samples[..., None])
    expected = model.upscaler.upscale_picture(given).pixels
    found = imagecodecs.png_decode(contents)
    assert found.dtype == expected.dtype
    difference = np.abs(found.reshape(expected.shape).astype(int) - expected)
    return bool(difference.mean() <= 2 * kind.tolerance)


def tells(kind: Kind, contents: bytes) -> None:
    """The metadata of the kinds that have most of it, and the model in every one."""
    image: Any = Image.open(io.BytesIO(contents))
    image.load()
    assert image.text["Software"].startswith("srcnn-mlflow ")
    if kind not in TELLING:
        return
    assert image.info["icc_profile"] == PROFILE
    assert image.getexif()[0x010F] == "Maker"
    if kind.file != "planes.tif":
        assert image.getexif().get_ifd(ExifTags.IFD.Exif)[0x9003] == DATE
    if kind.file not in ("page.webp", "phone.avif"):  # whose files hold no resolution
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.02)


def test_upscale(folder: Folder, model: ChosenModel, tmp_path: Path) -> None:
    before = folder.fingerprint()
    options = ("--model", "shipped-9-1-5", "--input", str(folder.path), "--output", "large")
    finished = run_here("upscale", *options, cwd=tmp_path)
    assert finished.returncode == 0, finished.stdout
    lines = finished.stdout.splitlines()
    for path, kind in folder.kinds.items():
        results = list((tmp_path / "large" / path.relative_to(folder.path).parent).glob("*.png"))
        of_this = [one for one in results if one.name in names_of(path)]
        if kind.pixels is None:
            assert not of_this
            assert any(path.name in line and re.search(kind.refused, line) for line in lines)
            continue
        (result,) = of_this
        assert is_right(kind, result.read_bytes(), model), kind.file
        tells(kind, result.read_bytes())
    assert "left out: 2019/notes.txt is no picture, by its name" in lines
    assert lines[-1].startswith("wrote 57 picture(s) to ")
    assert lines[-1].endswith("left out 4 file(s), each named above")
    assert folder.fingerprint() == before


def names_of(path: Path) -> set[str]:
    return {f"{path.stem}-x2.png", f"{path.name}-x2.png"}


def test_prepare(folder: Folder, tmp_path: Path) -> None:
    """As a training split; the validation picture is one more."""
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train").symlink_to(folder.path)
    (tmp_path / "set" / "valid").mkdir()
    (tmp_path / "set" / "valid" / "v.png").write_bytes(encoded(np.rot90(PHOTO, 2)[::2]))
    before = folder.fingerprint()
    finished = run_here("prepare", "--dataset", "set", "--patch-size", "20", cwd=tmp_path)
    assert finished.returncode == 0, finished.stdout
    lines = finished.stdout.splitlines()
    (path,) = (tmp_path / "data" / "prepared").glob("*.h5")
    store = open_store(path)
    planes = [store.train.pair(picture)[1] for picture in range(len(store.train))]
    assert len(planes) == 57
    for file, kind in folder.kinds.items():
        if kind.pixels is None:
            assert any(file.name in line and re.search(kind.refused, line) for line in lines)
            continue
        expected = luma(flatten(kind.picture))
        height, width = expected.shape
        expected = expected[: height - height % 2, : width - width % 2]
        same = [plane for plane in planes if plane.shape == expected.shape]
        nearest = min(np.abs(plane.astype(int) - expected).mean() for plane in same)
        assert nearest <= kind.tolerance, kind.file
    assert folder.fingerprint() == before


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[PyFuncModel]:
    with shipped_champion(tmp_path_factory.mktemp("registry"), empty_store):
        yield load_model("models:/srcnn-x2@champion")


def test_served(folder: Folder, model: ChosenModel, served: PyFuncModel) -> None:
    for path, kind in folder.kinds.items():
        text = base64.b64encode(path.read_bytes()).decode("ascii")
        frame = pd.DataFrame({"image": [text]})
        if kind.pixels is None:
            with pytest.raises(MlflowException, match=kind.refused):
                served.predict(frame)
            continue
        answers: Any = served.predict(frame)
        (answer,) = answers
        contents = base64.b64decode(answer["image"])
        assert is_right(kind, contents, model), kind.file
        tells(kind, contents)
        image: Any = Image.open(io.BytesIO(contents))
        assert re.search(r"model m-[0-9a-f]{32}", image.text["Software"])
        assert ("Of the original, only the first" in image.text.get("Comment", "")) == kind.is_first
