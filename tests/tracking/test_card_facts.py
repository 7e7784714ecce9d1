"""The scores of a version, as its logged model has them."""

from mlflow.entities import Metric

from srcnn_mlflow.tracking.card_facts import scores_of


def _measured(dataset: str, psnr: float, time: int, run: str, **more: float) -> list[Metric]:
    values = {"images": 5, "bicubic_psnr": 28.0, "bicubic_ssim": 0.8, "srcnn_ssim": 0.9, **more}
    return [
        Metric(key, value, time, 0, None, dataset, dataset * 8, run)
        for key, value in {**values, "srcnn_psnr": psnr}.items()
    ]


def test_the_newest_score_on_each_set_counts() -> None:
    interval = {"psnr_gain_low": 1.0, "psnr_gain_high": 3.0}
    metrics = [
        *_measured("set5", 31.0, 2, "new", **interval),
        *_measured("set5", 30.0, 1, "old"),
        *_measured("bsd1", 29.0, 1, "old"),
        Metric("val_psnr", 33.0, 3, 1, None, "t91", "t91" * 8, "training"),
    ]
    scores = scores_of(metrics)
    assert [(one.dataset, one.srcnn_psnr, one.interval) for one in scores] == [
        ("bsd1", 29.0, None),
        ("set5", 31.0, (1.0, 3.0)),
    ]
