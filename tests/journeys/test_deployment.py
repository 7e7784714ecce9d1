"""The page "Deployment": its files, and its nginx in front of a real `serve` that has no torch."""

import base64
import json
import os
import re
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import BIN, ROOT, free_port, put_store, without
from tests.serving.asking import PICTURE, large, pixels_of, png, rows, serving
from tests.team import bash, nginx, started

PAGE = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
FILES = ROOT / "docs" / "serve"
(SETTINGS,) = re.findall(r"```ini\n(.*?)```", PAGE, re.DOTALL)
(SITE,) = re.findall(r"```nginx\n(.*?)```", PAGE, re.DOTALL)
_SURROUNDINGS = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;{user}
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    include {folder}/upscale;
}}
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[str]:
    """`serve` as the container has it: no registered version, and nothing that imports torch."""
    folder = tmp_path_factory.mktemp("deployed")
    (folder / "torch.py").write_text("raise ImportError('a container has none')\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", put_store(empty_store, folder))
        with serving(folder, PYTHONPATH=f"{folder}{os.pathsep}{ROOT}") as address:
            yield address


@pytest.fixture(scope="module")
def proxy(service: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """nginx with the configuration of the page before it."""
    program, folder, port = nginx(), tmp_path_factory.mktemp("nginx"), free_port()
    made = bash(
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost "
        "-addext subjectAltName=DNS:localhost -keyout upscale.key -out upscale.crt",
        folder,
        dict(os.environ),
    )
    assert made.returncode == 0, made.stderr
    site = SITE
    for words, instead in {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "upscale.example.org": "localhost",
        "/etc/ssl/": f"{folder}/",
        "http://127.0.0.1:5001": service,
    }.items():
        assert words in site
        site = site.replace(words, instead)
    (folder / "upscale").write_text(site)
    user = " user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(_SURROUNDINGS.format(folder=folder, user=user))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(folder / "upscale.crt"))
        with started(
            *(program, "-e", folder / "error.log", "-c", folder / "nginx.conf"),
            cwd=folder,
            environment=dict(os.environ),
            healthy=f"https://localhost:{port}/health",
            log=folder / "nginx.log",
        ):
            yield f"https://localhost:{port}"


def ask(address: str, body: bytes | None = None, kind: str = "image/png") -> tuple[int, bytes]:
    request = urllib.request.Request(address, body, {"Content-Type": kind} if body else {})
    try:
        context = ssl.create_default_context()
        with urllib.request.urlopen(request, timeout=60, context=context) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_the_proxy_lets_in_what_is_for_clients_and_as_much_as_it_should(proxy: str) -> None:
    status, body = ask(f"{proxy}/upscale", png(PICTURE))
    assert (status, pixels_of(body).shape) == (200, (80, 100, 3))
    status, answer = ask(f"{proxy}/invocations", rows(png(PICTURE)), "application/json")
    (made,) = json.loads(answer)["predictions"]
    np.testing.assert_array_equal(pixels_of(base64.b64decode(made["image"])), pixels_of(body))
    # Of the service's own limits, nginx tells none by itself.
    assert ask(f"{proxy}/upscale", large(2100))[0] == 400
    assert ask(f"{proxy}/upscale", bytes(40_000_000))[0] == 413
    for place, expected in (("", 200), ("versions", 200), ("health", 200), ("metrics", 404)):
        assert ask(f"{proxy}/{place}")[0] == expected
    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda _: ask(f"{proxy}/upscale", b"no picture")[0], range(30)))
    assert set(answers) == {400, 429}
    assert answers.count(429) > 10


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    unit = (FILES / "srcnn-serve.service").read_text(encoding="utf-8")
    ((program, arguments),) = re.findall(r"^ExecStart=(\S+) (.*)$", unit, re.MULTILINE)
    assert program == "/opt/srcnn-mlflow/.venv/bin/srcnn-mlflow"
    assert arguments == "serve --scale 2+4 --port 5001"
    assert "EnvironmentFile=/etc/srcnn/serve.env" in unit
    assert set(re.findall(r"^(\w+)=", SETTINGS, re.MULTILINE)) >= {"MLFLOW_TRACKING_URI"}
    # The models' processes must not end before what they are asked is answered.
    assert "KillMode=mixed" in unit
    copy = tmp_path / "srcnn-serve.service"
    copy.write_text(unit.replace(program, str(BIN / "python")))
    try:
        done = subprocess.run(
            ["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        without("needs systemd-analyze", "SERVERS")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_container_has_what_is_pinned_but_torch(tmp_path: Path) -> None:
    recipe = (FILES / "Containerfile").read_text(encoding="utf-8")
    (wanted,) = re.findall(r"^RUN (grep .*?) \\$", recipe, re.MULTILINE)
    (tmp_path / "requirements.txt").write_text((ROOT / "requirements.txt").read_text())
    assert bash(wanted, tmp_path, dict(os.environ)).returncode == 0
    everything, serving_alone = (
        {line for line in (tmp_path / name).read_text().splitlines() if "==" in line}
        for name in ("requirements.txt", "serving.txt")
    )
    assert [line.split("==")[0] for line in everything - serving_alone] == ["torch"]
    ignored = (FILES / "Containerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    copied = re.findall(r"^COPY (.*) \S+$", recipe, re.MULTILINE)
    for name in " ".join(copied).split():
        assert (ROOT / name).exists()
        assert f"!{name}" in ignored
    assert "docker build --file docs/serve/Containerfile" in PAGE
    assert json.loads(recipe.rsplit("ENTRYPOINT ", 1)[1])[:2] == ["srcnn-mlflow", "serve"]
    # What Docker waits for, without being told, is ten seconds.
    (patience,) = re.findall(r"--stop-timeout (\d+)", PAGE)
    unit = (FILES / "srcnn-serve.service").read_text(encoding="utf-8")
    assert f"TimeoutStopSec={patience}\n" in unit


def test_the_containers_health_check_asks_the_service_and_no_proxy(service: str) -> None:
    recipe = (FILES / "Containerfile").read_text(encoding="utf-8")
    (check,) = re.findall(r"^HEALTHCHECK .*CMD (\[.*\])$", recipe, re.MULTILINE)
    assert "http://127.0.0.1:5001" in check
    environment = {**os.environ, "http_proxy": f"http://127.0.0.1:{free_port()}", "no_proxy": ""}
    for address, healthy in ((service, True), (f"http://127.0.0.1:{free_port()}", False)):
        command = [BIN / "python", *json.loads(check.replace("http://127.0.0.1:5001", address))[1:]]
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
        assert (done.returncode == 0) == healthy
