"""`upscale`: picture files in, enlarged picture files out."""

import errno
import logging
import os
from collections.abc import Generator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from srcnn_mlflow.commands.project import under_project
from srcnn_mlflow.commands.upscale_steps import BICUBIC, Method, Outcome, Steps, Wanted
from srcnn_mlflow.commands.upscale_targets import Targets, page_of, plan_targets
from srcnn_mlflow.machine.atomic_write import atomic_write
from srcnn_mlflow.machine.errors import ImageError, ModelError, WriteError
from srcnn_mlflow.machine.limits import read_limit
from srcnn_mlflow.machine.overlap import overlapped
from srcnn_mlflow.machine.processors import available_cores
from srcnn_mlflow.machine.progress import progress
from srcnn_mlflow.machine.text import as_markdown, printable
from srcnn_mlflow.network.shipped import SHIPPED, SHIPPED_NAMES, full_name, shipped_network
from srcnn_mlflow.network.upscaler import Upscaler
from srcnn_mlflow.pictures.datasets import Split
from srcnn_mlflow.pictures.decoding import MAX_PIXELS
from srcnn_mlflow.pictures.formats import FORMATS, SAME, TIFF
from srcnn_mlflow.pictures.photos import digest, scan
from srcnn_mlflow.showing.upscaled_page import Pair, render_upscaled

if TYPE_CHECKING:
    from srcnn_mlflow.tracking.registry import FoundModel

logger = logging.getLogger(__name__)

AS_PNG = Wanted()
# Pictures that are written at once, each of which takes memory.
MOST_WRITERS = 4


@dataclass(frozen=True)
class ChosenModel:
    """A network to upscale with, what to call it in messages, and whence it is.

    Attributes:
        upscaler: runs it.
        network: its file.
        label: what it is called.
        precision: what it is computed in.
        found: the model that holds it; None for weights that ship with the package.
    """

    upscaler: Upscaler
    network: Path
    label: str
    precision: str
    found: "FoundModel | None" = None


@dataclass(frozen=True)
class Upscaled:
    """What `upscale_files` has done.

    Attributes:
        pictures: those that were enlarged.
        written: the files that they became.
        done_before: pictures that a former call has enlarged.
    """

    pictures: list[Path]
    written: list[Path]
    done_before: list[Path]


def upscale_for_project(
    reference: str,
    scale: int,
    inputs: Sequence[str],
    output: Path,
    compare: bool,
    precision: str = "float32",
    wanted: Wanted = AS_PNG,
) -> None:
    """`upscale_files` as a command; under `mlflow run` the run learns what was upscaled.

    Arguments and errors are those of `choose_model` and `upscale_files`.
    """
    if not under_project():
        model = choose_model(reference, scale, precision)
        upscale_files(model, scale, inputs, output, compare, wanted)
        return
    # Imported here, because MLflow takes seconds and upscaling needs none of it.
    from srcnn_mlflow.tracking import active_run, runs

    name = "+".join(inputs)
    with runs.track("upscale", scale, {}, f"upscale x{scale} {Path(inputs[0]).name}"):
        model = choose_model(reference, scale, precision)
        active_run.set_tags({"model_uri": model.label})
        done = upscale_files(model, scale, inputs, output, compare, wanted)
        photos = tuple(scan(name, [*done.pictures, *done.done_before])[0])
        active_run.log_split(Split(name, "upscale", photos, digest(photos)))
        count, before = len(done.pictures), len(done.done_before)
        told = f"{count} picture(s) enlarged by {model.label}, {before} done before: {output}"
        active_run.describe(as_markdown(told))


def choose_model(reference: str, scale: int, precision: str = "float32") -> ChosenModel:
    """Find the network to upscale with.

    Args:
        reference: `champion`, which falls back on `shipped` where there is none; `shipped`, or
            `shipped-9-1-5` and the like; another alias, a version number, or a model URI.
        scale: 2, 3 or 4.
        precision: what the network computes in, `float32` or `bfloat16`.

    Raises:
        ModelError: there is no such model, or it cannot be run in that precision.
    """
    if reference in SHIPPED_NAMES:
        return shipped_model(scale, reference, precision)
    if reference == "champion" and not _registry_in_sight():
        logger.info(
            "%s has no mlflow.db, and MLFLOW_TRACKING_URI is not set, so there is no champion to "
            "ask for: the shipped weights are used",
            Path.cwd(),
        )
        return shipped_model(scale, precision=precision)
    # Imported here, because MLflow takes seconds and the shipped weights need none of it.
    from srcnn_mlflow.tracking import registry
    from srcnn_mlflow.tracking.store import check_store

    check_store()
    if reference == "champion" and registry.version_with_alias(scale, reference) is None:
        logger.info(
            "%s has no champion yet, so the shipped weights are used", registry.model_name(scale)
        )
        return shipped_model(scale, precision=precision)
    found = registry.find_model(reference, scale)
    upscaler = Upscaler(found.network, precision)
    return ChosenModel(upscaler, found.network, found.label, precision, found)


