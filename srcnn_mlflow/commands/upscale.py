"""`upscale`: picture files in, enlarged picture files out."""

import errno
import logging
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from srcnn_mlflow.commands.project import under_project
from srcnn_mlflow.machine.atomic_write import atomic_write
from srcnn_mlflow.machine.errors import ImageError, ModelError, WriteError
from srcnn_mlflow.machine.limits import read_limit
from srcnn_mlflow.machine.progress import progress
from srcnn_mlflow.machine.text import printable
from srcnn_mlflow.network.shipped import shipped_network
from srcnn_mlflow.network.upscaler import Upscaler
from srcnn_mlflow.pictures.datasets import Split
from srcnn_mlflow.pictures.decoding import MAX_PIXELS, open_image
from srcnn_mlflow.pictures.imaging import bicubic_image
from srcnn_mlflow.pictures.photos import digest, scan
from srcnn_mlflow.pictures.picture_files import SUFFIXES, picture_files

logger = logging.getLogger(__name__)

# How results are called.
_RESULT = re.compile(r"(?P<of>.+)-x[234](-bicubic)?\.png")


@dataclass(frozen=True)
class ChosenModel:
    """A network to upscale with, and what to call it in messages."""

    upscaler: Upscaler
    label: str


def upscale_for_project(
    reference: str, scale: int, source: Path, output: Path, compare: bool
) -> None:
    """`upscale_files` as a command; under `mlflow run` the run learns what was upscaled.

    Arguments and errors are those of `choose_model` and `upscale_files`.
    """
    if not under_project():
        upscale_files(choose_model(reference, scale), scale, source, output, compare)
        return
    # Imported here, because MLflow takes seconds and upscaling needs none of it.
    from srcnn_mlflow.tracking import active_run, runs

    with runs.track("upscale", scale, {}, f"upscale x{scale} {source.name}"):
        model = choose_model(reference, scale)
        active_run.set_tags({"model_uri": model.label})
        upscale_files(model, scale, source, output, compare)
        found = source.expanduser()
        pictures = [found] if found.is_file() else picture_files(found)
        photos = tuple(scan(str(source), pictures)[0])
        active_run.log_split(Split(str(source), "upscale", photos, digest(photos)))


def choose_model(reference: str, scale: int) -> ChosenModel:
    """Find the network to upscale with.

    Args:
        reference: `champion`, which falls back on `shipped` where there is none; `shipped`;
            another alias, a version number, or a model URI.
        scale: 2, 3 or 4.

    Raises:
        ModelError: there is no such model.
    """
    if reference == "shipped" or (reference == "champion" and not _registry_in_sight()):
        return shipped_model(scale)
    # Imported here, because MLflow takes seconds and the shipped weights need none of it.
    from srcnn_mlflow.tracking import registry
    from srcnn_mlflow.tracking.store import check_store

    check_store()
    if reference == "champion" and registry.version_with_alias(scale, reference) is None:
        logger.info(
            "%s has no champion yet, so the shipped weights are used", registry.model_name(scale)
        )
        return shipped_model(scale)
    found = registry.find_model(reference, scale)
    return ChosenModel(Upscaler(found.network), found.label)


