"""The table of several models, and what their pictures share."""

from dataclasses import replace

import pytest

from srcnn_mlflow.measuring.comparison import (
    ComparedModel,
    Picture,
    best_by_scale,
    describe,
    find_extremes,
    findings_page,
    models_table,
    rank_key,
)
from srcnn_mlflow.measuring.evaluation import Summary
from srcnn_mlflow.measuring.spectrum import HighFrequencies

MODEL = ComparedModel(
    label="srcnn-x2/3",
    aliases=("challenger", "champion"),
    scale=2,
    architecture="9-5-5",
    weights=57_281,
    summary=Summary(30.0, 31.2567, 1.2567, 0.9, 0.91234, 0.01234, 20.0, 4, 0.0, -1.234, -2.0),
    seconds=0.12345,
)


def with_psnr(label: str, scale: int, psnr: float) -> ComparedModel:
    summary = replace(MODEL.summary, srcnn_psnr=psnr)
    return replace(MODEL, label=label, aliases=(), scale=scale, summary=summary)


def picture(name: str, share: float, x2: float, x4: float) -> Picture:
    return Picture(name, HighFrequencies(share, 100 * share), {2: x2, 4: x4})


def test_the_table_has_a_line_a_model() -> None:
    lines = models_table([MODEL, with_psnr("srcnn-x4/12", 4, 28.0)]).splitlines()
    assert len({len(line) for line in lines}) == 1
    packed = [" ".join(line.split()) for line in lines]
    assert packed[0] == (
        "| Model | Scale | Network | Weights | Bicubic (dB) | SRCNN (dB) | Gain (dB) "
        "| Bicubic SSIM | SRCNN SSIM | Grey shift | Seconds |"
    )
    assert lines[1].count("-:|") == 8
    assert packed[2] == (
        "| srcnn-x2/3 (challenger, champion) | x2 | 9-5-5 | 57,281 | 30.00 | 31.26 | +1.26 "
        "| 0.9000 | 0.9123 | -1.23 | 0.123 |"
    )
    assert packed[3].startswith("| srcnn-x4/12 | x4 |")


def test_the_best_of_a_scale_has_the_highest_psnr() -> None:
    models = [with_psnr("a", 4, 28.0), with_psnr("b", 2, 31.0), with_psnr("c", 4, 28.5)]
    best = best_by_scale(models)
    assert list(best) == [2, 4]
    assert [model.label for model in best.values()] == ["b", "c"]


def test_the_best_of_a_scale_stands_first_and_equals_as_they_were() -> None:
    models = [
        *(with_psnr("a", 4, 28.0), with_psnr("b", 4, 28.5), with_psnr("c", 2, 31.0)),
        *(with_psnr("d", 4, 28.5), with_psnr("e", 2, 32.0)),
    ]
    assert [model.label for model in sorted(models, key=rank_key)] == ["e", "c", "b", "d", "a"]
    assert [model.label for model in best_by_scale(models).values()] == ["e", "b"]


def test_pictures_are_named_with_what_they_hold() -> None:
    pictures = [
        picture("cat.png", 0.01, 40.0, 35.0),
        picture("sea.png", 0.02, 38.0, 30.0),
        picture("elm.png", 0.03, 36.0, 34.0),
        picture("ore.png", 0.04, 30.0, 29.0),
        picture("mob.png", 0.25, 20.0, 18.0),
    ]
    findings = find_extremes({2: "srcnn-x2/3", 4: "srcnn-x4/1"}, pictures)
    assert findings.extremes == 2
    assert [one.name for one in findings.shared[0].best] == ["cat.png"]
    assert [one.name for one in findings.shared[0].worst] == ["ore.png", "mob.png"]
    assert findings.correlations[0].share == pytest.approx(-1)
    assert findings.correlations[1].share == pytest.approx(-0.9)
    assert describe(findings).splitlines() == [
        "Of 5 pictures, among the best 2 at both x2 and x4: cat.png (1.00%, 1.0); among the worst "
        "2 at both: ore.png (4.00%, 4.0), mob.png (25.00%, 25.0).",
        "In brackets stand the share of high frequencies and their level in grey levels.",
        "Spearman's rank correlation of PSNR, over 5 pictures: with their share of high "
        "frequencies -1.00 at x2, -0.90 at x4; with the level of these -1.00 at x2, -0.90 at x4.",
    ]
    page = " ".join(findings_page(findings).split())
    assert "| best | cat.png | 1.00% | 1.0 | 40.00 | 35.00 |" in page
    assert "| worst | mob.png | 25.00% | 25.0 | 20.00 | 18.00 |" in page
    assert "srcnn-x2/3 at x2, srcnn-x4/1 at x4" in page
    assert "the median share is 3.00% (1.00% to 25.00%)" in page


def test_every_pair_of_scales_is_compared() -> None:
    psnr = {2: 30.0, 3: 29.0, 4: 28.0}
    pictures = [Picture(name, HighFrequencies(0.1, 1.0), psnr) for name in "abcde"]
    findings = find_extremes({2: "a", 3: "b", 4: "c"}, pictures)
    assert [pair.scales for pair in findings.shared] == [(2, 3), (2, 4), (3, 4)]
    assert "with their share of high frequencies undefined at x2" in describe(findings)


def test_rankings_with_nothing_in_common_name_no_picture() -> None:
    findings = find_extremes(
        {2: "a", 4: "b"}, [picture("a", 0.1, 40.0, 30.0), picture("b", 0.2, 39.0, 31.0)]
    )
    assert "among the best 1 at both x2 and x4: no picture; among the worst 1 at both: no " in (
        describe(findings)
    )


def test_nothing_is_explained_that_is_not_there() -> None:
    pictures = [picture(str(one), one / 10, 40.0 - one, 30.0 + one) for one in range(5)]
    few = find_extremes({2: "a", 4: "b"}, pictures[1:])
    assert few.correlations == ()
    assert "Spearman" not in describe(few)
    # The best at one scale are the worst at the other, so that none is named.
    unnamed = find_extremes({2: "a", 4: "b"}, pictures)
    assert "Spearman" in describe(unnamed)
    single = find_extremes({4: "b"}, pictures)
    assert "Spearman" in describe(single)
    for findings in (unnamed, single, few):
        assert "brackets" not in describe(findings)
        assert "PSNR in dB" not in findings_page(findings)
        assert "the median share is" in " ".join(findings_page(findings).split())
    assert describe(find_extremes({4: "b"}, pictures[1:])).count("\n") == 0


def test_what_cannot_be_compared_is_said() -> None:
    one = find_extremes({2: "a", 4: "b"}, [picture("a", 0.1, 40.0, 30.0)])
    assert "One picture alone is neither best nor worst at x2 and x4." in describe(one)
    assert "Among the" not in findings_page(one)
    single = find_extremes({4: "b"}, [picture("a", 0.1, 40.0, 30.0)] * 4)
    assert describe(single).startswith("All models are of x4; a second scale would show")
