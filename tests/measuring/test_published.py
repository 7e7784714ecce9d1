import pytest

from srcnn_mlflow.measuring.published import BICUBIC, Average, published_bicubic, published_methods
from srcnn_mlflow.pictures.sets import named_sets

TEST_SETS = [name for name, one in named_sets().items() if one.tests_only]


def test_every_test_set_has_a_published_bicubic_at_every_scale() -> None:
    for name in TEST_SETS:
        psnr = [average.psnr for scale in (2, 3, 4) if (average := published_bicubic(name, scale))]
        assert len(psnr) == 3
        assert psnr == sorted(psnr, reverse=True)
    assert published_bicubic("set5", 2) == Average(33.66, 0.9299)
    assert published_bicubic("t91", 2) is None


def test_the_averages_are_of_sets_by_name_and_within_reason() -> None:
    assert published_methods()[0].name == BICUBIC
    for method in published_methods():
        assert method.source.endswith(("table of benchmarks", "2016", "2015", "them"))
        for (name, scale), average in method.averages.items():
            assert name in TEST_SETS
            assert scale in (2, 3, 4)
            bicubic = published_bicubic(name, scale)
            assert bicubic is not None
            assert 0 <= average.psnr - bicubic.psnr < 5
            assert average.ssim is None or bicubic.ssim is not None
            if average.ssim is not None and bicubic.ssim is not None:
                assert bicubic.ssim <= average.ssim < 1


@pytest.mark.parametrize(
    ("method", "name", "scale", "psnr"),
    [
        ("SRCNN 9-1-5", "set5", 2, 36.28),
        ("SRCNN 9-5-5", "set5", 3, 32.75),
        ("SRCNN 9-5-5", "urban100", 4, 24.52),
        ("FSRCNN", "set5", 4, 30.71),
        ("VDSR", "set5", 2, 37.53),
    ],
)
def test_known_figures(method: str, name: str, scale: int, psnr: float) -> None:
    (found,) = (one for one in published_methods() if one.name == method)
    assert found.averages[name, scale].psnr == psnr
