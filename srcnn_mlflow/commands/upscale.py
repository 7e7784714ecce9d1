"""`upscale`: picture files in, enlarged picture files out."""

import errno
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from srcnn_mlflow import __version__
from srcnn_mlflow.commands.project import under_project
from srcnn_mlflow.commands.upscale_targets import Targets, beside, page_of, plan_targets
from srcnn_mlflow.machine.atomic_write import atomic_write
from srcnn_mlflow.machine.errors import ImageError, ModelError, WriteError
from srcnn_mlflow.machine.limits import read_limit
from srcnn_mlflow.machine.progress import progress
from srcnn_mlflow.machine.text import printable
from srcnn_mlflow.network.shipped import SHIPPED, SHIPPED_NAMES, full_name, shipped_network
from srcnn_mlflow.network.upscaler import Upscaler
from srcnn_mlflow.pictures.datasets import Split
from srcnn_mlflow.pictures.decoding import MAX_PIXELS, open_picture
from srcnn_mlflow.pictures.encoding import write_png
from srcnn_mlflow.pictures.imaging import enlarge
from srcnn_mlflow.pictures.metadata import enlarged
from srcnn_mlflow.pictures.photos import digest, scan
from srcnn_mlflow.pictures.picture import Picture
from srcnn_mlflow.showing.upscaled_page import Pair, render_upscaled

if TYPE_CHECKING:
    from srcnn_mlflow.tracking.registry import FoundModel

logger = logging.getLogger(__name__)

# zlib's own default.
PNG_LEVEL = 6


@dataclass(frozen=True)
class ChosenModel:
    """A network to upscale with, what to call it in messages, and whence it is.

    Attributes:
        upscaler: runs it.
        label: what it is called.
        found: the model that holds it; None for weights that ship with the package.
    """

    upscaler: Upscaler
    label: str
    found: "FoundModel | None" = None


@dataclass(frozen=True)
class Upscaled:
    """What `upscale_files` has done.

    Attributes:
        pictures: those that were enlarged.
        written: the files that they became.
    """

    pictures: list[Path]
    written: list[Path]


def upscale_for_project(
    reference: str,
    scale: int,
    inputs: Sequence[str],
    output: Path,
    compare: bool,
    precision: str = "float32",
) -> None:
    """`upscale_files` as a command; under `mlflow run` the run learns what was upscaled.

    Arguments and errors are those of `choose_model` and `upscale_files`.
    """
    if not under_project():
        upscale_files(choose_model(reference, scale, precision), scale, inputs, output, compare)
        return
    # Imported here, because MLflow takes seconds and upscaling needs none of it.
    from srcnn_mlflow.tracking import active_run, runs

    name = "+".join(inputs)
    with runs.track("upscale", scale, {}, f"upscale x{scale} {Path(inputs[0]).name}"):
        model = choose_model(reference, scale, precision)
        active_run.set_tags({"model_uri": model.label})
        done = upscale_files(model, scale, inputs, output, compare)
        photos = tuple(scan(name, done.pictures)[0])
        active_run.log_split(Split(name, "upscale", photos, digest(photos)))


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
    return ChosenModel(Upscaler(found.network, precision), found.label, found)


def _registry_in_sight() -> bool:
    """Whether there is a registry to ask, so that asking does not create an empty one."""
    named = any(name in os.environ for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"))
    return named or Path("mlflow.db").exists()


def shipped_model(scale: int, name: str = SHIPPED, precision: str = "float32") -> ChosenModel:
    """A trained network that comes with the package; `name` is one of SHIPPED_NAMES."""
    architecture = full_name(name).removeprefix(f"{SHIPPED}-")
    label = f"the {architecture} weights that ship with the package (x{scale})"
    return ChosenModel(Upscaler(shipped_network(scale, name), precision), label)


def upscale_files(
    model: ChosenModel, scale: int, inputs: Sequence[str], output: Path, compare: bool
) -> Upscaled:
    """Enlarge pictures, and every picture of folders, into PNG files.

    Pictures that cannot be used are named and left out.

    Args:
        model: the network.
        scale: what was asked for; the network must agree.
        inputs: picture files, folders of them, or several of these in one, joined by `+`.
        output: a folder, made where needed; or, for one picture, a file ending in `.png`.
        compare: write the bicubic enlargement beside each, and a page that shows both.

    Raises:
        ModelError: the network was trained for another scale.
        ImageError: there is no usable picture, or one would be replaced by its enlargement.
    """
    if model.upscaler.scale != scale:
        raise ModelError(
            f"{model.label} upscales by {model.upscaler.scale}, not by {scale}; give "
            f"scale={model.upscaler.scale}, or another model"
        )
    targets = plan_targets(inputs, output, scale, compare)
    for line in targets.left_out:
        logger.warning("left out: %s", line)
    done = Upscaled([], [])
    pairs: list[Pair] = []
    largest = int(read_limit("megapixels", MAX_PIXELS / 1e6) * 1e6)
    made_by = f"srcnn-mlflow {__version__}, {model.label}"
    for path, target in progress(targets.pairs, total=len(targets.pairs), label="upscaling"):
        try:
            picture = open_picture(path, largest)
            for note in picture.notes:
                logger.info("note: of %s, %s", printable(path.name), note)
            written = [_save(model.upscaler.upscale_picture(picture), scale, made_by, target)]
            if compare:
                bicubic = enlarge(picture, scale)
                written.append(_save(bicubic, scale, "bicubic interpolation", beside(target)))
                size = bicubic.width, bicubic.height
                pairs.append(Pair(path.name, size, *written))
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
        else:
            done.pictures.append(path)
            done.written.extend(written)
    _tell(done, targets, model)
    if compare:
        _write_page(scale, model.label, pairs, page_of(targets, output, scale))
    return done


def _tell(done: Upscaled, targets: Targets, model: ChosenModel) -> None:
    tried = len(targets.pairs)
    left_out = tried - len(done.pictures) + len(targets.left_out)
    if not done.written:
        raise ImageError(f"none of the {tried} picture(s) could be upscaled; see above for each")
    logger.info(
        "wrote %d file(s) to %s with %s%s",
        len(done.written),
        os.path.commonpath([path.parent.absolute() for path in done.written]),
        model.label,
        f"; left out {left_out} file(s), each named above" if left_out else "",
    )


def _write_page(scale: int, model: str, pairs: Sequence[Pair], page: Path) -> None:
    text = render_upscaled(scale, model, pairs, page.parent)
    with atomic_write(page) as partial:
        partial.write_text(text, encoding="utf-8")
    logger.info("to see them beside bicubic's, open %s", page)


def _save(picture: Picture, scale: int, made_by: str, path: Path) -> Path:
    said = enlarged(picture.metadata, scale, picture.width, picture.height, made_by)
    with atomic_write(path) as partial, partial.open("wb") as file:
        write_png(replace(picture, metadata=said), file, PNG_LEVEL)
    return path
