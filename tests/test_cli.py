"""Commands and their errors: one line that says what is wrong and what to do."""

import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

from srcnn_mlflow import cli
from tests.conftest import ROOT, put_store, run_command, sampled, textured_pixels

Invoke = Callable[..., tuple[int, str, str]]


@pytest.fixture
def invoke(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    empty_store: Path,
) -> Invoke:
    """Run a command in this process, in an empty folder; gives exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, tmp_path))

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["srcnn-mlflow", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return call


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["train", "--scale", "abc"], "'--scale': 'abc' is not one of '2', '3', '4'."),
        (["train", "--scale", "5"], "'--scale': '5' is not one of '2', '3', '4'."),
        (["train", "--epochs", "0"], "'--epochs': '0' is not a whole number from 1 to 1000000."),
        (["train", "--lr", "fast"], "'--lr': 'fast' is not a number above 0 and at most 1e+18."),
        (["train", "--lr", "-1"], "'--lr': '-1' is not a number above 0 and at most 1e+18."),
        (
            ["train", "--max-minutes", "soon"],
            "'soon' is not a number above 0 and at most 1000000. It may also be 'none'.",
        ),
        (["train", "--train-images", "few"], "It may also be 'all'."),
        (["train", "--residual", "perhaps"], "'perhaps' is not a valid boolean"),
        (["train", "--colour", "red"], "No such option '--colour'"),
        (
            ["evaluate", "--split", "last"],
            "'last' is not one of 'train', 'valid', 'test', 'all', 'gate'.",
        ),
        (["upscale"], "Missing option '--input'"),
        (["flip"], "No such command 'flip'"),
    ],
)
def test_wrong_parameters_are_named_in_one_line(
    invoke: Invoke, arguments: list[str], says: str
) -> None:
    code, _, errors = invoke(*arguments)
    assert code == 2
    assert errors.startswith("error: ")
    assert says in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["train", "--dataset", "kodak"], "data set 'kodak' is not a folder that exists (/"),
        (["prepare", "--dataset", "../none"], "data set '../none' is not a folder that exists"),
        (
            ["prepare", "--patch-size", "5000"],
            "data set samples holds a patch of 5000x5000",
        ),
        (["train", "--patch-size", "16"], "with padding none and architecture 9-5-5; use at least"),
        (["train", "--device", "cuda"], "torch finds no GPU here; use device=cpu or auto"),
        (["train", "--resume", "abc"], "run abc cannot be resumed"),
        (["evaluate"], "the registry has no version of srcnn-x2; train one with scale=2 first"),
        (["evaluate", "--model", "champion"], "the registry has no champion of srcnn-x2"),
        (["evaluate", "--model", "models:/nothing/1"], "there is no model models:/nothing/1"),
        (["evaluate", "--model", "."], " is not an MLflow model"),
        (["promote", "--version", "7"], "there is no model models:/srcnn-x2/7"),
        (["promote", "--version", "best"], "'best' is not challenger, a number or previous"),
        (["promote", "--version", "previous"], "srcnn-x2 has had no earlier champion"),
        (["upscale", "--input", "none.png"], "/none.png does not exist; give a picture"),
        (["upscale", "--input", "."], "holds no picture that is read"),
        (["results"], "nothing has been evaluated yet"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    invoke: Invoke, arguments: list[str], says: str
) -> None:
    code, _, errors = invoke(*arguments)
    assert code == 1
    lines = [line for line in errors.splitlines() if not line.startswith("20")]  # MLflow's log
    assert lines[-1].startswith("error: ")
    assert says in lines[-1]
    assert "Traceback" not in errors


def test_a_broken_store_is_made_again(invoke: Invoke) -> None:
    assert invoke("prepare")[0] == 0
    (path,) = Path("data/prepared").glob("*.h5")
    contents = bytearray(path.read_bytes())
    contents[-10_000] ^= 255
    path.write_bytes(contents)
    code, output, _ = invoke("prepare")
    assert code == 0
    assert f"{path} is damaged, so it is made again" in output


def test_upscale_works_before_any_training(invoke: Invoke, tmp_path: Path) -> None:
    Image.fromarray(textured_pixels(30, 40, 1)).save(tmp_path / "photo.png")
    code, output, _ = invoke("upscale", "--input", "photo.png", "--scale", "3", "--compare", "true")
    assert code == 0
    assert "no champion yet, so the shipped weights are used" in output
    assert "upscaled/comparison-x3.html" in output
    assert sorted(path.name for path in Path("upscaled").iterdir()) == [
        "comparison-x3.html",
        "photo-x3-bicubic.png",
        "photo-x3.png",
    ]
    assert Image.open("upscaled/photo-x3.png").size == (120, 90)


@pytest.mark.parametrize(
    ("command", "place"),
    sampled(
        [
            (["upscale", "--model", "shipped", "--input", "photo.png", "--output", "out"], "out"),
            (
                ["upscale", "--model", "shipped", "--input", "photo.png", "--output", "out/a.png"],
                "out",
            ),
            (["export", "--model", "shipped", "--output", "out"], "out"),
            (["prepare"], "data"),
            (["train"], "data"),
            (["evaluate", "--model", "shipped"], "mlruns"),
        ],
        2,
    ),
)
@pytest.mark.slow
def test_a_dangling_link_where_a_command_writes_is_named(
    invoke: Invoke, tmp_path: Path, command: list[str], place: str
) -> None:
    Image.fromarray(textured_pixels(30, 40, 1)).save(tmp_path / "photo.png")
    (tmp_path / place).symlink_to("nowhere")
    code, _, errors = invoke(*command)
    assert code == 1
    told = f"{tmp_path}/{place} is a link to nowhere, which does not exist; move it away"
    assert told in errors.splitlines()[-1]


def test_output_that_cannot_be_written_is_named(invoke: Invoke, tmp_path: Path) -> None:
    Image.fromarray(textured_pixels(30, 40, 1)).save(tmp_path / "photo.png")
    code, _, errors = invoke("upscale", "--input", "photo.png", "--output", "photo.png/deeper")
    assert code == 1
    told = f"error: cannot write {tmp_path}/photo.png/deeper/"
    assert errors.splitlines()[-1].startswith(told)
    code, _, errors = invoke("upscale", "--input", "photo.png", "--output", "result.jpg")
    assert code == 1
    assert "/result.jpg would be a PNG file; give a name that ends in .png" in errors


def test_interrupted_commands_say_so(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.cli, "main", interrupt)
    assert invoke("prepare")[0] == 130


def test_help_names_every_entry_point(tmp_path: Path) -> None:
    result = run_command("--help", cwd=tmp_path)
    assert result.returncode == 0
    commands = ("main", "prepare", "train", "evaluate", "compare", "promote", "upscale", "results")
    for command in commands:
        assert f"  {command} " in result.stdout


@pytest.mark.parametrize("name", sorted(cli.cli.commands))
def test_every_command_has_a_module_of_its_name(name: str) -> None:
    assert find_spec(f"srcnn_mlflow.commands.{name.replace('-', '_')}") is not None


def test_help_imports_neither_torch_nor_mlflow() -> None:
    code = (
        "import sys; sys.argv = ['srcnn-mlflow', 'train', '--help']\n"
        "from srcnn_mlflow.cli import main\n"
        "try:\n    main()\n"
        "finally:\n    assert not {'torch', 'mlflow', 'numpy'} & set(sys.modules)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_upscaling_with_shipped_weights_leaves_no_database(tmp_path: Path) -> None:
    Image.fromarray(textured_pixels(30, 40, 1)).save(tmp_path / "photo.png")
    result = run_command("upscale", "--input", "photo.png", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photo.png", "upscaled"]
