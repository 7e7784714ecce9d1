"""`train`: fit a network, track every epoch, register what came out."""

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from PIL import Image

from srcnn_mlflow import registry, tracking
from srcnn_mlflow.checkpoint import load_checkpoint, save_checkpoint
from srcnn_mlflow.commands.prepare import Prepared, prepare_dataset, under_project
from srcnn_mlflow.datasets import Photo, digest
from srcnn_mlflow.distributed import World, alone, choose_device
from srcnn_mlflow.errors import SrcnnError, TrainingError
from srcnn_mlflow.evaluation import (
    Summary,
    UpscaleLuma,
    score_photos,
    summarize,
)
from srcnn_mlflow.export import Weights, build_onnx, save_onnx
from srcnn_mlflow.imaging import Plane, to_eight_bit, upscale
from srcnn_mlflow.model import Srcnn, count_weights
from srcnn_mlflow.outbox import Outbox, Parcel
from srcnn_mlflow.progress import Say, say_nothing
from srcnn_mlflow.sampler import PatchSampler
from srcnn_mlflow.specimen import Specimen, choose_specimen, draw_specimen
from srcnn_mlflow.store import Store, StoreSettings, open_store
from srcnn_mlflow.training import EpochResult, Plan, Progress, TrainingSettings, fit, make_plan
from srcnn_mlflow.upscaler import Upscaler
from srcnn_mlflow.validation import make_validate, validation_planes

CHECKPOINTS = "checkpoint"
BEST = "best.safetensors"
# Epochs take turns with them, so that one which is cut short costs an epoch, and not the training.
STATES = ("state-even.safetensors", "state-odd.safetensors")
# In a state, the weights of the best epoch stand under names that begin so.
_BEST_PREFIX = "best:"
# Told of every epoch; False ends the training after it.
Watch = Callable[[Plan, EpochResult], bool]
# The key of the picture that the UI shows by the epoch, and among how many it is chosen.
SPECIMEN, SPECIMENS = "validation crop", 10


