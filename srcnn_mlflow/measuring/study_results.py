"""What has come of a study: a line a setting, with its seeds, its cost and what papers state."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from srcnn_mlflow.machine.text import as_markdown
from srcnn_mlflow.measuring.seeds import Difference, Spread, differences_to
from srcnn_mlflow.measuring.tables import aligned_table

_NONE = "\N{EN DASH}"


@dataclass(frozen=True)
class SeedResult:
    """A training of a study.

    Attributes:
        seed: of the training.
        run_id: its run.
        valid_psnr: on the validation pictures of the first setting, in dB; None where it was
            trained on some of them.
        valid_ssim: likewise.
        test_psnr: on the test pictures, in dB; None while these have not been looked at.
        test_ssim: likewise.
        best_epoch: the epoch that was chosen.
        steps: optimizer steps.
        seconds: time of its epochs, their validation included.
        curve: seconds since its beginning, and dB over bicubic on its own validation pictures,
            an item an epoch.
        valid_rgb_psnr: as `valid_psnr`, over red, green and blue; None where that is not measured.
        test_rgb_psnr: likewise.
    """

    seed: int
    run_id: str
    valid_psnr: float | None
    valid_ssim: float | None
    test_psnr: float | None
    test_ssim: float | None
    best_epoch: int
    steps: int
    seconds: float
    curve: tuple[tuple[float, float], ...]
    valid_rgb_psnr: float | None = None
    test_rgb_psnr: float | None = None


@dataclass(frozen=True)
class SettingResult:
    """A setting of a study.

    Attributes:
        name: of the setting.
        values: what it has instead of what a training has anyway.
        weights: of its network, biases included.
        multiply_adds: of its network, for a pixel of the result.
        published: what a paper states for these test pictures at this scale, in dB.
        source: of that.
        seeds: its trainings, by seed; none where all have failed or are yet to come.
    """

    name: str
    values: Mapping[str, Any]
    weights: int
    multiply_adds: int
    published: float | None
    source: str | None
    seeds: tuple[SeedResult, ...]

    @property
    def valid(self) -> Spread | None:
        """PSNR on the validation pictures of the first setting; None where it was not measured."""
        return _spread([one.valid_psnr for one in self.seeds])

    @property
    def test(self) -> Spread | None:
        """PSNR on the test pictures; None where it was not measured."""
        return _spread([one.test_psnr for one in self.seeds])

    @property
    def valid_rgb(self) -> Spread | None:
        """As `valid`, over red, green and blue."""
        return _spread([one.valid_rgb_psnr for one in self.seeds])

    @property
    def test_rgb(self) -> Spread | None:
        """As `test`, over red, green and blue."""
        return _spread([one.test_rgb_psnr for one in self.seeds])


def _spread(values: Sequence[float | None]) -> Spread | None:
    measured = tuple(value for value in values if value is not None)
    return Spread(measured) if measured else None


def compare_settings(
    spreads: Sequence[Spread | None],
) -> list[Difference | None]:
    """Compare each setting with the first one; None for that, and where either was not measured."""
    if not spreads or spreads[0] is None:
        return [None] * len(spreads)
    measured = [spread for spread in spreads[1:] if spread is not None]
    found = iter(differences_to(spreads[0], measured))
    return [None, *(None if spread is None else next(found) for spread in spreads[1:])]


def study_table(results: Sequence[SettingResult]) -> str:
    """The table of a study, in Markdown that also reads well as plain text.

    Args:
        results: a line each; the first is what the others are compared with.
    """
    valid = compare_settings([one.valid for one in results])
    tested = compare_settings([one.test for one in results])
    has_published = any(one.published is not None for one in results)
    in_colour = any(one.valid_rgb or one.test_rgb for one in results)
    return aligned_table(
        [
            {
                "Setting": as_markdown(one.name),
                "Validation (dB)": _text(one.valid),
                "Validation, to the first": _difference(one, results, of_valid),
                "Test (dB)": _text(one.test),
                "Test, to the first": _difference(one, results, of_test),
                **({"Published": _decibels(one.published)} if has_published else {}),
                **(_in_colour(one) if in_colour else {}),
                "Seeds": str(len(one.seeds)),
                "Weights": f"{one.weights:,}",
                "Multiply-adds a pixel": f"{one.multiply_adds:,}",
                "Steps": _mean([seed.steps for seed in one.seeds], 0),
                "Seconds": _mean([seed.seconds for seed in one.seeds], 1),
            }
            for one, of_valid, of_test in zip(results, valid, tested, strict=True)
        ],
        text_columns=1,
    )


def _in_colour(one: SettingResult) -> dict[str, str]:
    return {
        "Validation, RGB (dB)": _text(one.valid_rgb),
        "Test, RGB (dB)": _text(one.test_rgb),
    }


def _text(value: object | None) -> str:
    return _NONE if value is None else str(value)


def _difference(
    one: SettingResult, results: Sequence[SettingResult], found: Difference | None
) -> str:
    return "(first)" if one is results[0] else _text(found)


def _decibels(value: float | None) -> str:
    return _NONE if value is None else f"{value:.2f}"


def _mean(values: Sequence[float], digits: int) -> str:
    return f"{sum(values) / len(values):,.{digits}f}" if values else _NONE


def as_facts(results: Sequence[SettingResult]) -> list[dict[str, Any]]:
    """The same in full precision, for files that programs read."""
    valid = compare_settings([one.valid for one in results])
    tested = compare_settings([one.test for one in results])
    return [
        {
            "setting": one.name,
            "values": dict(one.values),
            "validation": _facts(one.valid, of_valid),
            "test": _facts(one.test, of_test),
            "validation_rgb": _facts(one.valid_rgb, None),
            "test_rgb": _facts(one.test_rgb, None),
            "published": None
            if one.published is None
            else {"psnr": one.published, "source": one.source},
            "weights": one.weights,
            "multiply_adds": one.multiply_adds,
            "seeds": [asdict(seed) for seed in one.seeds],
        }
        for one, of_valid, of_test in zip(results, valid, tested, strict=True)
    ]


def _facts(spread: Spread | None, difference: Difference | None) -> dict[str, Any] | None:
    if spread is None:
        return None
    facts: dict[str, Any] = {"psnr": spread.mean, "standard_deviation": spread.deviation}
    if difference is not None:
        facts |= {"to_the_first": asdict(difference) | {"verdict": difference.verdict}}
    return facts


def frontier(points: Sequence[tuple[float, float]]) -> list[int]:
    """Which of some points no other one beats: none is as cheap and better, or as good and cheaper.

    Args:
        points: cost and quality of each.

    Returns:
        Their places, by cost.

    >>> frontier([(2, 30.0), (1, 29.0), (3, 29.5), (1, 28.0)])
    [1, 0]
    """
    best, found = float("-inf"), []
    for place in sorted(range(len(points)), key=lambda one: (points[one][0], -points[one][1])):
        if points[place][1] > best:
            best = points[place][1]
            found.append(place)
    return found
