"""The files that name environments and parameters, held against each other."""

import ast
import re
import tomllib
from typing import Any

import click
import pytest
import yaml
from packaging.requirements import Requirement

import srcnn_mlflow
from srcnn_mlflow import parameters
from srcnn_mlflow.cli import cli
from srcnn_mlflow.commands.train_request import TrainRequest
from srcnn_mlflow.machine.text import as_text
from srcnn_mlflow.training.settings import TrainingSettings
from tests.conftest import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PYPROJECT["optional-dependencies"]
MLPROJECT = yaml.safe_load((ROOT / "MLproject").read_text())
ENTRY_POINTS = MLPROJECT["entry_points"]


def pins(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text().splitlines()
    found = [line.split("==") for line in lines if "==" in line]
    return {Requirement(package).name.lower(): version for package, version in found}


def test_every_dependency_is_pinned_within_its_range() -> None:
    for file, requirements in (
        ("requirements.txt", PYPROJECT["dependencies"]),
        ("requirements-test.txt", [*EXTRAS["test"], *EXTRAS["docs"]]),
    ):
        pinned = pins(file)
        assert sorted(pinned) == sorted(Requirement(text).name.lower() for text in requirements)
        for text in requirements:
            requirement = Requirement(text)
            version = pinned[requirement.name.lower()]
            assert requirement.specifier.contains(version), f"{text} excludes {version}"


def test_both_environment_files_take_the_pins() -> None:
    python_env = yaml.safe_load((ROOT / "python_env.yaml").read_text())
    conda = yaml.safe_load((ROOT / "conda.yaml").read_text())
    assert python_env["dependencies"] == ["-r requirements.txt"]
    assert "python" not in python_env
    assert conda["dependencies"][-1] == {"pip": ["-r requirements.txt"]}
    assert MLPROJECT["python_env"] == "python_env.yaml"
    python = next(one for one in conda["dependencies"] if str(one).startswith("python="))
    assert Requirement(f"python{PYPROJECT['requires-python']}").specifier.contains(
        python.removeprefix("python=")
    )


def test_what_is_imported_is_required() -> None:
    imported = set()
    for path in (ROOT / "srcnn_mlflow").glob("**/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.split(".")[0])
    packages = {
        **{"PIL": "pillow", "skimage": "scikit-image", "sklearn": "scikit-learn"},
        "pillow_heif": "pillow-heif",
    }
    import sys

    needed = {packages.get(name, name) for name in imported - sys.stdlib_module_names}
    extras = PYPROJECT["optional-dependencies"]
    optional = [*extras["bfloat16"], *extras["heif"]]
    assert needed - {"srcnn_mlflow"} <= {
        Requirement(text).name for text in (*PYPROJECT["dependencies"], *optional)
    }


def options(command: str) -> dict[str, click.Parameter]:
    return {
        option.opts[0].removeprefix("--").replace("-", "_"): option
        for option in cli.commands[command].params
    }


def default(option: click.Parameter) -> Any:
    value = option.get_default(click.Context(cli))
    return as_text(value) if value is not None else None


@pytest.mark.parametrize("entry_point", sorted(ENTRY_POINTS))
def test_entry_points_are_the_commands_with_the_same_defaults(entry_point: str) -> None:
    declared = ENTRY_POINTS[entry_point]["parameters"]
    available = options(entry_point)
    assert set(declared) == set(available)
    for name, declaration in declared.items():
        expected = declaration.get("default")
        assert expected != ""
        if available[name].required:
            assert expected is None
        else:
            assert expected == default(available[name]), name


def test_every_command_is_an_entry_point_but_those_that_look_after_things() -> None:
    of_experiments = {"export", "import-weights", "leaderboard", "results", "send"}
    only_commands = {*of_experiments, "move-models", "tidy", "where", "clean"}
    assert set(cli.commands) == set(ENTRY_POINTS) | only_commands


@pytest.mark.parametrize("entry_point", sorted(ENTRY_POINTS))
def test_entry_points_hand_every_parameter_on(entry_point: str) -> None:
    command = ENTRY_POINTS[entry_point]["command"]
    assert command.startswith(f"python -m srcnn_mlflow {entry_point} ")
    handed = dict(re.findall(r"--([a-z-]+) \{(\w+)\}", command))
    assert {key.replace("-", "_"): key.replace("-", "_") for key in handed} == {
        name: name for name in handed.values()
    }
    assert set(handed.values()) == set(ENTRY_POINTS[entry_point]["parameters"])


def test_a_training_logs_the_parameters_of_its_entry_point() -> None:
    request = TrainRequest(2, "samples", 33, 14, None, TrainingSettings())
    logged = request.logged("auto")
    declared = {
        name: declaration["default"]
        for name, declaration in ENTRY_POINTS["train"]["parameters"].items()
    }
    assert {name: as_text(value) for name, value in logged.items()} == declared
    assert TrainRequest.from_parameters(request.parameters()) == request


def test_main_trains_with_the_defaults_of_train() -> None:
    for name, declaration in ENTRY_POINTS["main"]["parameters"].items():
        assert declaration == ENTRY_POINTS["train"]["parameters"][name]


def test_choices_on_the_command_line_are_those_of_the_package() -> None:
    from srcnn_mlflow.pictures import datasets

    assert set(parameters.SPLITS) == {*datasets.SPLITS, datasets.GATE, "all"}


def test_the_version_is_that_of_the_changelog() -> None:
    headings = re.findall(r"^## (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert headings[0] == citation["version"] == srcnn_mlflow.__version__


def test_the_map_for_contributors_names_what_is_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = set(re.findall(r"`((?:[\w.]+/)*[\w]+(?:\.py|\.md|/))`", text))
    assert len(named) > 20
    for name in named:
        assert any((folder / name).exists() for folder in (ROOT, ROOT / "srcnn_mlflow")), name
    wings = {path.parent.name for path in (ROOT / "srcnn_mlflow").glob("*/__init__.py")}
    assert {f"{wing}/" for wing in wings - {"former_names"}} <= named


def test_continuous_integration_runs_the_script_of_the_checkout() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    (job,) = workflow["jobs"].values()
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    assert "bash .ci/run" in [step.get("run") for step in job["steps"]]