@dataclass(frozen=True)
class TrainRequest:
    """Everything that decides a training; its fields are the parameters of `train`.

    Attributes:
        scale: 2, 3 or 4.
        dataset: names the photographs.
        patch_size: side of a patch, in pixels.
        stride: between patches, in pixels.
        train_images: use only so many training pictures; None for all.
        settings: the hyper-parameters.
    """

    scale: int
    dataset: str
    patch_size: int
    stride: int
    train_images: int | None
    settings: TrainingSettings

    def parameters(self) -> dict[str, Any]:
        """All of it by name."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "settings"}
        return {**own, **asdict(self.settings)}

    def logged(self, device: str) -> dict[str, Any]:
        """Every parameter of the entry point `train`, as a new run logs it."""
        images = "all" if self.train_images is None else self.train_images
        return {**self.parameters(), "train_images": images, "device": device, "resume": None}

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> "TrainRequest":
        """The inverse of `parameters`."""
        names = {f.name for f in fields(TrainingSettings)}
        settings = {key: value for key, value in parameters.items() if key in names}
        own = {key: value for key, value in parameters.items() if key not in names}
        return cls(settings=TrainingSettings(**settings), **own)


@dataclass(frozen=True)
class Trained:
    """A finished training: the registered version, and its scores on the validation pictures."""

    version: int
    run_id: str
    validation: Summary


def train(request: TrainRequest, device: str, say: Say, world: World | None = None) -> Trained:
    """Prepare where needed, train, and register the best epoch as challenger.

    Args:
        request: what to train.
        device: `auto`, `cpu` or `cuda`.
        say: where messages go.
        world: the processes that train together, which this one leads; None for this one alone.

    Raises:
        SrcnnError: with a message for the person who asked.
    """
    world = world or alone(choose_device(device))
    name = f"train x{request.scale} {request.settings.architecture} {request.dataset}"
    parameters = request.logged(device)
    with tracking.track("train", request.scale, parameters, name, system_metrics=True) as run:
        return _lead(run.info.run_id, request, world, say, None)


def resume(run_id: str, world: World, say: Say) -> Trained:
    """Go on with an interrupted training, in its own run and with its own settings.

    Under `mlflow run`, the run that MLflow itself has opened is only tagged `resumed_run`.

    Args:
        run_id: of the interrupted run.
        world: the processes that train together, which this one leads.
        say: where messages go.

    Raises:
        TrainingError: there is no such run, or it has no state to go on from.
    """
    with _tag_project_run(run_id):
        try:
            _check_resumable(mlflow.get_run(run_id))
            state = _newest_state(run_id)
        except (MlflowException, OSError) as error:
            raise TrainingError(f"run {run_id} cannot be resumed: {error}") from error
        request = TrainRequest.from_parameters(state.facts["parameters"])
        say(f"resuming run {run_id} after epoch {state.progress.epoch} of {state.plan.epochs}")
        with tracking.go_on(run_id):
            return _lead(run_id, request, world, say, state)


def try_out(
    run_id: str,
    request: TrainRequest,
    prepared: Prepared,
    store: Store,
    world: World,
    watch: Watch,
    say: Say,
) -> None:
    """Train in the active run as `train` does, but register nothing.

    Args:
        run_id: of the active run; where it holds the state of a broken-off training, that goes on.
        request: what to train.
        prepared: what `make_ready` gave for the request.
        store: the opened file of `prepared`.
        world: this process, and where it trains.
        watch: told of every epoch; False ends the training after it.
        say: where messages go.

    Raises:
        SrcnnError: with a message for the person who asked.
    """
    try:
        state = _newest_state(run_id)
    except TrainingError:
        # None was written yet, or none that is whole.
        state = None
    facts = _log_inputs(run_id, request, prepared, state)
    _fit(run_id, request, store, world, say, state, facts, watch)


def find_interrupted(request: TrainRequest, say: Say) -> str | None:
    """The newest run that was to train the same, and was interrupted after an epoch or later.

    Args:
        request: what to train.
        say: told of runs whose state is damaged.
    """
    for run in tracking.interrupted_runs("train", request.scale):
        try:
            state = _newest_state(run.info.run_id)
        except TrainingError as error:
            say(f"passing over an interrupted run: {error}")
            continue
        if state.facts["parameters"] == request.parameters():
            return str(run.info.run_id)
    return None


def is_complete(run_id: str) -> bool:
    """Whether an interrupted training had come to the end of its last epoch."""
    state = _newest_state(run_id)
    return state.progress.epoch == state.plan.epochs


def _newest_state(run_id: str) -> "_State":
    """The state after the last epoch that is whole.

    Raises:
        TrainingError: there is none.
    """
    Outbox(run_id).send()
    damage = [f"run {run_id} was interrupted before the end of its first epoch"]
    states = []
    listed = {Path(file.path).name for file in MlflowClient().list_artifacts(run_id, CHECKPOINTS)}
    with tempfile.TemporaryDirectory() as folder:
        for name in listed.intersection(STATES):
            path = tracking.download(run_id, f"{CHECKPOINTS}/{name}", Path(folder))
            try:
                states.append(_State.from_file(path))
            except TrainingError as error:
                damage.append(str(error))
    if not states:
        raise TrainingError(f"{damage[-1]}; train anew, with resume=none")
    return max(states, key=lambda state: state.progress.epoch)


def follow(world: World) -> None:
    """Train beside the process that leads, which tracks and registers for all.

    Raises:
        SrcnnError: with a message for the person who asked.
    """
    with world.together():
        brief = json.loads(world.broadcast(b""))
        state_file = world.broadcast(b"")
    run_id, state = brief["run_id"], None
    if state_file:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / STATES[0]
            path.write_bytes(state_file)
            state = _State.from_file(path)
    request = TrainRequest.from_parameters(brief["parameters"])
    try:
        # The process that leads speaks for all.
        prepared = _prepare(request, say_nothing)
        if digest(prepared.dataset.photos("train")) != brief["train_digest"]:
            raise TrainingError(
                f"process {world.rank} finds other pictures in data set {request.dataset} than the "
                "process that leads; give every machine the same"
            )
        store = open_store(prepared.path)
        with world.together():
            for _ in _epochs(request, store, world, state, say_nothing):
                pass
    except (SrcnnError, KeyboardInterrupt) as error:
        # The process that leads may be the one that is lost, and then cannot say so.
        if world.beside_leader:
            tracking.mark_failed(run_id, str(error) or "interrupted")
        raise


def _watch_idly(*_: object) -> bool:
    """Nobody ends the training early."""
    return True


def _check_resumable(run: Run) -> None:
    run_id, entry_point = run.info.run_id, run.data.tags.get("entry_point")
    if entry_point != "train":
        raise TrainingError(
            f"run {run_id} is not a training but {entry_point}; give the id of a train run"
        )
    if run.info.status == "FINISHED":
        raise TrainingError(f"run {run_id} is finished; there is nothing to resume")
    process = tracking.process_of(run)
    if run.info.status == "RUNNING" and process is not None and process.is_alive_here():
        raise TrainingError(
            f"run {run_id} is still being trained by process {process.number}; wait for it, or end "
            "that process first"
        )


@dataclass(frozen=True)
class _State:
    """Where an interrupted training stood, and the file that says so."""

    arrays: dict[str, Any]
    facts: dict[str, Any]
    file: bytes

    @classmethod
    def from_file(cls, path: Path) -> "_State":
        arrays, facts = load_checkpoint(path)
        return cls(arrays, facts, path.read_bytes())

    @property
    def plan(self) -> Plan:
        return Plan(**self.facts["plan"])

    @property
    def best(self) -> Weights:
        """The weights of the best epoch."""
        return {
            name.removeprefix(_BEST_PREFIX): array
            for name, array in self.arrays.items()
            if name.startswith(_BEST_PREFIX)
        }

    @property
    def progress(self) -> Progress:
        return Progress(
            epoch=self.facts["epoch"],
            best_val_psnr=self.facts["best_val_psnr"],
            best_epoch=self.facts["best_epoch"],
            state=self.arrays,
        )


@contextmanager
def _tag_project_run(run_id: str) -> Iterator[None]:
    if not under_project():
        yield
        return
    with tracking.track("resume", None, {}, f"resume {run_id}"):
        mlflow.set_tag("resumed_run", run_id)
        yield


def _lead(
    run_id: str, request: TrainRequest, world: World, say: Say, state: "_State | None"
) -> Trained:
    prepared = make_ready(request, say)
    facts = _log_inputs(run_id, request, prepared, state)
    mlflow.set_tag("processes", world.size)
    with world.together():
        world.broadcast(json.dumps({"run_id": run_id, **facts}).encode())
        world.broadcast(b"" if state is None else state.file)
    # Opening reads the whole file, to hold it against its checksums.
    store = open_store(prepared.path)
    with world.together():
        weights = _fit(run_id, request, store, world, say, state, facts)
    return _register(run_id, request, prepared, len(store.patches), weights, say)


def make_ready(request: TrainRequest, say: Say) -> Prepared:
    """Prepare where needed, and tell what is to be beaten.

    Raises:
        SrcnnError: with a message for the person who asked.
    """
    _check_patch_size(request)
    prepared = _prepare(request, say)
    _say_baseline(prepared, request.scale, say)
    return prepared


def _log_inputs(
    run_id: str, request: TrainRequest, prepared: Prepared, state: "_State | None"
) -> dict[str, Any]:
    """Log the pictures; gives what every checkpoint says of its training."""
    for split in ("train", "valid"):
        tracking.log_photos(request.dataset, prepared.dataset.photos(split), split)
    train_digest = digest(prepared.dataset.photos("train"))
    if state and state.facts["train_digest"] != train_digest:
        raise TrainingError(
            f"data set {request.dataset} has changed since run {run_id} was interrupted; bring its "
            "pictures back, or train anew"
        )
    return {"parameters": request.parameters(), "train_digest": train_digest}


def _prepare(request: TrainRequest, say: Say) -> Prepared:
    patches = StoreSettings(request.scale, request.patch_size, request.stride)
    return prepare_dataset(request.dataset, patches, request.train_images, say)


def _check_patch_size(request: TrainRequest) -> None:
    network = request.settings.network
    least = 2 * network.halo + 1
    if network.padding == "none" and request.patch_size < least:
        raise TrainingError(
            f"patch_size {request.patch_size} leaves nothing of a patch with padding none and "
            f"architecture {network.name}; use at least {least}, or another padding"
        )
    kernel = network.kernels[0]
    if request.settings.precondition and request.patch_size < kernel:
        raise TrainingError(
            f"patch_size {request.patch_size} is smaller than the first layer's kernels of "
            f"{kernel}x{kernel}, which precondition measures; use at least {kernel}, or "
            "precondition=false"
        )


def _say_baseline(prepared: Prepared, scale: int, say: Say) -> None:
    """Tell what is to be beaten; fails at once where validation pictures cannot be scored."""

    def bicubic(plane: Plane) -> Plane:
        return to_eight_bit(upscale(plane, scale))

    photos = prepared.dataset.photos("valid")
    baseline = _score_validation(photos, scale, bicubic, say)
    say(
        f"validation: {baseline.images} pictures, bicubic {baseline.bicubic_psnr:.3f} dB, SSIM "
        f"{baseline.bicubic_ssim:.4f}"
    )


def _score_validation(
    photos: Sequence[Photo], scale: int, upscale_luma: UpscaleLuma, say: Say
) -> Summary:
    return summarize(score for _, score in score_photos(photos, scale, scale, upscale_luma, say))


def _fit(
    run_id: str,
    request: TrainRequest,
    store: Store,
    world: World,
    say: Say,
    state: "_State | None",
    facts: dict[str, Any],
    watch: Watch = _watch_idly,
) -> Weights:
    """Train, logging every epoch; gives the best epoch's weights."""
    pictures = islice(validation_planes(store, request.scale), SPECIMENS)
    specimen = choose_specimen(pictures, request.scale)
    best = state.best if state else {}
    outbox = Outbox(run_id)
    with tempfile.TemporaryDirectory() as folder, outbox.open(say):
        for plan, result in _epochs(request, store, world, state, say):
            best = result.weights if result.is_best else best
            files = _checkpoints(result, plan, best, facts, Path(folder))
            image = None
            if is_shown(result.epoch, plan.epochs):
                image = (SPECIMEN, _draw_specimen(specimen, result, request))
            outbox.put(Parcel(result.epoch, _metrics(result), files, CHECKPOINTS, image))
            _say_epoch(result, plan, say)
            if not watch(plan, result):
                break
    return best


