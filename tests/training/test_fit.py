"""Sampler, optimizers and training: one fit, step by step."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.nn import functional

from srcnn_mlflow.machine.errors import TrainingError
from srcnn_mlflow.network.architecture import Architecture
from srcnn_mlflow.network.plain_weights import Weights
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.pictures.store import Store, open_store
from srcnn_mlflow.pictures.store_file import StoreSettings
from srcnn_mlflow.pictures.store_writer import prepare
from srcnn_mlflow.training.distributed import alone
from srcnn_mlflow.training.fit import LOOK_EVERY, EpochResult, Progress, fit
from srcnn_mlflow.training.importance import measure_importance
from srcnn_mlflow.training.learner import Learner, computes_bfloat16
from srcnn_mlflow.training.model import Srcnn
from srcnn_mlflow.training.optimizers import Optimizer
from srcnn_mlflow.training.plan import Plan, learning_rate, make_plan, seconds_of_one_thread
from srcnn_mlflow.training.sampler import PatchSampler, augment, spread
from srcnn_mlflow.training.settings import LOSSES, SAMPLINGS, TrainingSettings
from tests.conftest import ROOT

CPU = torch.device("cpu")
QUICK = TrainingSettings(architecture="9-1-5", epochs=3, batch_size=4)
PLAN = Plan(epochs=3, steps=6)


@pytest.fixture
def store(photo_folder: Path) -> Store:
    settings = StoreSettings(2, 25, 14)
    return open_store(*prepare(load_dataset(str(photo_folder)), settings, photo_folder).files)


@pytest.fixture
def sampler(store: Store) -> PatchSampler:
    return PatchSampler(store, CPU)


def count_up(_: Weights) -> float:
    return 30.0


def run(sampler: PatchSampler, settings: TrainingSettings, **options: Any) -> list[EpochResult]:
    return list(fit(sampler, settings, PLAN, options.pop("validate", count_up), **options))


def test_gathered_patches_are_those_of_the_store(store: Store, sampler: PatchSampler) -> None:
    indices = torch.tensor([0, 7, sampler.patch_count - 1])
    lr, hr = sampler.gather(indices)
    assert lr.shape == hr.shape == (3, 1, 25, 25)
    for row, index in enumerate(indices):
        expected_lr, expected_hr = store.patch(int(index))
        assert np.array_equal((lr[row, 0] * 255).round().byte().numpy(), expected_lr)
        assert np.array_equal((hr[row, 0] * 255).round().byte().numpy(), expected_hr)


def test_patches_are_spread_over_all_of_them(sampler: PatchSampler) -> None:
    few = spread(sampler.patch_count, 5).tolist()
    assert few[0] == 0
    assert few[-1] == sampler.patch_count - 1
    assert sorted(set(few)) == few
    assert spread(sampler.patch_count, 10**6).tolist() == list(range(sampler.patch_count))


@pytest.mark.parametrize("batch_size", [1, 4, 7, 1000])
def test_a_pass_visits_every_patch_once(sampler: PatchSampler, batch_size: int) -> None:
    per_pass = sampler.batches_in_pass(batch_size)
    passes = [
        torch.cat(list(sampler.batches(batch_size, 5, number * per_pass, per_pass)))
        for number in range(2)
    ]
    for one in passes:
        assert sorted(one.tolist()) == list(range(sampler.patch_count))
    assert not torch.equal(*passes)


def test_a_batch_depends_on_its_number_and_the_seed_alone(sampler: PatchSampler) -> None:
    from_start = list(sampler.batches(4, 1, 0, 30))
    from_middle = list(sampler.batches(4, 1, 17, 13))
    for first, second in zip(from_start[17:], from_middle, strict=True):
        assert torch.equal(first, second)
    assert not torch.equal(from_start[0], next(sampler.batches(4, 2, 0, 1)))


def test_no_pass_of_a_seed_has_the_order_of_another_seeds(sampler: PatchSampler) -> None:
    per_pass = sampler.batches_in_pass(7)
    orders = {
        tuple(torch.cat(list(sampler.batches(7, seed, number * per_pass, per_pass))).tolist())
        for seed in range(6)
        for number in range(6)
    }
    assert len(orders) == 36


def test_the_eight_turns_are_the_symmetries_of_the_square() -> None:
    square = torch.arange(9.0).reshape(1, 1, 3, 3)
    turned = [augment(number, square)[0] for number in range(8)]
    assert len({tuple(one.flatten().tolist()) for one in turned}) == 8
    assert torch.equal(turned[0], square)
    for one in turned:
        assert one[0, 0, 1, 1] == 4
        assert sorted(one.flatten().tolist()) == list(range(9))


def test_pairs_are_turned_together() -> None:
    first = torch.rand(2, 1, 5, 5)
    for number in range(8):
        turned, doubled = augment(number, first, 2 * first)
        assert torch.equal(2 * turned, doubled)


def _gradients(model: Srcnn) -> None:
    torch.manual_seed(1)
    picture = torch.rand(2, 1, 25, 25).contiguous(memory_format=torch.channels_last)
    functional.mse_loss(model(picture), torch.rand(2, 1, 9, 9)).backward()  # type: ignore[no-untyped-call]


def test_the_last_layer_learns_at_a_fraction_of_the_rate() -> None:
    moved = []
    for factor in (1.0, 0.1):
        torch.manual_seed(0)
        model = Srcnn(Architecture("9-5-5"), "plain")
        before = {name: value.clone() for name, value in model.state_dict().items()}
        _gradients(model)
        Optimizer(model, "adam", factor).step(0.01)
        moved.append({n: (v - before[n]).abs().max() for n, v in model.state_dict().items()})
    # Adam's first step is the rate itself, whatever the gradient.
    for name, distance in moved[1].items():
        expected = 0.001 if name.startswith("conv3") else 0.01
        assert distance == pytest.approx(expected, rel=0.01)
    assert moved[0]["conv3.weight"] == pytest.approx(0.01, rel=0.01)


def test_muon_moves_kernels_by_nearly_orthogonal_matrices() -> None:
    torch.manual_seed(0)
    model = Srcnn(Architecture("9-5-5")).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    before = model.conv2.weight.detach().clone()
    _gradients(model)
    Optimizer(model, "muon", 1.0).step(0.01)
    moved = (model.conv2.weight.detach() - before).flatten(1) / (0.01 * 5)
    singular = torch.linalg.svdvals(moved)
    # Filters that are dead on this batch have no gradient, and stay where they are.
    assert singular.max() < 1.3
    assert singular.quantile(0.3) > 0.5
    assert model.conv2.weight.is_contiguous(memory_format=torch.channels_last)


@given(st.integers(2, 5000), st.floats(1e-5, 1))
def test_the_cosine_rate_warms_up_and_falls(total: int, lr: float) -> None:
    settings = replace(QUICK, lr=lr)
    rates = [learning_rate(settings, step, total) for step in range(0, total, max(1, total // 50))]
    assert max(rates) <= lr
    assert min(rates) > 0
    assert learning_rate(settings, total - 1, total) <= rates[len(rates) // 2]
    constant = replace(settings, schedule="constant")
    assert {learning_rate(constant, step, total) for step in (0, total - 1)} == {lr}


def rates_of_steps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The rate of every step from here on, in a list that grows."""
    rates: list[float] = []
    step = Learner.step

    def record(
        learner: Learner, lr: torch.Tensor, hr: torch.Tensor, rate: float, *weights: Any
    ) -> torch.Tensor:
        rates.append(rate)
        return step(learner, lr, hr, rate, *weights)

    monkeypatch.setattr(Learner, "step", record)
    return rates


