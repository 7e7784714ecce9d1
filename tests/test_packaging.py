"""What is built to be installed: complete, typed, and with the functions that one may call."""

import importlib
import importlib.metadata
import inspect
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import srcnn_mlflow
from srcnn_mlflow.network.shipped import SHIPPED_NAMES
from tests.conftest import ROOT, sampled

BUILD = "import sys; from setuptools import build_meta; print(build_meta.{}(sys.argv[1]))"
VERSIONS = ("3.11", "3.12", "3.13")
# Names and defaults of what the site lists; a change here breaks somebody's program.
SIGNATURES = {
    "srcnn_mlflow.network.shipped.shipped_network": "(scale, name='shipped')",
    "srcnn_mlflow.network.upscaler.Upscaler": "(model, precision='float32')",
    "srcnn_mlflow.network.upscaler.Upscaler.sharpen": "(self, bicubic)",
    "srcnn_mlflow.network.upscaler.Upscaler.upscale_luma": "(self, plane)",
    "srcnn_mlflow.network.upscaler.Upscaler.upscale_image": "(self, image)",
    "srcnn_mlflow.network.upscaler.Upscaler.upscale_pixels": "(self, pixels)",
    "srcnn_mlflow.measuring.metrics.psnr": "(target, prediction, border=0)",
    "srcnn_mlflow.measuring.metrics.ssim": "(target, prediction, border=0)",
    "srcnn_mlflow.measuring.metrics.bias": "(target, prediction, border=0)",
    "srcnn_mlflow.pictures.imaging.luma": "(image)",
    "srcnn_mlflow.pictures.imaging.mod_crop": "(plane, scale)",
    "srcnn_mlflow.pictures.imaging.downscale": "(plane, scale)",
    "srcnn_mlflow.pictures.imaging.upscale": "(plane, scale)",
    "srcnn_mlflow.pictures.datasets.load_dataset": "(name, keep=None, gate_split=False)",
    "srcnn_mlflow.commands.evaluate.evaluate": (
        "(scale, model, dataset, split, border, ensemble=False, pictures=None, gate_split=False, "
        "results=None)"
    ),
    "srcnn_mlflow.commands.compare.compare": "(models, dataset, split, gate_split=False)",
    "srcnn_mlflow.commands.benchmark.benchmark": "(models, sets, precision='float32')",
    "srcnn_mlflow.commands.promote.promote": (
        "(scale, version, dataset, split='test', gate_split=False, known=None)"
    ),
    "srcnn_mlflow.commands.export.export": "(scale, model, output)",
}


def listed() -> Iterator[str]:
    """The functions that the site lists, and the methods of its classes."""
    page = (ROOT / "docs/reference/python.md").read_text(encoding="utf-8")
    for name, members in re.findall(
        r"^::: (\S+)\n(?:    options:\n      members: \[(.*)\])?", page, re.MULTILINE
    ):
        yield name
        yield from (f"{name}.{member}" for member in members.split(", ") if member)