def _epochs(
    request: TrainRequest, store: Store, world: World, state: "_State | None", say: Say
) -> Iterator[tuple[Plan, EpochResult]]:
    """What every process of a training does."""
    settings = request.settings
    sampler = PatchSampler(store, world.device)
    validate = make_validate(store, settings.network, request.scale, world)
    if state:
        plan, progress = state.plan, state.progress
    else:
        plan, progress = _plan(sampler, settings, validate, world), None
    say(_estimate(request, sampler, plan, world))
    for result in fit(sampler, settings, plan, validate, progress, world):
        store.check_unchanged()
        yield plan, result


def _plan(
    sampler: PatchSampler,
    settings: TrainingSettings,
    validate: Callable[[Weights], float],
    world: World,
) -> Plan:
    start = time.perf_counter()
    untrained = Srcnn(settings.network).state_dict()
    validate({name: value.numpy() for name, value in untrained.items()})
    return make_plan(sampler, settings, time.perf_counter() - start, world)


def _estimate(request: TrainRequest, sampler: PatchSampler, plan: Plan, world: World) -> str:
    weights = count_weights(Srcnn(request.settings.network))
    text = (
        f"training {registry.model_name(request.scale)} {request.settings.architecture} "
        f"({weights:,} weights) on {world.device}{_describe_size(world)}: "
        f"{sampler.patch_count:,} patches, {plan.epochs} epochs of {plan.steps:,} steps, "
        f"{sampler.bytes / 1e6:.0f} MB of patches in memory"
    )
    if plan.step_seconds is not None:
        minutes = plan.total_steps * plan.step_seconds / 60
        text += (
            f"; a step takes {1000 * plan.step_seconds:.1f} ms, so about {minutes:.1f} minutes "
            "beside validation (max_minutes, epochs or train_images make it shorter)"
        )
    return text