def test_the_rate_of_an_epoch_is_that_of_its_last_step(
    sampler: PatchSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = rates_of_steps(monkeypatch)
    results = run(sampler, QUICK)
    assert rates == [learning_rate(QUICK, step, PLAN.total_steps) for step in range(18)]
    assert [result.lr for result in results] == [rates[5], rates[11], rates[17]]
    assert len(set(rates)) == 18


def test_every_epoch_of_every_seed_turns_its_patches_in_its_own_way(
    sampler: PatchSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    turned: list[int] = []

    def record(number: int, *images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        turned.append(number)
        return augment(number, *images)

    monkeypatch.setattr("srcnn_mlflow.training.fit.augment", record)
    whole = run(sampler, QUICK)
    run(sampler, replace(QUICK, seed=1))
    assert set(turned) <= set(range(8))
    epochs = [tuple(turned[start : start + 6]) for start in range(0, 36, 6)]
    assert len(set(epochs)) == 6
    turned.clear()
    stopped = whole[0]
    progress = Progress(1, stopped.best_val_psnr, stopped.best_epoch, stopped.state)
    run(sampler, QUICK, resume=progress)
    assert turned == [turn for epoch in epochs[1:3] for turn in epoch]
    turned.clear()
    run(sampler, replace(QUICK, augment=False))
    assert turned == []


def followed(
    sampler: PatchSampler,
    settings: TrainingSettings,
    monkeypatch: pytest.MonkeyPatch,
    weight: float = 1.0,
) -> list[torch.Tensor]:
    """The gradients that the optimizer follows in a first step."""
    learner = Learner(replace(settings, precondition=False), sampler, alone(CPU))
    seen: list[torch.Tensor] = []
    follow = learner._optimizer.step

    def spy(lr: float) -> None:
        weights = list(learner._model.parameters())
        seen.extend(one.grad.detach().clone() for one in weights if one.grad is not None)
        follow(lr)

    monkeypatch.setattr(learner._optimizer, "step", spy)
    lr, hr = sampler.gather(torch.arange(4))
    learner.step(lr, hr, 1e-3, weight)
    return seen


def length(tensors: list[torch.Tensor]) -> float:
    return float(torch.cat([one.flatten() for one in tensors]).norm())


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.5])
def test_a_share_of_a_batch_counts_by_its_weight(
    sampler: PatchSampler, monkeypatch: pytest.MonkeyPatch, weight: float
) -> None:
    settings = replace(QUICK, gradient_clip=None, precision="float32")
    whole = followed(sampler, settings, monkeypatch)
    share = followed(sampler, settings, monkeypatch, weight)
    for one, other in zip(share, whole, strict=True):
        assert torch.allclose(one, weight * other, rtol=1e-5, atol=1e-9)
    assert length(followed(sampler, settings, monkeypatch, 1.0)) == length(whole) > 0


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_a_gradient_is_followed_as_far_as_the_clip_says(
    sampler: PatchSampler, monkeypatch: pytest.MonkeyPatch, optimizer: str
) -> None:
    def gradients(clip: float | None) -> list[torch.Tensor]:
        settings = replace(QUICK, optimizer=optimizer, gradient_clip=clip)
        return followed(sampler, settings, monkeypatch)

    free = gradients(None)
    assert len(free) == 6
    clipped = gradients(length(free) / 4)
    assert length(clipped) == pytest.approx(length(free) / 4, rel=1e-3)
    for one, other in zip(clipped, free, strict=True):
        assert torch.allclose(4 * one, other, rtol=1e-3, atol=1e-9)
    untouched = gradients(4 * length(free))
    assert all(torch.equal(one, other) for one, other in zip(untouched, free, strict=True))


@pytest.mark.parametrize(("loss", "ends"), [(0.99, False), (1.01, True), (1e8, True)])
def test_the_most_that_two_pictures_can_differ_by_is_the_end(
    sampler: PatchSampler, monkeypatch: pytest.MonkeyPatch, loss: float, ends: bool
) -> None:
    monkeypatch.setattr(Learner, "step", lambda *_: torch.tensor(loss))
    if not ends:
        assert [result.train_loss for result in run(sampler, QUICK)] == pytest.approx([loss] * 3)
        return
    with pytest.raises(TrainingError, match=r"the loss is 1\S* at step 6 of epoch 1, and there is"):
        run(sampler, QUICK)


def test_training_brings_the_loss_down(sampler: PatchSampler) -> None:
    results = run(sampler, QUICK)
    assert [result.epoch for result in results] == [1, 2, 3]
    assert results[-1].train_loss < results[0].train_loss
    assert results[-1].patches_per_second > 0
    assert set(results[0].weights) == {
        f"conv{layer}.{kind}" for layer in (1, 2, 3) for kind in ("weight", "bias")
    }


@pytest.mark.parametrize("padding", ["none", "replicate", "zero"])
@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_every_padding_and_optimizer_trains(
    sampler: PatchSampler, padding: str, optimizer: str
) -> None:
    settings = replace(
        QUICK, padding=padding, optimizer=optimizer, gradient_clip=0.1, schedule="constant"
    )
    results = run(sampler, settings)
    assert np.isfinite(results[-1].train_loss)


def test_the_same_seed_gives_the_same_numbers(sampler: PatchSampler) -> None:
    first, second = run(sampler, QUICK), run(sampler, QUICK)
    for one, other in zip(first, second, strict=True):
        assert one.train_loss == other.train_loss
        for name in one.weights:
            assert np.array_equal(one.weights[name], other.weights[name])
    assert run(sampler, replace(QUICK, seed=1))[0].train_loss != first[0].train_loss


@pytest.mark.exhaustive
@pytest.mark.parametrize("threads", [1, 2])
def test_two_processes_train_to_the_same_bits(
    photo_folder: Path, tmp_path: Path, threads: int
) -> None:
    code = (
        "import hashlib, sys\n"
        "from pathlib import Path\n"
        "import torch\n"
        "from srcnn_mlflow.network.onnx_export import build_onnx\n"
        "from srcnn_mlflow.measuring.metrics import psnr\n"
        "from srcnn_mlflow.training.sampler import PatchSampler\n"
        "from srcnn_mlflow.pictures.store import open_store\n"
        "from srcnn_mlflow.training.fit import fit\n"
        "from srcnn_mlflow.training.plan import Plan\n"
        "from srcnn_mlflow.training.settings import TrainingSettings\n"
        "from srcnn_mlflow.network.upscaler import Upscaler\n"
        "torch.set_num_threads(int(sys.argv[2]))\n"
        "store = open_store(Path(sys.argv[1]))\n"
        "settings = TrainingSettings(architecture='9-5-5')\n"
        "def validate(weights):\n"
        "    upscaler = Upscaler(build_onnx(weights, settings.network, 2))\n"
        "    _, original = store.valid.pair(0)\n"
        "    return psnr(original, upscaler.upscale_luma(original[::2, ::2]), 2)\n"
        "for result in fit(PatchSampler(store, torch.device('cpu')), settings, Plan(2, 6), "
        "validate):\n"
        "    kept = [*sorted(result.weights.items()), *sorted(result.state.items())]\n"
        "    sums = hashlib.sha256(b''.join(array.tobytes() for _, array in kept)).hexdigest()\n"
        "    print(result.train_loss.hex(), result.val_psnr.hex(), sums)\n"
    )
    settings = StoreSettings(2, 33, 14)
    path = prepare(load_dataset(str(photo_folder)), settings, tmp_path).files[0]
    command = [sys.executable, "-c", code, str(path), str(threads)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(threads)}
    first, second = (
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    )
    assert len(first.splitlines()) == 2
    assert first == second


def test_the_averaged_weights_follow_the_weights_by_the_decay(sampler: PatchSampler) -> None:
    settings = replace(QUICK, ema_decay=0.75, precondition=False)
    expected: dict[str, Any] = {}
    for result in fit(sampler, settings, Plan(epochs=4, steps=1), count_up):
        for name, average in result.weights.items():
            weights = result.state[f"model:{name}"]
            expected[name] = 0.75 * expected.get(name, weights) + 0.25 * weights
            assert average == pytest.approx(expected[name], abs=1e-6)
    assert not np.array_equal(expected["conv1.weight"], weights)


@pytest.mark.parametrize("residual", [True, False])
def test_bfloat16_learns_nearly_the_same_in_float32_weights(
    sampler: PatchSampler, residual: bool
) -> None:
    settings = replace(QUICK, optimizer="adam", lr=1e-4, schedule="constant", residual=residual)
    exact = run(sampler, replace(settings, precision="float32"))
    rough = run(sampler, replace(settings, precision="bfloat16"))
    assert rough[0].train_loss != exact[0].train_loss
    for one, other in zip(exact, rough, strict=True):
        assert other.train_loss == pytest.approx(one.train_loss, rel=0.02)
    assert {array.dtype for array in rough[-1].weights.values()} == {np.dtype(np.float32)}


def test_precision_auto_is_bfloat16_only_where_the_processor_has_it(
    sampler: PatchSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = {
        precision: run(sampler, replace(QUICK, precision=precision))[-1].train_loss
        for precision in ("float32", "bfloat16")
    }
    for capability, expected in (("avx2", "float32"), ("avx512_bf16", "bfloat16")):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda name=capability: {name: True})
        assert run(sampler, replace(QUICK, precision="auto"))[-1].train_loss == losses[expected]
    assert not computes_bfloat16(torch.device("cuda"))


def test_averaging_leaves_the_path_of_the_weights_alone(sampler: PatchSampler) -> None:
    settings = replace(QUICK, precondition=False)
    plain = run(sampler, settings)[-1]
    averaged = run(sampler, replace(settings, ema_decay=0.9))[-1]
    for name, value in plain.weights.items():
        assert np.array_equal(value, averaged.state[f"model:{name}"])


@pytest.mark.parametrize("ema_decay", [None, 0.9])
@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_a_resumed_fit_ends_where_an_uninterrupted_one_does(
    sampler: PatchSampler, optimizer: str, ema_decay: float | None
) -> None:
    settings = replace(QUICK, optimizer=optimizer, ema_decay=ema_decay)
    whole = run(sampler, settings)
    stopped = whole[0]
    progress = Progress(
        stopped.epoch,
        stopped.best_val_psnr,
        stopped.best_epoch,
        stopped.state,
    )
    resumed = run(sampler, settings, resume=progress)
    assert [result.epoch for result in resumed] == [2, 3]
    for name, value in whole[-1].weights.items():
        assert np.array_equal(value, resumed[-1].weights[name])


def test_the_best_epoch_is_the_first_with_the_highest_psnr(sampler: PatchSampler) -> None:
    scores = iter([30.0, 31.0, 31.0])
    results = run(sampler, QUICK, validate=lambda _: next(scores))
    assert [result.is_best for result in results] == [True, True, False]
    assert (results[-1].best_epoch, results[-1].best_val_psnr) == (2, 31.0)


def test_an_epoch_is_the_best_until_another_is_however_bad_it_is(sampler: PatchSampler) -> None:
    scores = iter([-3.0, -5.0, -1.0])
    results = run(sampler, QUICK, validate=lambda _: next(scores))
    assert [result.is_best for result in results] == [True, False, True]
    assert [result.best_epoch for result in results] == [1, 1, 3]
    assert [result.best_val_psnr for result in results] == [-3.0, -3.0, -1.0]


def test_an_exploding_loss_ends_the_fit_with_advice(sampler: PatchSampler) -> None:
    settings = replace(QUICK, optimizer="adam", lr=1e30, schedule="constant")
    says = (
        r"the training has diverged: the loss is (nan|inf) at step 6 of epoch 1, and there is no "
        r"checkpoint yet; lower lr \(now 1e\+30\), or set gradient_clip \(now none\)"
    )
    with pytest.raises(TrainingError, match=says):
        run(sampler, settings)


def test_an_exploding_loss_is_noticed_long_before_a_long_epoch_ends(sampler: PatchSampler) -> None:
    settings = replace(QUICK, optimizer="adam", lr=1e30, schedule="constant", batch_size=1)
    with pytest.raises(TrainingError, match=f"loss is (nan|inf) at step {LOOK_EVERY} of epoch 1"):
        next(fit(sampler, settings, Plan(epochs=1, steps=10**6), count_up))


def test_a_training_that_explodes_later_says_what_is_kept(sampler: PatchSampler) -> None:
    settings = replace(QUICK, optimizer="adam", lr=1e18, schedule="constant")
    results = fit(sampler, settings, Plan(epochs=2, steps=1), count_up)
    assert next(results).is_best
    with pytest.raises(TrainingError, match="of epoch 2, and the best epoch before it is kept"):
        next(results)


def test_weights_that_explode_in_the_last_step_are_noticed(sampler: PatchSampler) -> None:
    settings = replace(QUICK, optimizer="adam", lr=1e39, schedule="constant")
    with pytest.raises(TrainingError, match="a weight is no longer a finite number at step 1 of"):
        next(fit(sampler, settings, Plan(epochs=1, steps=1), count_up))


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_a_loss_that_no_picture_can_have_ends_the_fit(
    sampler: PatchSampler, optimizer: str, residual: bool
) -> None:
    settings = replace(QUICK, optimizer=optimizer, lr=1000.0, residual=residual)
    with pytest.raises(TrainingError, match=r"the loss is (nan|inf|[1-9]\S*) at step 6 of epoch 1"):
        run(sampler, settings)


def test_the_loss_of_an_epoch_is_the_mean_over_its_patches(sampler: PatchSampler) -> None:
    """However often it is looked at: with a rate too low to learn, a longer epoch is like one."""
    settings = replace(QUICK, lr=1e-30, augment=False)
    one_pass = sampler.batches_in_pass(QUICK.batch_size)
    losses = [
        next(fit(sampler, settings, Plan(1, passes * one_pass), count_up)).train_loss
        for passes in (1, 2 * LOOK_EVERY // one_pass + 1)
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)


@pytest.mark.parametrize(("alone", "told"), [(0.0, True), (1e9, False)])
def test_threads_that_only_wait_for_other_programs_are_told(
    sampler: PatchSampler,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    alone: float,
    told: bool,
) -> None:
    threads, seen = torch.get_num_threads(), []

    def of_one_thread(step: Callable[[], object]) -> float:
        def watched() -> None:
            seen.append(torch.get_num_threads())
            step()

        assert seconds_of_one_thread(watched) > 0
        return alone

    monkeypatch.setattr("srcnn_mlflow.training.plan.seconds_of_one_thread", of_one_thread)
    torch.set_num_threads(2)
    try:
        make_plan(sampler, QUICK, validation=0.1)
        assert (torch.get_num_threads(), seen) == (2, [1])
    finally:
        torch.set_num_threads(threads)
    assert told == ("OMP_NUM_THREADS=1 before the command" in caplog.text)


def test_a_plan_by_epochs_visits_every_patch_each_time(sampler: PatchSampler) -> None:
    plan = make_plan(sampler, QUICK, validation=0.1)
    assert (plan.epochs, plan.steps) == (3, sampler.batches_in_pass(4))
    assert plan.step_seconds is not None
    assert plan.step_seconds > 0


@pytest.mark.parametrize("minutes", [0.01, 1.0, 100.0])
def test_a_plan_by_minutes_fits_the_time(sampler: PatchSampler, minutes: float) -> None:
    plan = make_plan(sampler, replace(QUICK, max_minutes=minutes), validation=0.01)
    assert plan.step_seconds is not None
    assert plan.epochs >= 10
    planned = plan.epochs * (plan.steps * plan.step_seconds + 0.01)
    least = plan.epochs * (plan.step_seconds + 0.01)  # one step an epoch
    assert planned <= max(60 * minutes, least) + 1e-6
    assert planned >= 0.7 * 60 * minutes


@pytest.mark.parametrize(
    ("seconds", "minutes", "validation", "epochs", "steps"),
    [
        # A pass takes ten minutes: a tenth of the time is an epoch all the same.
        (600, 50, 0.0, 10, 0.5),
        (600, 50, 30.0, 10, 0.45),
        # Twelve whole passes, and a little time that is given to all of them.
        (60, 12.5, 0.0, 12, 12.5 / 12),
        # Validations alone would take longer than there is.
        (600, 1, 30.0, 10, 0),
    ],
)
def test_a_plan_by_minutes_is_laid_out_in_ten_epochs_or_more(
    sampler: PatchSampler,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    minutes: float,
    validation: float,
    epochs: int,
    steps: float,
) -> None:
    one_pass = sampler.batches_in_pass(QUICK.batch_size)
    a_step = seconds / one_pass
    monkeypatch.setattr("srcnn_mlflow.training.plan._time_step", lambda *_: a_step)
    plan = make_plan(sampler, replace(QUICK, max_minutes=minutes), validation)
    assert plan.epochs == epochs
    assert plan.steps == max(1, int(steps * one_pass + 1e-9))
    assert plan.step_seconds == a_step


@pytest.mark.parametrize("total", [1, 50, 5000])
def test_the_rate_is_that_of_its_formula(total: int) -> None:
    settings = replace(QUICK, lr=0.5)
    for step in {0, total // 100, total // 50, total // 2, total - 1}:
        cosine = 0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * step / total))
        warm = min(1.0, (step + 1) / (0.02 * total))
        assert learning_rate(settings, step, total) == pytest.approx(0.5 * warm * cosine)


@pytest.mark.parametrize(("minutes", "steps"), [(None, 11), (5.0, 31)])
def test_a_step_is_timed_after_the_first_five_and_for_as_long_as_it_matters(
    sampler: PatchSampler, monkeypatch: pytest.MonkeyPatch, minutes: float | None, steps: int
) -> None:
    clock, taken = [100.0], [0]

    def step(*_: object) -> torch.Tensor:
        taken[0] += 1
        clock[0] += 2.0 if taken[0] <= 5 else 0.06
        return torch.tensor(0.1)

    monkeypatch.setattr(Learner, "step", step)
    monkeypatch.setattr("srcnn_mlflow.training.plan.time.perf_counter", lambda: clock[0])
    plan = make_plan(sampler, replace(QUICK, max_minutes=minutes), validation=0.0)
    assert plan.step_seconds == pytest.approx(0.06)
    assert taken[0] == steps


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("loss", LOSSES)
def test_a_network_that_has_learnt_nothing_yet_has_not_diverged(
    photo_folder: Path, sampling: str, loss: str
) -> None:
    """Where smooth pictures weigh more, the loss of a first guess is above 1."""
    rows, columns = np.mgrid[0:70, 0:80]
    for number in range(4):
        pixels = (60 + rows + columns + number).astype(np.uint8)
        Image.fromarray(pixels).save(photo_folder / "train" / f"sky{number}.png")
    made = prepare(load_dataset(str(photo_folder)), StoreSettings(2, 25, 14), photo_folder)
    store = open_store(*made.files)
    chosen = replace(QUICK, residual=False, padding="zero", sampling=sampling, loss=loss)
    importance = measure_importance(store, 0, sampling, loss)
    losses = [
        result.train_loss
        for result in fit(PatchSampler(store, CPU, importance), chosen, Plan(2, 1), count_up)
    ]
    assert all(np.isfinite(losses))
    if loss == "psnr":
        assert max(losses) > 1
    diverging = replace(chosen, lr=1e3, optimizer="adam", schedule="constant")
    with pytest.raises(TrainingError, match="the training has diverged: the loss is"):
        list(fit(PatchSampler(store, CPU, importance), diverging, Plan(1, 9), count_up))