def _registry_in_sight() -> bool:
    """Whether there is a registry to ask, so that asking does not create an empty one."""
    named = any(name in os.environ for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"))
    return named or Path("mlflow.db").exists()


def shipped_model(scale: int) -> ChosenModel:
    """The small trained network that comes with the package."""
    label = f"the 9-1-5 weights that ship with the package (x{scale})"
    return ChosenModel(Upscaler(shipped_network(scale)), label)


def upscale_files(
    model: ChosenModel, scale: int, source: Path, output: Path, compare: bool
) -> list[Path]:
    """Enlarge a picture, or every picture of a folder, into PNG files.

    Pictures that cannot be used are named and left out.

    Args:
        model: the network.
        scale: what was asked for; the network must agree.
        source: a picture file or a folder of them.
        output: a folder, made where needed; or, for one picture, a file ending in `.png`.
        compare: write the bicubic enlargement beside each.

    Returns:
        The files that were written.

    Raises:
        ModelError: the network was trained for another scale.
        ImageError: there is no usable picture, or one would be replaced by its enlargement.
    """
    if model.upscaler.scale != scale:
        raise ModelError(
            f"{model.label} upscales by {model.upscaler.scale}, not by {scale}; give "
            f"scale={model.upscaler.scale}, or another model"
        )
    # The shell leaves a ~ alone in `-P input=~/photos`.
    targets = _plan_outputs(source.expanduser(), output.expanduser(), scale)
    _check_targets(targets, compare)
    written: list[Path] = []
    largest = int(read_limit("megapixels", MAX_PIXELS / 1e6) * 1e6)
    for path, target in progress(targets, total=len(targets), label="upscaling"):
        try:
            image = open_image(path, largest)
        except ImageError as error:
            logger.warning("skipped: %s", error)
            continue
        try:
            written.append(_save(model.upscaler.upscale_image(image), target))
            if compare:
                written.append(_save(bicubic_image(image, scale), _beside(target)))
        except WriteError as error:
            if getattr(error.__cause__, "errno", None) != errno.ENAMETOOLONG:
                raise
            logger.warning(
                "skipped: the name of what %s becomes is too long; rename it", printable(path.name)
            )
    if not written:
        raise ImageError(f"none of the {len(targets)} file(s) of {source} could be upscaled")
    logger.info("wrote %d file(s) to %s with %s", len(written), written[0].parent, model.label)
    return written


def _plan_outputs(source: Path, output: Path, scale: int) -> list[tuple[Path, Path]]:
    if source.is_file():
        if output.suffix.lower() == ".png":
            return [(source, output)]
        if output.suffix.lower() in SUFFIXES:
            raise ImageError(
                f"output {output} would be a PNG file; give a name that ends in .png, or a folder"
            )
        return [(source, output / f"{source.stem}-x{scale}.png")]
    if not source.is_dir():
        what = "is neither a file nor a folder" if source.exists() else "does not exist"
        raise ImageError(f"input {source} {what}; give a picture or a folder of pictures")
    pictures = picture_files(source)
    if not pictures:
        raise ImageError(
            f"folder {source} holds no PNG, JPEG, BMP, TIFF or WebP file; its subfolders are not "
            "searched"
        )
    if output.is_file():
        raise ImageError(f"output {output} is a file; for a folder of pictures give a folder")
    if output.is_dir() and output.samefile(source):
        pictures = _without_results(pictures)
    # Where a.png and a.jpg lie side by side, the endings tell their results apart; what is left
    # of a.png.jpg without its own must not be taken for one of them.
    taken = Counter(name for path in pictures for name in (path.stem, path.name))
    names = [path.stem if taken[path.stem] == 1 else path.name for path in pictures]
    return [
        (path, output / f"{name}-x{scale}.png") for path, name in zip(pictures, names, strict=True)
    ]


def _without_results(pictures: Sequence[Path]) -> list[Path]:
    """Leave out what an earlier call has made of other pictures of the same folder."""
    names = {name for path in pictures for name in (path.stem, path.name)}
    originals = []
    for path in pictures:
        made = _RESULT.fullmatch(path.name)
        if made is None or made["of"] not in names:
            originals.append(path)
            continue
        name = printable(path.name)
        logger.info("left out: %s, which was made of another picture of this folder", name)
    return originals


def _check_targets(targets: Sequence[tuple[Path, Path]], compare: bool) -> None:
    """Make sure that no original is replaced, whatever its path is spelled like.

    Raises:
        ImageError: a result would be.
    """
    sources = {_identity(source): source for source, _ in targets}
    for _, target in targets:
        for written in (target, _beside(target)) if compare else (target,):
            identity = _identity(written)
            if identity is not None and identity in sources:
                raise ImageError(
                    f"output {written} is the input {sources[identity]} itself, which it would "
                    "replace; give another name or folder"
                )


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file a path leads to, through links and other spellings; None for none."""
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_dev, about.st_ino


def _beside(target: Path) -> Path:
    """Where bicubic's enlargement goes."""
    return target.with_name(f"{target.stem}-bicubic.png")


def _save(image: Image.Image, path: Path) -> Path:
    with atomic_write(path) as partial:
        image.save(partial, "PNG", icc_profile=image.info.get("icc_profile"))
    return path