def _describe_size(world: World) -> str:
    return "" if world.size == 1 else f" in {world.size} processes"


def _metrics(result: EpochResult) -> dict[str, float]:
    return {
        "train_loss": result.train_loss,
        "val_psnr": result.val_psnr,
        "lr": result.lr,
        "epoch_seconds": result.seconds,
        "patches_per_second": result.patches_per_second,
        "best_val_psnr": result.best_val_psnr,
        "best_epoch": result.best_epoch,
    }


def _checkpoints(
    result: EpochResult, plan: Plan, best: Weights, facts: dict[str, Any], folder: Path
) -> list[Path]:
    """Write the best weights and the state; either heals what a kill has cut short."""
    history = {"best_val_psnr": result.best_val_psnr, "best_epoch": result.best_epoch}
    state_facts = {"epoch": result.epoch, **history, "plan": asdict(plan), **facts}
    best_facts = {"epoch": result.best_epoch, "val_psnr": result.best_val_psnr, **facts}
    kept = {f"{_BEST_PREFIX}{name}": array for name, array in best.items()}
    files = [folder / BEST, folder / STATES[result.epoch % 2]]
    save_checkpoint(files[0], best, best_facts)
    save_checkpoint(files[1], {**result.state, **kept}, state_facts)
    return files


def _say_epoch(result: EpochResult, plan: Plan, say: Say) -> None:
    say(
        f"epoch {result.epoch} of {plan.epochs}: loss {result.train_loss:.2e}, validation "
        f"{result.val_psnr:.3f} dB{' (best)' if result.is_best else ''}, "
        f"{result.patches_per_second:,.0f} patches/s, {result.seconds:.0f} s"
    )


