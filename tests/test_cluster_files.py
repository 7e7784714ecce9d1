"""The files for clusters start what there is: every option of their commands is one."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, context_of

FOLDER = ROOT / "docs" / "cluster"


def job_command() -> str:
    documents = list(yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text(encoding="utf-8")))
    (job,) = [one for one in documents if one["kind"] == "Job"]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    (command,) = container["args"]
    return str(command)


def script_command() -> str:
    text = (FOLDER / "train.slurm").read_text(encoding="utf-8")
    (command,) = re.findall(r"^srun (torchrun .*)", text.replace("\\\n", " "), re.MULTILINE)
    return str(command)


@pytest.mark.parametrize("command", [job_command, script_command])
def test_its_command_is_one_that_is_understood(command: object) -> None:
    assert callable(command)
    words = shlex.split(command())
    assert words[0] == "torchrun"
    given = words[words.index("srcnn_mlflow") + 1 :]
    assert given[0] == "train"
    context = context_of("train", given[1:])
    assert context.params["resume"] == "auto"
    assert context.params["batch_size"] == 256


def test_pods_meet_at_the_first_of_them() -> None:
    documents = list(yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text(encoding="utf-8")))
    service, job = documents
    name, template = job["metadata"]["name"], job["spec"]["template"]["spec"]
    assert service["spec"]["selector"] == {"job-name": name}
    assert template["subdomain"] == service["metadata"]["name"]
    (port,) = service["spec"]["ports"]
    assert f"{name}-0.{service['metadata']['name']}:{port['port']}" in job_command()
    mounted = {one["name"] for one in template["containers"][0]["volumeMounts"]}
    assert mounted == {one["name"] for one in template["volumes"]}


def test_the_script_is_one() -> None:
    path: Path = FOLDER / "train.slurm"
    subprocess.run(["bash", "-n", str(path)], check=True)
    assert path.read_text(encoding="utf-8").startswith("#!/bin/bash\n")
