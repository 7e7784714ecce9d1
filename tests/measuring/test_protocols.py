"""Each protocol beside what its program's own functions give for the same pictures."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from srcnn_mlflow.measuring import metrics
from srcnn_mlflow.measuring.evaluation import score_colours, score_plane
from srcnn_mlflow.measuring.ledger import Tally
from srcnn_mlflow.measuring.protocols import NAMED, OURS, SOURCES, Protocol
from srcnn_mlflow.measuring.scoring import Bench, Subject
from srcnn_mlflow.network.architecture import Architecture
from srcnn_mlflow.network.onnx_export import build_onnx
from srcnn_mlflow.network.upscaler import Upscaler
from srcnn_mlflow.pictures import imaging
from srcnn_mlflow.pictures.decoding import open_picture
from srcnn_mlflow.pictures.pairs import make_small
from srcnn_mlflow.pictures.picture import Picture
from tests.conftest import sampled
from tests.network.test_network import random_weights
from tests.photographs import ASTRONAUT, CAMERA, CHELSEA, Eight

Values = dict[str, tuple[float, float | None]]

# The agreement that is promised, in dB and SSIM.
SAME_PSNR, SAME_SSIM = 0.005, 0.0005

NETWORKS = Path(__file__).with_name("networks")
SAMPLES = (ASTRONAUT[:131, 100:271], CHELSEA[:145, 60:261])

# What the programs' own functions gave, averaged as each averages. Originals are `SAMPLES` or Set5,
# results are `by_pillow` of the samples, and of Set5 what `upscale` makes with the networks beside
# this file, which once shipped.
# - yjn870/SRCNN-pytorch, commit 064dbaa: the resize of prepare.py `eval`, utils.convert_rgb_to_y
#   and utils.calc_psnr on levels divided by 255.
# - Lornatang/SRCNN-PyTorch, commit a0a108e: psnr and ssim of image_quality_assessment.py, with
#   crop_border=scale and only_test_y_channel=True.
# - XPixelGroup/BasicSR, commit 8d56e3a: calculate_psnr and calculate_ssim with crop_border=scale,
#   test_y_channel=True and False.
# - open-mmlab/mmagic, commit 0a560bb: psnr and ssim of mmagic.evaluation.metrics with
#   crop_border=scale.
# - scikit-image 0.26.0: peak_signal_noise_ratio, and structural_similarity with channel_axis=-1.
# - torchmetrics 1.9.0: PeakSignalNoiseRatio(data_range=1.0) and
#   StructuralSimilarityIndexMeasure(), an update a picture, of levels divided by 255.
FINISHED: dict[tuple[str, int], Values] = {
    ("samples", 2): {
        "yjn870": (30.56981, None),
        "lornatang": (32.62483, 0.88791),
        "basicsr": (32.62483, 0.88791),
        "basicsr-rgb": (31.08551, 0.87103),
        "mmagic": (31.08552, 0.87103),
        "scikit-image": (31.17313, 0.89129),
        "torchmetrics": (31.11008, 0.87207),
    },
    ("samples", 3): {
        "yjn870": (28.85697, None),
        "lornatang": (29.98917, 0.80043),
        "basicsr": (29.98917, 0.80043),
        "basicsr-rgb": (28.47636, 0.77544),
        "mmagic": (28.47636, 0.77544),
        "scikit-image": (28.57677, 0.80844),
        "torchmetrics": (28.5245, 0.77756),
    },
    ("set5", 2): {
        "yjn870": (36.6509, None),
        "lornatang": (36.67845, 0.95422),
        "basicsr": (36.67845, 0.95422),
        "basicsr-rgb": (34.43065, 0.9347),
        "mmagic": (34.43065, 0.9347),
        "scikit-image": (34.38087, 0.94212),
        "torchmetrics": (34.60087, 0.93456),
    },
    ("set5", 3): {
        "yjn870": (29.73306, None),
        "lornatang": (32.59169, 0.90768),
        "basicsr": (32.59169, 0.90768),
        "basicsr-rgb": (30.57042, 0.87873),
        "mmagic": (30.57042, 0.87873),
        "scikit-image": (30.50805, 0.89162),
        "torchmetrics": (30.88121, 0.87706),
    },
    ("set5", 4): {
        "yjn870": (30.19457, None),
        "lornatang": (30.22649, 0.85633),
        "basicsr": (30.22649, 0.85633),
        "basicsr-rgb": (28.27519, 0.8185),
        "mmagic": (28.27519, 0.8185),
        "scikit-image": (28.21135, 0.83347),
        "torchmetrics": (28.47664, 0.81643),
    },
}

# Bicubic, made by the programs' own functions too, and measured as above.
# - paper: rgb2ycbcr of BasicSR on 8 bits, its matlab_functions.imresize down and up in floating
#   point, rounded to 8 bits (MATLAB itself was not at hand; the published averages are 33.66 /
#   0.9299, 30.39 / 0.8682 and 28.42 / 0.8104).
# - yjn870: prepare.py `eval`, and calc_psnr on what it wrote.
# - lornatang: imgproc.image_resize and bgr2ycbcr as in test.py, PSNR and SSIM on luma.
# - basicsr, mmagic: scripts/matlab_scripts/generate_bicubic_img.m by matlab_functions.imresize.
BICUBIC: dict[tuple[str, int], Values] = {
    ("samples", 2): {
        "paper": (32.61891, 0.88738),
        "yjn870": (34.09262, None),
        "lornatang": (32.6347, 0.8883),
        "basicsr": (32.6299, 0.88808),
        "basicsr-rgb": (31.09392, 0.87137),
        "mmagic": (31.09392, 0.87137),
    },
    ("samples", 3): {
        "paper": (29.98484, 0.79984),
        "yjn870": (30.63331, None),
        "lornatang": (29.99307, 0.80075),
        "basicsr": (29.99244, 0.80055),
        "basicsr-rgb": (28.48037, 0.77567),
        "mmagic": (28.48038, 0.77567),
    },
    ("set5", 2): {
        "paper": (33.66142, 0.92988),
        "yjn870": (33.71369, None),
        "lornatang": (33.69039, 0.9308),
        "basicsr": (33.68184, 0.93052),
        "basicsr-rgb": (31.79987, 0.90913),
        "mmagic": (31.79987, 0.90913),
    },
    ("set5", 3): {
        "paper": (30.39219, 0.86821),
        "yjn870": (30.92229, None),
        "lornatang": (30.40769, 0.86918),
        "basicsr": (30.40467, 0.86897),
        "basicsr-rgb": (28.62632, 0.83849),
        "mmagic": (28.62632, 0.83849),
    },
    ("set5", 4): {
        "paper": (28.42068, 0.81037),
        "yjn870": (28.47085, None),
        "lornatang": (28.43243, 0.81138),
        "basicsr": (28.43142, 0.81127),
        "basicsr-rgb": (26.69551, 0.77338),
        "mmagic": (26.69551, 0.77338),
    },
}

# These networks in these programs' own loops: on what prepare.py `eval` wrote, and on what
# test.py of Lornatang makes, clamped and measured by them.
NETWORK: dict[int, Values] = {
    2: {"yjn870": (36.657, None), "lornatang": (36.73767, 0.95529)},
    3: {"yjn870": (33.16239, None), "lornatang": (32.60345, 0.90855)},
    4: {"yjn870": (30.19206, None), "lornatang": (30.23255, 0.85712)},
}


def cropped(picture: Eight, scale: int) -> Eight:
    height, width = (side - side % scale for side in picture.shape[:2])
    return picture[:height, :width]


def by_pillow(picture: Eight, scale: int) -> Eight:
    """Pillow's own bicubic of 8-bit colour, down and up again."""
    image = Image.fromarray(cropped(picture, scale))
    small = image.resize((image.width // scale, image.height // scale), Image.Resampling.BICUBIC)
    return np.asarray(small.resize(image.size, Image.Resampling.BICUBIC))


def measured_then(scale: int) -> Upscaler:
    return Upscaler(NETWORKS / f"srcnn-9-1-5-x{scale}.onnx")


def by_network(picture: Eight, scale: int) -> Eight:
    """What `upscale` makes of the colour picture made small."""
    bands = np.moveaxis(cropped(picture, scale), 2, 0)
    small = np.stack([imaging.downscale(band, scale) for band in bands], axis=-1)
    upscaled: Eight = measured_then(scale).upscale_picture(Picture(small)).pixels  # type: ignore[assignment]
    return upscaled


@pytest.fixture(scope="session")
def set5(shared: Callable[[str], Path]) -> list[Eight]:
    return [np.asarray(open_picture(path).image()) for path in sorted(shared("Set5").glob("*.*"))]


def assert_agrees(tally: Tally, values: Values) -> None:
    for name, (psnr, ssim) in values.items():
        found = tally.average(NAMED[name])
        assert found is not None
        assert found.psnr == pytest.approx(psnr, abs=SAME_PSNR), name
        assert (found.ssim is None) == (ssim is None), name
        if ssim is not None:
            assert found.ssim == pytest.approx(ssim, abs=SAME_SSIM), name


def tallied(subject: Subject, benches: list[Bench], names: Values) -> Tally:
    tally = Tally(subject, [NAMED[name] for name in names], one_at_a_time=False)
    for bench in benches:
        tally.add(bench)
    return tally


@pytest.mark.parametrize("scale", [2, 3])
def test_results_score_as_each_programs_own_functions_score_them(scale: int) -> None:
    values = FINISHED["samples", scale]
    benches = [Bench(one, scale, by_pillow(one, scale)) for one in SAMPLES]
    assert_agrees(tallied(Subject.RESULT, benches, values), values)


@pytest.mark.parametrize("scale", [2, 3])
def test_bicubic_scores_as_each_program_makes_and_scores_it(scale: int) -> None:
    values = BICUBIC["samples", scale]
    assert_agrees(tallied(Subject.BICUBIC, [Bench(o, scale) for o in SAMPLES], values), values)


@pytest.mark.slow
@pytest.mark.parametrize("scale", sampled([2, 3, 4]))
def test_on_set5_too(scale: int, set5: list[Eight]) -> None:
    values = FINISHED["set5", scale]
    benches = [Bench(one, scale, by_network(one, scale)) for one in set5]
    assert_agrees(tallied(Subject.RESULT, benches, values), values)
    values = BICUBIC["set5", scale]
    assert_agrees(tallied(Subject.BICUBIC, benches, values), values)


@pytest.mark.slow
@pytest.mark.parametrize("scale", sampled([4, 2, 3]))
def test_the_ledger_explains_a_network_in_other_programs_loops(
    scale: int, set5: list[Eight]
) -> None:
    """To 0.01 dB in sum, from `evaluate`'s number to that of the program itself."""
    upscaler = measured_then(scale)
    values = NETWORK[scale]
    benches = [Bench(one, scale, sharpen=upscaler.sharpen) for one in set5]
    tally = tallied(Subject.NETWORK, benches, values)
    scores = [
        score_plane("", imaging.luma(Image.fromarray(one)), scale, scale, upscaler.upscale_luma)
        for one in set5
    ]
    evaluated = float(np.mean([score.srcnn_psnr for score in scores]))
    for name, (psnr, _) in values.items():
        way = tally.way(NAMED[name])
        assert way is not None
        assert way.start.psnr == evaluated
        steps = [step.psnr for step in way.steps if step.psnr is not None]
        assert len(steps) == len(way.steps) > 3
        assert evaluated + sum(steps) == pytest.approx(psnr, abs=0.01), name


@pytest.mark.parametrize("channels", ["rgb", "ycbcr"])
def test_this_projects_protocol_is_evaluate_for_networks_on_colours_too(channels: str) -> None:
    network = Architecture("9-1-5", channels=channels)
    model = Upscaler(build_onnx(random_weights(network), network, 2))
    for original in (*SAMPLES, CAMERA[:90, :101]):
        score = score_colours("", original, 2, 2, model.upscale_pixels, channels)
        _, small, _ = make_small(original, 2)
        result = model.upscale_pixels(small)
        bench = Bench(original, 2, result, sharpen=model.sharpen, on_colours=True)
        for subject in (Subject.RESULT, Subject.NETWORK):
            mark = bench.mark(subject, OURS)
            assert mark is not None
            assert (mark.psnr, mark.ssim) == (score.srcnn_psnr, score.srcnn_ssim)
            in_colour = bench.mark(subject, replace(OURS, channels="rgb"))
            assert in_colour is not None
            assert in_colour.psnr == pytest.approx(score.srcnn_rgb_psnr, abs=1e-9)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_this_projects_protocol_is_evaluate_to_the_last_digit(scale: int) -> None:
    upscaler = measured_then(scale)
    for original in SAMPLES:
        luma = imaging.luma(Image.fromarray(original))
        score = score_plane("", luma, scale, scale, upscaler.upscale_luma)
        result = upscaler.upscale_luma(imaging.downscale(imaging.mod_crop(luma, scale), scale))
        bench = Bench(original, scale, result, result_is_luma=True, sharpen=upscaler.sharpen)
        for subject in (Subject.RESULT, Subject.NETWORK):
            mark = bench.mark(subject, OURS)
            assert mark is not None
            assert (mark.psnr, mark.ssim, mark.mse) == (
                score.srcnn_psnr,
                score.srcnn_ssim,
                score.srcnn_mse,
            )
        bicubic = bench.mark(Subject.BICUBIC, OURS)
        assert bicubic is not None
        assert (bicubic.psnr, bicubic.ssim) == (score.bicubic_psnr, score.bicubic_ssim)


@given(
    level=st.integers(0, 2**32 - 1),
    names=st.sampled_from([name for name in NAMED if name != "torchmetrics"]),
)
def test_a_worse_result_scores_less_under_every_protocol(level: int, names: str) -> None:
    noise = np.random.default_rng(level).integers(-2, 3, SAMPLES[0].shape)
    bands = SAMPLES[0].astype(np.int64)
    little, much = (np.clip(bands + by * noise, 0, 255).astype(np.uint8) for by in (1, 9))
    marks = [
        Bench(SAMPLES[0][:130, :170], 2, result[:130, :170]).mark(Subject.RESULT, NAMED[names])
        for result in (little, much)
    ]
    assert marks[0] is not None
    assert marks[1] is not None
    assert marks[0].psnr > marks[1].psnr + 6
    if marks[0].ssim is not None:
        assert marks[1].ssim is not None
        assert 1 > marks[0].ssim > marks[1].ssim


def test_an_equal_picture_has_no_error_and_an_ssim_of_one() -> None:
    for protocol in (one for one in NAMED.values() if one.originals == "cropped"):
        mark = Bench(SAMPLES[0], 2, cropped(SAMPLES[0], 2)).mark(Subject.RESULT, protocol)
        assert mark is not None
        assert mark.psnr == np.inf
        assert mark.ssim is None or mark.ssim == pytest.approx(1)


def test_luma_without_colour_is_measured_where_it_can_be_and_nowhere_else() -> None:
    luma = imaging.luma(Image.fromarray(by_pillow(SAMPLES[0], 2)))
    bench = Bench(SAMPLES[0], 2, luma, result_is_luma=True)
    known = {name for name, one in NAMED.items() if bench.mark(Subject.RESULT, one) is not None}
    assert known == {"srcnn-mlflow", "paper", "lornatang", "basicsr"}


def test_grey_is_its_own_luma_or_is_squeezed_into_16_to_235() -> None:
    grey = CAMERA[:100, :120]
    result = np.asarray(Image.fromarray(by_pillow(np.stack([grey] * 3, -1), 2)).convert("L"))
    bench = Bench(grey, 2, result)
    ours, squeezed = (
        bench.mark(Subject.RESULT, one) for one in (OURS, replace(OURS, grey="rgb", rounded=False))
    )
    assert ours is not None
    assert squeezed is not None
    assert ours.psnr == metrics.psnr(grey, result, 2)
    assert squeezed.psnr - ours.psnr == pytest.approx(20 * np.log10(255 / 219), abs=1e-6)
    coloured = Bench(np.stack([grey] * 3, -1), 2, np.stack([result] * 3, -1))
    in_colour = coloured.mark(Subject.RESULT, NAMED["mmagic"])
    assert in_colour is not None
    assert in_colour.psnr == pytest.approx(ours.psnr)


def test_where_no_window_fits_inside_a_border_there_is_no_score() -> None:
    small = SAMPLES[0][:20, :20]
    bench = Bench(small, 2, small)
    assert bench.mark(Subject.RESULT, OURS) is not None
    assert bench.mark(Subject.RESULT, replace(OURS, border="scale+6")) is None


def test_every_protocol_has_a_source() -> None:
    assert set(SOURCES) == set(NAMED)
    assert next(iter(NAMED)) == "srcnn-mlflow"
    assert isinstance(NAMED["srcnn-mlflow"], Protocol)