def is_shown(epoch: int, epochs: int) -> bool:
    """Whether an epoch is worth a picture: the first ten, and some twenty of any number."""
    return epoch <= 10 or epoch == epochs or epoch % -(-epochs // 20) == 0


def _draw_specimen(specimen: Specimen, result: EpochResult, request: TrainRequest) -> Image.Image:
    upscaler = Upscaler(build_onnx(result.weights, request.settings.network, request.scale))
    return draw_specimen(specimen, upscaler.upscale_luma)


def _register(
    run_id: str,
    request: TrainRequest,
    prepared: Prepared,
    patches: int,
    weights: Weights,
    say: Say,
) -> Trained:
    scale, network = request.scale, request.settings.network
    upscaler = Upscaler(build_onnx(weights, network, scale))
    photos = prepared.dataset.photos("valid")
    validation = _score_validation(photos, scale, upscaler.upscale_luma, say)
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / registry.NETWORK_FILE
        save_onnx(path, weights, network, scale)
        version = registry.register(
            scale,
            path,
            {
                "architecture": network.name,
                "dataset": request.dataset,
                "dataset_digest": digest(prepared.dataset.photos("train")),
                "git_commit": tracking.git_commit(),
                **registry.score_tags(validation, f"{request.dataset} valid"),
            },
        )
    mlflow.set_tag(tracking.DESCRIPTION, _describe(request, prepared, patches, version, validation))
    say(
        f"registered {registry.model_name(scale)} version {version} as challenger: "
        f"{validation.srcnn_psnr:.2f} dB on {validation.images} validation pictures, bicubic "
        f"{validation.bicubic_psnr:.2f} dB"
    )
    if validation.psnr_gain <= 0:
        say(
            f"version {version} is no better than bicubic, and promote will refuse it; train "
            f"longer, or lower lr (now {request.settings.lr:g})"
        )
    return Trained(version, run_id, validation)


def _describe(
    request: TrainRequest, prepared: Prepared, patches: int, version: int, validation: Summary
) -> str:
    """A paragraph for the person who opens the run."""
    settings = request.settings
    length = (
        f"{settings.epochs} epochs"
        if settings.max_minutes is None
        else f"about {settings.max_minutes:g} minutes"
    )
    return (
        f"**{registry.model_name(request.scale)} version {version}**: SRCNN "
        f"{settings.architecture} for x{request.scale}, trained on {patches:,} patches of "
        f"{request.patch_size}x{request.patch_size} from {len(prepared.dataset.photos('train'))} "
        f"pictures of `{request.dataset}` for {length} with {settings.optimizer} at a rate of "
        f"{settings.lr:g} ({settings.schedule}), batches of {settings.batch_size}, padding "
        f"{settings.padding}, seed {settings.seed}. On {validation.images} validation pictures, "
        f"which chose the epoch: **{validation.srcnn_psnr:.2f} dB**, SSIM "
        f"{validation.srcnn_ssim:.4f}; bicubic {validation.bicubic_psnr:.2f} dB, "
        f"{validation.bicubic_ssim:.4f} (gain {validation.psnr_gain:+.2f} dB)."
    )
