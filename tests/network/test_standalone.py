"""The exported script gives what `upscale` gives, or refuses."""

import ast
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from srcnn_mlflow.commands.upscale import ChosenModel, shipped_model, upscale_files
from srcnn_mlflow.machine.errors import ImageError
from srcnn_mlflow.network import standalone
from srcnn_mlflow.network.shipped import shipped_network
from tests.conftest import textured_pixels
from tests.corpus import FILES, PHOTO, PNG_SIGNATURE, chunk, encoded, oriented, srgb, tiff

EXACT = {
    *("JPEG named png", "PNG named txt", "bytes after the end", "animated PNG", "animated WebP"),
    *("progressive JPEG", "grey JPEG", "palette", "1 bit", "all one colour", "huge EXIF"),
    *("multi-page TIFF", "turned TIFF", "turned WebP", "EXIF orientation 99"),
    *(f"EXIF orientation {number}" for number in range(1, 9)),
    *("1x1", "2x2", "3x3", "1x100000", "100000x1"),
}
LONG = ("1x100000", "100000x1", "PNG of 400 megapixels in 50 kB")
# Each by the reason that it is refused with.
OTHER_KINDS = {
    "16 bits a channel": ("16-bit grey", "16-bit colour", "16-bit colour with alpha"),
    "transparency": ("grey with alpha", "colour with alpha", "palette with transparency"),
    "pixels of mode CMYK": ("CMYK JPEG", "CMYK TIFF", "YCCK JPEG"),
    "pixels of mode LAB": ("LAB TIFF",),
    "pixels of mode F": ("32-bit float TIFF",),
    "another kind of TIFF": ("8-bit TIFF with white as zero",),
    "more than 100 scans": ("JPEG of a million scans",),
    "no palette": ("PNG without its palette",),
    "more than 178,956,970 pixels": ("PNG that claims 60000x60000",),
}


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script and its network, as `export` lays them side by side."""
    path = tmp_path_factory.mktemp("exported") / "srcnn_x2.py"
    shutil.copy(standalone.__file__, path)
    shutil.copy(shipped_network(2), path.with_name("srcnn-x2.onnx"))
    return path


@pytest.fixture(scope="module")
def exported(script: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("exported", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def model() -> ChosenModel:
    return shipped_model(2)


def by_script(exported: ModuleType, photo: Path) -> Image.Image | str:
    """The script's result, or the line that it refuses with."""
    result = photo.parent / "by script.png"
    code: str | int | None = None
    try:
        exported.main([str(photo), str(result)])
    except SystemExit as ended:
        code = ended.code
    if code is None:
        return Image.open(result)
    assert isinstance(code, str)  # which Python prints, and gives 1 as the exit code
    assert code.startswith("error: ")
    assert "\n" not in code
    assert not result.exists()
    return code


def by_upscale(model: ChosenModel, photo: Path) -> Image.Image | None:
    try:
        target = photo.parent / "by upscale.png"
        (written,) = upscale_files(model, 2, [str(photo)], target, False).written
    except ImageError:
        return None
    return Image.open(written)


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=pytest.mark.slow) if kind in LONG else kind for kind in FILES],
)
def test_every_kind_of_picture_comes_out_as_from_upscale_or_is_refused(
    exported: ModuleType, model: ChosenModel, tmp_path: Path, kind: str
) -> None:
    photo = FILES[kind].write(tmp_path)
    result = by_script(exported, photo)
    if isinstance(result, str):
        assert kind not in EXACT, result
        return
    expected = by_upscale(model, photo)
    assert expected is not None
    assert result.mode == expected.mode
    np.testing.assert_array_equal(np.asarray(result), np.asarray(expected))


@pytest.mark.parametrize(
    ("reason", "kind"), [(reason, kind) for reason, kinds in OTHER_KINDS.items() for kind in kinds]
)
def test_what_comes_out_otherwise_is_refused_by_name(
    exported: ModuleType, tmp_path: Path, reason: str, kind: str
) -> None:
    refused = by_script(exported, FILES[kind].write(tmp_path))
    assert isinstance(refused, str)
    assert reason in refused


def test_pictures_of_several_tiles_and_sizes_are_equal_to_the_pixel(
    exported: ModuleType, model: ChosenModel, tmp_path: Path
) -> None:
    for number, (height, width) in enumerate(((300, 20), (259, 261), (7, 513))):
        photo = tmp_path / f"{number}.png"
        Image.fromarray(textured_pixels(height, width, number)).save(photo)
        result, expected = by_script(exported, photo), by_upscale(model, photo)
        assert not isinstance(result, str)
        np.testing.assert_array_equal(np.asarray(result), np.asarray(expected))