def _registry_in_sight() -> bool:
    """Whether there is a registry to ask, so that asking does not create an empty one."""
    named = any(name in os.environ for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"))
    return named or Path("mlflow.db").exists()


def shipped_model(scale: int, name: str = SHIPPED, precision: str = "float32") -> ChosenModel:
    """A trained network that comes with the package; `name` is one of SHIPPED_NAMES."""
    architecture = full_name(name).removeprefix(f"{SHIPPED}-")
    label = f"the {architecture} weights that ship with the package (x{scale})"
    network = shipped_network(scale, name)
    return ChosenModel(Upscaler(network, precision), network, label, precision)


def upscale_files(
    model: ChosenModel,
    scale: int,
    inputs: Sequence[str],
    output: Path,
    compare: bool,
    wanted: Wanted = AS_PNG,
) -> Upscaled:
    """Enlarge pictures, and every picture of folders.

    Pictures that cannot be used are named and left out.

    Args:
        model: the network.
        scale: what was asked for; the network must agree.
        inputs: picture files, folders of them, or several of these in one, joined by `+`.
        output: a folder, made where needed; or, for one picture, a file.
        compare: write the bicubic enlargement beside each, and a page that shows both.
        wanted: how results are written.

    Raises:
        ModelError: the network was trained for another scale.
        ImageError: there is no usable picture, or one would be replaced by its enlargement.
    """
    if model.upscaler.scale != scale:
        raise ModelError(
            f"{model.label} upscales by {model.upscaler.scale}, not by {scale}; give "
            f"scale={model.upscaler.scale}, or another model"
        )
    _check_quality(wanted)
    targets = plan_targets(inputs, output, scale, compare, wanted.form)
    page = page_of(targets, output, scale)
    for line in targets.left_out:
        logger.warning("left out: %s", line)
    done = Upscaled([], [], [])
    pairs: list[Pair] = []
    with closing(_outcomes(model, targets, compare, wanted)) as outcomes:
        for (path, target), outcome in progress(
            outcomes, total=len(targets.pairs), label="upscaling"
        ):
            found = _taken(path, outcome)
            if found is None:
                continue
            for note in found.notes:
                logger.info("note: of %s, %s", printable(path.name), note)
            if found.done_before:
                done.done_before.append(path)
            else:
                done.pictures.append(path)
                done.written.extend(found.files)
            if compare:
                # Results lie in the folders that their pictures came from.
                name = target.parent.relative_to(page.parent) / path.name
                pairs.append(Pair(str(name), found.size, *found.files))
    _tell(done, targets, model, compare)
    if compare:
        _write_page(scale, model.label, pairs, page)
    return done


def _check_quality(wanted: Wanted) -> None:
    lossless = wanted.form != SAME and FORMATS[wanted.form].quality is None
    if wanted.quality is not None and lossless:
        raise ImageError(
            f"quality is {wanted.quality}, and {wanted.form} loses nothing; leave it out, or give "
            "format=jpeg, webp or avif"
        )


def _outcomes(
    model: ChosenModel, targets: Targets, compare: bool, wanted: Wanted
) -> Generator[tuple[tuple[Path, Path], Future[Outcome]], None, None]:
    largest = int(read_limit("megapixels", MAX_PIXELS / 1e6) * 1e6)
    ours = Method.of_network(model.network, model.label, model.precision)
    steps = Steps(model.upscaler, [ours, BICUBIC] if compare else [ours], wanted, largest)
    writers = min(MOST_WRITERS, available_cores())
    return overlapped(targets.pairs, steps.read, steps.compute, steps.write, writers)


def _taken(path: Path, outcome: Future[Outcome]) -> Outcome | None:
    """What became of a picture; None, and a line that says why, where it cannot be used."""
    try:
        return outcome.result()
    except ImageError as error:
        logger.warning("skipped: %s", error)
    except MemoryError:
        logger.warning(
            "skipped: %s does not fit the memory of this machine; cut it into parts, or give "
            "it to a machine with more",
            printable(path.name),
        )
    except WriteError as error:
        if getattr(error.__cause__, "errno", None) != errno.ENAMETOOLONG:
            raise
        logger.warning(
            "skipped: the name of what %s becomes is too long; rename it", printable(path.name)
        )
    return None


def _tell(done: Upscaled, targets: Targets, model: ChosenModel, compare: bool) -> None:
    tried = len(targets.pairs)
    skipped = tried - len(done.pictures) - len(done.done_before)
    left_out = skipped + len(targets.left_out)
    if skipped == tried:
        raise ImageError(f"none of the {tried} picture(s) could be upscaled; see above for each")
    before = f"; {len(done.done_before)} picture(s) were done before" if done.done_before else ""
    others = f"; left out {left_out} file(s), each named above" if left_out else ""
    if not done.written:
        logger.info("wrote nothing%s%s", before, others)
        return
    logger.info(
        "wrote %d picture(s)%s to %s with %s%s%s",
        len(done.pictures),
        ", with bicubic's beside each," if compare else "",
        os.path.commonpath([path.parent.absolute() for path in done.written]),
        model.label,
        before,
        others,
    )


def _write_page(scale: int, model: str, pairs: Sequence[Pair], page: Path) -> None:
    shown = [one for one in pairs if one.srcnn.suffix.lower() not in TIFF.endings]
    if not shown:
        logger.warning("there is no page of them, because browsers show no TIFF files")
        return
    text = render_upscaled(scale, model, shown, page.parent)
    with atomic_write(page) as partial:
        partial.write_text(text, encoding="utf-8")
    logger.info("to see them beside bicubic's, open %s", page)
