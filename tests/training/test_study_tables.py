"""Studies are read as they are written, or refused with the place that is wrong."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from srcnn_mlflow.machine.errors import StudyTableError
from srcnn_mlflow.study_option import training_value
from srcnn_mlflow.training.settings import RECIPE, REPORT
from srcnn_mlflow.training.study_tables import StudyTable, find_study, plain_name, study_names

SHIPPED = ("channels", "data", "depth", "filters", "kernels", "recipe")
ONE = '[[setting]]\nname = "a"\n'


def trains_channels() -> bool:
    try:
        training_value("channels", "y")
    except StudyTableError:
        return False
    return True


def shipped(name: str) -> StudyTable:
    if name == "channels" and not trains_channels():
        pytest.skip("needs the setting channels")
    return find_study(name, training_value)


def read(folder: Path, text: str) -> StudyTable:
    (folder / "my.toml").write_text(text, encoding="utf-8")
    return find_study(str(folder / "my.toml"), training_value)


def test_six_studies_come_with_the_package() -> None:
    assert study_names() == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_a_study_that_comes_with_the_package_says_what_it_asks(name: str) -> None:
    study = shipped(name)
    assert study.about.endswith(".")
    assert len(study.settings) > 2
    assert len({str(one.values) for one in study.settings}) == len(study.settings)
    for one in study.settings:
        assert one.published is None or "Dong et al." in one.published.source


@pytest.mark.parametrize("name", ["filters", "kernels", "depth", "data"])
def test_the_first_setting_is_the_papers_network(name: str) -> None:
    first = shipped(name).settings[0]
    assert first.values["architecture"] == "9-1-5"
    assert first.published is not None


def test_the_channels_are_those_of_the_paper() -> None:
    assert [one.values["channels"] for one in shipped("channels").settings] == [
        *("y", "ycbcr", "rgb")
    ]


def test_the_recipe_is_taken_apart_one_setting_at_a_time() -> None:
    first, *single, last = shipped("recipe").settings
    ours, theirs = asdict(RECIPE), asdict(REPORT)
    differing = {
        name: value for name, value in theirs.items() if ours[name] != value and name != "epochs"
    }
    assert first.values == {}
    assert last.values == differing
    assert [len(one.values) for one in single] == [1] * len(differing)
    assert {**{k: v for one in single for k, v in one.values.items()}} == differing


def test_settings_are_what_all_share_and_what_each_has(tmp_path: Path) -> None:
    study = read(
        tmp_path,
        """
        about = "What is
        asked."
        [common]
        architecture = "9-1-5:64-32"
        lr = 3e-4
        [[setting]]
        name = "first"
        [[setting]]
        name = "t91+bsd200 at x"
        dataset = "t91+bsd200"
        lr = 0.0012345678
        residual = false
        gradient_clip = "none"
        published = { set5 = { x3 = 32.39 }, source = "a  paper" }
        """.replace("What is\n        asked", "What is asked"),
    )
    first, second = study.settings
    assert (study.name, study.about) == ("my", "What is asked.")
    assert str(study) == str(tmp_path / "my.toml")
    assert first.values == {"architecture": "9-1-5", "lr": 0.0003}
    assert second.values == {
        "architecture": "9-1-5",
        "lr": 0.0012345678,
        "dataset": "t91+bsd200",
        "residual": False,
        "gradient_clip": None,
    }
    assert second.published is not None
    assert (second.published.psnr, second.published.source) == ({("set5", 3): 32.39}, "a paper")


WRONG: dict[str, tuple[str, str]] = {
    "empty": ("", "has no setting; write at least one"),
    "no TOML": ("a = = b", "is no TOML: "),
    "half a TOML": ("[[setting]", "is no TOML: "),
    "an unknown part": (f"sets = 1\n{ONE}", "'sets' is not one of about, common, setting"),
    "no tables": ("setting = [1, 2]", "write each setting below a line [[setting]]"),
    "a table alone": ('[setting]\nname = "a"', "write each setting below a line [[setting]]"),
    "common is none": (f"common = 3\n{ONE}", "common a table"),
    "about is none": (f"about = 3\n{ONE}", "about has to be a sentence"),
    "no name": ("[[setting]]\nlr = 0.1", "a setting's name None is none"),
    "a number as name": ("[[setting]]\nname = 3", "a setting's name 3 is none"),
    "an empty name": ('[[setting]]\nname = ""', "a setting's name '' is none"),
    "a path as name": ('[[setting]]\nname = "a/../b"', "a setting's name 'a/../b' is none"),
    "two lines as name": ('[[setting]]\nname = "a\\nb"', "a setting's name 'a\\nb' is none"),
    "a name twice": (ONE + ONE, "'a' and 'a' have one name"),
    "names alike": (
        '[[setting]]\nname = "a+b"\n[[setting]]\nname = "a b"\nlr = 0.1',
        "'a+b' and 'a b' have one name, or are told apart by signs alone",
    ),
    "an unknown setting": (f"{ONE}archtecture = '9-5-5'", "no setting 'archtecture', but archit"),
    "an unknown common one": (
        f"[common]\nlrr = 1\n{ONE}",
        "my.toml, a: train has no setting 'lrr'",
    ),
    "the study's own": (f"{ONE}seed = 3", "seed is given to the study itself"),
    "the study's scale": (f"{ONE}scale = 3", "scale is given to the study itself"),
    "no number": (f"{ONE}lr = 'fast'", "lr: 'fast' is not a number above 0"),
    "not finite": (f"{ONE}lr = inf", "lr: 'inf' is not a number above 0"),
    "no whole number": (f"{ONE}batch_size = 1.5", "batch_size: '1.5' is not a whole number"),
    "true for a number": (f"{ONE}batch_size = true", "batch_size: 'true' is not a whole number"),
    "no choice": (f"{ONE}optimizer = 'sgd'", "optimizer: 'sgd' is not one of 'muon', 'adam'"),
    "no chain": (f"{ONE}architecture = '9-4-5'", "the second kernel, 4, is even"),
    "no truth": (f"{ONE}augment = 'maybe'", "augment: 'maybe' is not a valid boolean"),
    "an empty text": (f"{ONE}dataset = ' '", "dataset: ' ' is empty"),
    "a list": (f"{ONE}lr = [0.1, 0.2]", "lr is [0.1, 0.2], where one value is needed"),
    "a date": (f"{ONE}lr = 2020-01-01", "lr is datetime.date(2020, 1, 1), where one value"),
    "published alone": (f"{ONE}published = 32.5", "published needs a source"),
    "no source": (f"{ONE}published = {{ set5 = {{ x3 = 32.5 }} }}", "published needs a source"),
    "no averages": (f"{ONE}published = {{ source = 'me', set5 = 32 }}", "averages by scale"),
    "no scale": (
        f"{ONE}published = {{ source = 'me', set5 = {{ x5 = 32 }} }}",
        "published set5 x5 is 32; give decibels by x2, x3, x4",
    ),
    "no decibels": (
        f"{ONE}published = {{ source = 'me', set5 = {{ x3 = nan }} }}",
        "published set5 x3 is nan",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_a_file_is_told_with_its_place(case: str, tmp_path: Path) -> None:
    text, reason = WRONG[case]
    with pytest.raises(StudyTableError) as told:
        read(tmp_path, text)
    assert reason in str(told.value)
    assert str(told.value).startswith(str(tmp_path / "my.toml"))
    assert len(str(told.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ("filtres", "there is no study 'filtres', but filters; give channels, data, depth, filt"),
        ("Kernels", "there is no study 'Kernels', but kernels; give"),
        ("xyz", "there is no study 'xyz'; give channels, data, depth, filters, kernels, recipe, "),
        ("my.toml", "there is no file "),
        ("no/such", "there is no file "),
        ("..", "is no file; give one, or channels"),
        ("/dev/zero", "/dev/zero is no file"),
        ("a" * 5000, "cannot read aaa"),
    ],
)
def test_what_is_no_study_is_told(asked: str, reason: str) -> None:
    with pytest.raises(StudyTableError) as told:
        find_study(asked, training_value)
    assert reason in str(told.value)


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StudyTableError, match="is no text in UTF-8"):
        find_study(str(tmp_path / "my.toml"), training_value)


def test_a_file_is_found_where_the_person_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").write_text(ONE)
    assert find_study("mine", training_value).name == "mine"


def test_names_that_are_told_apart_have_metrics_of_their_own() -> None:
    for name in study_names():
        if name == "channels" and not trains_channels():
            continue
        plain = [plain_name(one.name) for one in find_study(name, training_value).settings]
        assert len(set(plain)) == len(plain)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("lr", "0.001", 0.001),
        ("train_images", "all", None),
        ("max_minutes", "5", 5.0),
        ("epochs", "3", 3),
        ("dataset", "t91", "t91"),
        ("patch_size", "41", 41),
        ("augment", "false", False),
    ],
)
def test_a_setting_is_what_train_takes(name: str, text: str, value: Any) -> None:
    assert training_value(name, text) == value
