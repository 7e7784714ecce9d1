"""The table of a study says what was measured, and leaves empty what was not."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srcnn_mlflow.measuring.study_results import (
    SeedResult,
    SettingResult,
    as_facts,
    frontier,
    study_table,
)


def setting(name: str, *tested: float | None, cost: int = 100) -> SettingResult:
    """A setting with a seed for each number on test pictures, a decibel above the validation's."""
    seeds = tuple(
        SeedResult(
            *(seed, f"run {seed}", None if psnr is None else psnr - 1, 0.8, psnr, 0.9),
            best_epoch=3,
            steps=1000 * (seed + 1),
            seconds=60.0 + seed,
            curve=((30.0, 1.0), (60.0, 2.0)),
        )
        for seed, psnr in enumerate(tested)
    )
    return SettingResult(name, {"lr": 0.001}, cost + 9, cost, None, None, seeds)


def cells(table: str) -> list[dict[str, str]]:
    titles, _, *lines = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()
    )
    return [dict(zip(titles, line, strict=True)) for line in lines]


def test_colours_have_columns_where_they_were_measured() -> None:
    plain = setting("plain", 32.0)
    seeds = (replace(plain.seeds[0], valid_rgb_psnr=29.5, test_rgb_psnr=30.25),)
    (line,) = cells(study_table([replace(plain, seeds=seeds)]))
    assert (line["Validation, RGB (dB)"], line["Test, RGB (dB)"]) == ("29.500", "30.250")
    assert not any("RGB" in title for title in cells(study_table([plain]))[0])
    facts = as_facts([replace(plain, seeds=seeds)])[0]
    assert (facts["validation_rgb"]["psnr"], facts["test_rgb"]["psnr"]) == (29.5, 30.25)
    assert as_facts([plain])[0]["test_rgb"] is None


def test_a_line_has_mean_deviation_cost_and_the_difference_to_the_first() -> None:
    first = replace(
        setting("first", 32.0, 32.1, 32.2, cost=8032), published=32.39, source="a paper"
    )
    (one, other) = cells(study_table([first, setting("other", 33.0, 33.1, 33.2)]))
    assert one == {
        "Setting": "first",
        "Validation (dB)": "31.100 ± 0.100",
        "Validation, to the first": "(first)",
        "Test (dB)": "32.100 ± 0.100",
        "Test, to the first": "(first)",
        "Published": "32.39",
        "Seeds": "3",
        "Weights": "8,041",
        "Multiply-adds a pixel": "8,032",
        "Steps": "2,000",
        "Seconds": "61.0",
    }
    assert other["Test, to the first"] == "+1.000 beyond"
    assert other["Published"] == "–"


def test_what_was_not_measured_is_left_empty() -> None:
    table = study_table([setting("first", None), setting("other", 32.0), setting("none")])
    first, other, none = cells(table)
    assert first["Test (dB)"] == first["Validation (dB)"] == "–"
    assert other["Test, to the first"] == "–"
    assert (none["Seeds"], none["Steps"], none["Test (dB)"]) == ("0", "–", "–")
    assert "Published" not in first


def test_one_seed_is_too_few_to_tell() -> None:
    _, other = cells(study_table([setting("first", 32.0), setting("other", 33.0)]))
    assert other["Test (dB)"] == "33.000"
    assert other["Test, to the first"] == "+1.000 too few seeds"


def test_facts_are_in_full_precision_and_say_the_verdict() -> None:
    first, other = as_facts([setting("first", 32.0, 32.1), setting("other", 32.01, 32.123456)])
    assert first["test"] == {"psnr": 32.05, "standard_deviation": pytest.approx(0.0707106781)}
    assert other["test"]["to_the_first"]["verdict"] == "within"
    assert [seed["test_psnr"] for seed in other["seeds"]] == [32.01, 32.123456]
    assert other["published"] is None


points = st.lists(
    st.tuples(st.integers(1, 9), st.integers(0, 9).map(float)), min_size=1, max_size=12
)


@given(points)
def test_the_frontier_is_what_no_other_point_beats(found: list[tuple[int, float]]) -> None:
    kept = frontier(found)
    for place, (cost, quality) in enumerate(found):
        beaten = any(
            other_cost <= cost and other >= quality and (other_cost, other) != (cost, quality)
            for other_cost, other in found
        )
        same_as_kept = (cost, quality) in [found[one] for one in kept]
        assert same_as_kept == (not beaten), place
    assert [found[place] for place in kept] == sorted({found[place] for place in kept})
