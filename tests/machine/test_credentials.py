"""Credentials are left out of whatever is told, by their values and by their places."""

import json
import logging
import sys
from urllib.parse import quote, quote_plus

import pytest

from srcnn_mlflow.machine.credentials import without_credentials
from srcnn_mlflow.machine.messages import no_credentials_shown

SECRET = "hunter2/T&h:e@Great+1 %"


def everywhere(secret: str) -> list[str]:
    """Sentences that libraries might write around a secret."""
    return [
        f"it is {secret}",
        f"https://host/{quote(secret)}?x={quote(secret, safe='')}",
        f"x={quote_plus(secret)}; {json.dumps({'x': secret})}; { ({'x': secret})!r}",
        f"<b>{secret.replace('&', '&amp;')}</b>",
    ]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MLFLOW_TRACKING_PASSWORD", SECRET),
        ("MLFLOW_TRACKING_TOKEN", SECRET),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_SESSION_TOKEN", SECRET),
        ("PGPASSWORD", SECRET),
        ("MLFLOW_TRACKING_URI", f"http://me:{SECRET}@host:5000"),
        ("MLFLOW_TRACKING_URI", f"http://me:{quote(SECRET, safe='')}@host:5000"),
        ("MLFLOW_REGISTRY_URI", f"postgresql://host/db?user=me&password={quote(SECRET, safe='')}"),
        ("HTTPS_PROXY", f"http://me:{SECRET}@proxy:3128"),
        ("SRCNN_SETS_ADDRESS", f"https://{quote(SECRET, safe='')}@mirror/sets"),
    ],
)
def test_what_the_environment_holds_is_known_wherever_it_is_written(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    for text in (*everywhere(SECRET), f"cannot open {value}/x"):
        shown = without_credentials(text)
        assert "hunter2" not in shown
        assert "Great" not in shown


def test_what_the_command_line_holds_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["x", "--storage", "postgresql://me:hunter2@host/db"])
    assert without_credentials("no login of hunter2") == "no login of ***"


@pytest.mark.parametrize(
    "text",
    [
        "X-Amz-Signature=hunter2&X-Amz-Credential=hunter2%2F2026&X-Amz-Security-Token=hunter2",
        "https://host/x?sv=2026&sig=hunter2",
        "DefaultEndpointsProtocol=https;AccountName=me;AccountKey=hunter2;",
        "host=h password='hunter2 and more' user=me",
        '{"Authorization": "Basic hunter2"}',
        "Authorization: Bearer hunter2",
        "{'aws_secret_access_key': 'hunter2'}",
        "ftp://me:hun/ter2@host",
    ],
)
def test_what_was_never_given_is_known_by_its_place(text: str) -> None:
    shown = without_credentials(text)
    assert "hunter2" not in shown
    assert "hun/ter2" not in shown


@pytest.mark.parametrize(
    "text",
    [
        "srcnn-mlflow upscale --model models:/srcnn-x2@champion, at 12.34 dB",
        "http://host:5000/#/experiments/0/runs and https://host/a@2x.png",
        "give the password: PGPASSWORD, or ~/.pgpass",
        '{"epochs": 1000, "tokens": 3}',
    ],
)
def test_other_texts_stay_as_they_are(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "mlflow")
    monkeypatch.setenv("SOME_TOKEN", "12.3")
    monkeypatch.setenv("OTHER_TOKEN", "1000")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "champion")
    monkeypatch.setenv("HTTP_PROXY", "http://upscale:upscale@proxy")
    assert without_credentials(text) == text


def test_streams_show_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hunter2@host:5000")
    with no_credentials_shown():
        print("View run at: http://me:hunter2@host:5000/#/")
        sys.stderr.writelines(["hunter2\n"])
        logging.StreamHandler().emit(logging.makeLogRecord({"msg": "of hunter2"}))
    shown = capsys.readouterr()
    assert shown.out == "View run at: http://host:5000/#/\n"
    assert shown.err == "***\nof ***\n"