def found(name: str) -> object:
    """What a dotted name is."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            thing: object = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            thing = getattr(thing, part)
        return thing
    raise AssertionError(name)


def test_the_public_functions_keep_their_parameters() -> None:
    signatures = {}
    for name in listed():
        of = inspect.signature(found(name))  # type: ignore[arg-type]
        plain = [one.replace(annotation=one.empty) for one in of.parameters.values()]
        signatures[name] = str(inspect.Signature(plain))
    assert signatures == SIGNATURES


def checkout(folder: Path) -> Path:
    """What git tracks or would, in a folder of its own."""
    listed = ("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(("tests/", "docs/", "benchmarks/")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    return folder


def built(kind: str, source: Path, target: Path) -> Path:
    """Build a wheel or an sdist, with the setuptools that is here."""
    done = subprocess.run(
        [sys.executable, "-c", BUILD.format(f"build_{kind}"), str(target)],
        cwd=source,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return target / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    return built("sdist", checkout(folder / "checkout"), folder)


@pytest.fixture(scope="module")
def wheel(sdist: Path) -> Path:
    """Built from what the sdist holds, which then is all that it takes."""
    with tarfile.open(sdist) as archive:
        archive.extractall(sdist.parent, filter="data")
    return built("wheel", sdist.parent / sdist.name.removesuffix(".tar.gz"), sdist.parent)


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_what_it_reads(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = next(name for name in names if name.endswith("METADATA"))
        text = archive.read(metadata).decode()
    package = ROOT / "srcnn_mlflow"
    kept = {
        str(path.relative_to(ROOT))
        for path in package.glob("**/*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if name.startswith("srcnn_mlflow/")} == kept
    assert "srcnn_mlflow/py.typed" in names
    extras = set(re.findall(r"^Provides-Extra: (\S+)$", text, re.MULTILINE))
    assert {"bfloat16", "docs", "heif", "server", "spark", "test"} <= extras
    assert f"\nVersion: {srcnn_mlflow.__version__}\n" in text
    assert "\nRequires-Python: >=3.11\n" in text


def python(version: str) -> str:
    """The program, on the path or among pyenv's; skips the test where there is none."""
    pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    program = shutil.which(f"python{version}")
    for one in filter(None, [program, *map(str, pyenv)]):
        if subprocess.run([one, "-c", ""], capture_output=True).returncode == 0:
            return one
    pytest.skip(f"needs Python {version}")


def installed(wheel: Path, version: str, folder: Path, *options: str) -> Path:
    """An environment with the wheel in it; gives the folder of its programs."""
    subprocess.run([python(version), "-m", "venv", "--without-pip", folder], check=True)
    target = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", target, "install", "--quiet")
    subprocess.run([*pip, *options, wheel], check=True)
    return folder / "bin"


def answer(program: Path, *words: str, folder: Path) -> str:
    done = subprocess.run([program, *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("version", sampled(VERSIONS))
def test_the_wheel_runs_where_nothing_else_of_the_checkout_is(
    wheel: Path, version: str, tmp_path: Path
) -> None:
    """Its requirements are those of this environment: they are large, and tested elsewhere."""
    programs = installed(wheel, version, tmp_path / "env", "--no-deps", "--no-index")
    (packages,) = (tmp_path / "env").glob("lib/python*/site-packages")
    # Another version of Python can import what is written in Python alone.
    borrowed = [one for one in sys.path if one.endswith("site-packages")]
    (packages / "borrowed.pth").write_text("\n".join(borrowed))
    place = "import srcnn_mlflow; print(srcnn_mlflow.__file__)"
    assert answer(programs / "python", "-c", place, folder=tmp_path).startswith(str(packages))
    help_page = answer(programs / "srcnn-mlflow", "train", "-h", folder=tmp_path)
    assert "--max-minutes" in help_page
    compiled = ("-m", "compileall", "-q", "-f", str(packages / "srcnn_mlflow"))
    assert answer(programs / "python", *compiled, folder=tmp_path) == ""
    if version == ".".join(map(str, sys.version_info[:2])):
        enlarge(programs, tmp_path)


def enlarge(programs: Path, folder: Path) -> None:
    """Every network that ships is there."""
    code = (
        "import numpy as np\n"
        "from srcnn_mlflow.network.shipped import SHIPPED_NAMES, shipped_network\n"
        "from srcnn_mlflow.network.upscaler import Upscaler\n"
        "for name in SHIPPED_NAMES:\n"
        "    plane = np.zeros((9, 8), np.uint8)\n"
        "    print(Upscaler(shipped_network(2, name)).upscale_luma(plane).shape)\n"
    )
    told = answer(programs / "python", "-c", code, folder=folder)
    assert told.splitlines() == ["(18, 16)"] * len(SHIPPED_NAMES)


@pytest.mark.exhaustive
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("version", VERSIONS)
def test_the_wheel_installs_with_all_that_it_requires(
    wheel: Path, version: str, tmp_path: Path
) -> None:
    programs = installed(wheel, version, tmp_path / "env")
    assert srcnn_mlflow.__version__ in answer(
        programs / "srcnn-mlflow", "--version", folder=tmp_path
    )
    enlarge(programs, tmp_path)