def test_a_profile_is_kept_where_it_fits(exported: ModuleType, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    for pixels, kept in ((PHOTO, srgb()), (PHOTO[..., 1], None)):
        photo.write_bytes(encoded(pixels, icc_profile=srgb()))
        result = by_script(exported, photo)
        assert not isinstance(result, str)
        assert result.info.get("icc_profile") == kept


def gamma_of_one() -> bytes:
    plain = encoded(PHOTO)
    end = len(PNG_SIGNATURE) + 25  # of the header
    return plain[:end] + chunk(b"gAMA", (100_000).to_bytes(4)) + plain[end:]


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        (gamma_of_one, "a gamma or primaries of its own"),
        (lambda: tiff((64, 48), bytes(64 * 48), sample_format=2), "pixels of mode|another kind"),
        (lambda: encoded(PHOTO)[:200], "error: "),
    ],
)
def test_a_look_or_levels_of_another_meaning_are_refused(
    exported: ModuleType, tmp_path: Path, contents: Callable[[], bytes], reason: str
) -> None:
    (tmp_path / "photo.png").write_bytes(contents())
    result = by_script(exported, tmp_path / "photo.png")
    assert isinstance(result, str)
    assert any(part in result for part in reason.split("|"))


def test_neither_the_input_nor_another_format_is_written(
    exported: ModuleType, script: Path, tmp_path: Path
) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(encoded(PHOTO))
    (tmp_path / "link.png").symlink_to(photo)
    for arguments, reason in (
        ((photo, photo), "is the input itself"),
        ((photo, tmp_path / "link.png"), "is the input itself"),
        ((photo, tmp_path / "result.jpg"), "give a name that ends in .png"),
        ((photo, tmp_path / "nowhere" / "result.png"), "No such file or directory"),
        ((tmp_path / "none.png", tmp_path / "result.png"), "'none.png' is not a file"),
        ((tmp_path, tmp_path / "result.png"), "is not a file"),
        ((photo,), f"give two names: python {script.name} photo.jpg result.png"),
    ):
        with pytest.raises(SystemExit, match=reason):
            exported.main([str(argument) for argument in arguments])
    assert photo.read_bytes() == encoded(PHOTO)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.png", "photo.png"]


def test_the_script_needs_nothing_but_three_libraries() -> None:
    imported = set()
    for node in ast.walk(ast.parse(Path(standalone.__file__).read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(str(node.module).split(".")[0])
    assert imported - sys.stdlib_module_names == {"PIL", "numpy", "onnxruntime"}


def test_a_network_that_is_not_beside_it_is_missed_by_name(script: Path, tmp_path: Path) -> None:
    shutil.copy(script, tmp_path)
    (tmp_path / "photo.png").write_bytes(encoded(PHOTO))
    command = [sys.executable, "-I", script.name, "photo.png", "result.png"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.endswith("srcnn-x2.onnx; export writes it beside the script\n")
    assert ended.stderr.count("\n") == 1
    shutil.copy(script.with_name("srcnn-x2.onnx"), tmp_path)
    (tmp_path / "photo.png").write_bytes(encoded(PHOTO, exif=oriented(6)))
    subprocess.run(command, cwd=tmp_path, check=True)
    assert Image.open(tmp_path / "result.png").size == (96, 128)


@pytest.mark.skipif(sys.platform != "linux", reason="it is there that ONNX Runtime keeps them")
def test_nothing_is_kept_to_be_reported(script: Path, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray(textured_pixels(20, 24, 1)).save(photo)
    package = "from srcnn_mlflow.network import upscaler; upscaler.Upscaler(sys.argv[1])"
    commands = {
        "script": [str(script), str(photo), str(tmp_path / "large.png")],
        "package": ["-c", f"import sys; {package}", str(shipped_network(2))],
    }
    for name, command in commands.items():
        home = tmp_path / name
        home.mkdir()
        left = {key: os.environ[key] for key in ("PATH", "PYTHONPATH") if key in os.environ}
        subprocess.run([sys.executable, *command], env={**left, "HOME": str(home)}, check=True)
        assert not list(home.rglob("*onnxruntime*"))
